/**
 * Subordinate uids: reads /etc/subuid at the start and whenever it has changed, finds out whose the
 * ranges are, and says what follows.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { OwnerTable } from "../../pipeline/limits/owners.ts";
import { quote } from "../../pipeline/limits/units.ts";
import { passwdUids, uidInPasswd } from "../../kernel/users/passwd_text.ts";
import { parseSubuid, type SubuidLine } from "../../kernel/users/subuid.ts";

export interface SubuidsOptions {
  /** The file, e.g. /etc/subuid. Where there is none, nobody has subordinate uids. */
  readonly path: string;
  /** The text of /etc/passwd. */
  readonly passwd: () => string;
  /** The uid of a name that passwd does not have; may ask a directory, and take its time. */
  readonly findUid: (name: string) => Promise<number | undefined>;
  /** Told of a table that differs from the one before. */
  readonly onChange: (table: OwnerTable) => void;
  /** Told in one line of what cannot be used. */
  readonly onProblem: (message: string) => void;
}

/** Lines about one reading of the file; the rest is counted. */
const PROBLEMS_TOLD = 5;

export class Subuids {
  table: OwnerTable = OwnerTable.none;
  private readonly options: SubuidsOptions;
  /** Device, inode, size and time of what was read last. */
  private seen = "";
  /** Raised with each reading: names that are found later belong to an older one. */
  private reading = 0;

  constructor(options: SubuidsOptions) {
    this.options = options;
  }

  /** Reads the file if it is another than before. Costs one stat(2) when it is not. */
  check(): void {
    const seen = this.stamp();
    if (seen === this.seen) return;
    this.seen = seen;
    this.read();
  }

  private stamp(): string {
    try {
      const { dev, ino, size, mtime } = Deno.statSync(this.options.path);
      return `${dev} ${ino} ${size} ${mtime?.getTime()}`;
    } catch (error) {
      return error instanceof Deno.errors.NotFound ? "none" : String(error);
    }
  }

  private read(): void {
    const reading = ++this.reading;
    const { path, passwd } = this.options;
    let text = "";
    const problems: string[] = [];
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        problems.push(messageOf(error));
      }
    }
    const parsed = parseSubuid(text);
    problems.push(...parsed.problems);
    const passwdText = passwd();
    const uids = new Map<string, number>();
    const unknown = new Set<string>();
    for (const { owner } of parsed.lines) {
      if (uids.has(owner) || unknown.has(owner)) continue;
      // As shadow-utils does: a name, even if it is of digits, else a uid.
      const uid = uidInPasswd(passwdText, owner) ??
        (/^\d{1,10}$/.test(owner) ? Number(owner) : undefined);
      if (uid === undefined) unknown.add(owner);
      else uids.set(owner, uid);
    }
    const people = passwdUids(passwdText);
    this.take(parsed.lines, uids, people, problems);
    // Directories may be slow, or away: what is known holds meanwhile.
    if (unknown.size > 0) void this.findLater(reading, parsed.lines, uids, unknown, people);
  }

  private async findLater(
    reading: number,
    lines: readonly SubuidLine[],
    uids: Map<string, number>,
    names: Iterable<string>,
    people: readonly number[],
  ): Promise<void> {
    const problems: string[] = [];
    for (const name of names) {
      try {
        const uid = await this.options.findUid(name);
        if (uid !== undefined) uids.set(name, uid);
        else problems.push(`no user is ${quote(name)}`);
      } catch (error) {
        problems.push(`${quote(name)}: ${messageOf(error)}`);
      }
      if (reading !== this.reading) return;
    }
    this.take(lines, uids, people, problems);
  }

  private take(
    lines: readonly SubuidLine[],
    uids: ReadonlyMap<string, number>,
    people: readonly number[],
    problems: readonly string[],
  ): void {
    const ranges = lines.flatMap(({ owner, uidFirst, uidLast }) => {
      const ownerUid = uids.get(owner);
      // What root was given is for containers that root starts: their users are no part of root,
      // who is limited by its own number only.
      return ownerUid === undefined || ownerUid === 0 ? [] : [{ uidFirst, uidLast, ownerUid }];
    });
    const made = OwnerTable.make(ranges, people);
    this.tell([...problems, ...made.problems]);
    if (made.table.equals(this.table)) return;
    this.table = made.table;
    this.options.onChange(made.table);
  }

  private tell(problems: readonly string[]): void {
    const { path, onProblem } = this.options;
    for (const problem of problems.slice(0, PROBLEMS_TOLD)) onProblem(`${path}: ${problem}`);
    const left = problems.length - PROBLEMS_TOLD;
    if (left > 0) onProblem(`${path}: ${left} more like these`);
  }

  /** Ends it: what is still being looked up comes to nothing. */
  close(): void {
    this.reading++;
  }
}
