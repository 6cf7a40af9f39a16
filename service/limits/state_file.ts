/**
 * Limits that were set while running, kept across restarts.
 *
 * The limits of the command line are the base; what `toom limit` asked for lies above it, as an
 * override for exactly one uid or range:
 *
 *  - set: replaces the base's rule of the same range, or adds one. It stays until it is set anew
 *    or cleared, whatever later command lines say; {@link LimitState.shadowed} names the base's
 *    rules that are hidden by it, for the log.
 *    It may say that there is no limit, for somebody inside of a range.
 *  - clear: of a rule that the base has leaves a tombstone, so that the next start with the same
 *    command line does not bring it back. Of a rule that it has not, nothing stays. A tombstone
 *    whose rule is no longer on the command line has done its work and is dropped at load.
 *
 * The file is written whole to a neighbour, synced, and renamed over the old one, so it is always
 * one state or the other. A file that cannot be understood is put aside, never overwritten.
 *
 * @module
 */
import { z } from "zod";
import {
  formatUidRange,
  HARD_PAGES_MAX,
  isNoLimit,
  type LimitRule,
  LimitRules,
  RULES_MAX,
  sameUids,
  UID_MAX,
} from "../../pipeline/limits/limits.ts";
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { invariant } from "../../pipeline/memory/invariant.ts";
import { bytesToPages } from "../../pipeline/limits/units.ts";
import type { OriginRule } from "./origin_rule.ts";

export const STATE_FILE_NAME = "limits.json";
/** Raised when an older toom would misread the file. */
const STATE_VERSION = 1;
/** Most bytes of a state file that is read; the largest that can be written is a third of it. */
const STATE_BYTES_MAX = 1024 * 1024;
/** Tombstones and rules together. */
const OVERRIDES_MAX = 4096;

const uid = z.number().int().min(0).max(UID_MAX);
const bytes = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
// Bytes and not pages: another kernel may have other pages.
const Override = z.union([
  z.strictObject({ uidFirst: uid, uidLast: uid, hardBytes: bytes, softBytes: bytes }),
  z.strictObject({ uidFirst: uid, uidLast: uid, unlimited: z.literal(true) }),
  z.strictObject({ uidFirst: uid, uidLast: uid, cleared: z.literal(true) }),
]).refine((override) => override.uidFirst <= override.uidLast, "uidFirst is above uidLast")
  .refine(
    (override) => !("softBytes" in override) || override.softBytes <= override.hardBytes,
    "soft is above hard",
  );
type Override = z.infer<typeof Override>;
/** A limit that was set or cleared while running. */
export type LimitOverride = Override;

const StateFile = z.strictObject({
  version: z.literal(STATE_VERSION),
  overrides: z.array(Override).max(OVERRIDES_MAX),
});

/** What {@link LimitState.open} depends on. */
export interface LimitStateOptions {
  /** Made when it is missing, for root only. */
  readonly dirPath: string;
  /** The limits of the command line. */
  readonly base: readonly LimitRule[];
  readonly pageBytes: number;
  /** Wall-clock time, for the names of files that are put aside. */
  readonly now: () => Date;
  /** What was set while running, where it is known without the file: it may not have been written. */
  readonly overrides?: readonly LimitOverride[];
}

/** Whether a change will survive a restart. It is in force either way. */
export interface Kept {
  readonly persisted: boolean;
  /** Why not: one line for the log. */
  readonly problem?: string;
}

/** The limits in force, and the file that remembers them. One owner. */
export class LimitState {
  /** What was wrong with the file, if anything: one line for the log. */
  readonly problem: string | undefined;
  private readonly options: LimitStateOptions;
  private readonly overrides: Map<string, Override>;
  private readonly effective = new LimitRules();
  /** The last write that was asked for; the next one waits for it. */
  private writing: Promise<Kept> = Promise.resolve({ persisted: true });

  private constructor(
    options: LimitStateOptions,
    overrides: Map<string, Override>,
    problem: string | undefined,
  ) {
    this.options = options;
    this.overrides = overrides;
    const rules = [
      ...options.base.filter((rule) => !overrides.has(formatUidRange(rule))),
      ...[...overrides.values()].flatMap((override) =>
        "cleared" in override ? [] : [this.ruleOf(override)]
      ),
    ];
    // A start with fewer limits than asked for beats no start at all.
    for (const rule of rules.slice(0, RULES_MAX)) this.effective.set(rule);
    const left = rules.length - this.effective.count;
    this.problem = left > 0
      ? `${left} limits set while running are not in force: there is room for ${RULES_MAX}`
      : problem;
  }

  /**
   * Reads the state, or starts a new one. A file that cannot be understood is renamed to
   * `limits.json.corrupt-<ISO time>` and reported by {@link problem}.
   *
   * @throws {Error} When the folder cannot be made or the file cannot be read or put aside.
   */
  static async open(options: LimitStateOptions): Promise<LimitState> {
    if (options.overrides !== undefined) {
      const known = options.overrides.map((one) => [formatUidRange(one), one] as const);
      return new LimitState(options, new Map(known), undefined);
    }
    const path = statePath(options.dirPath);
    await Deno.mkdir(options.dirPath, { recursive: true, mode: 0o700 });
    let problem: string | undefined;
    let list: readonly Override[] = [];
    try {
      list = await readState(path);
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      const aside = `${path}.corrupt-${options.now().toISOString()}`;
      await Deno.rename(path, aside);
      problem = `Cannot understand ${path}: ${error.message}; kept as ${aside}, ` +
        "limits set while running are forgotten";
    }
    const overrides = new Map<string, Override>();
    for (const override of list) {
      const inBase = options.base.some((rule) => sameUids(rule, override));
      if (!("cleared" in override) || inBase) overrides.set(formatUidRange(override), override);
    }
    return new LimitState(options, overrides, problem);
  }

  /** The rules in force. Only {@link set} and {@link clear} change them. */
  get rules(): LimitRules {
    return this.effective;
  }

  /** What was set and cleared while running. */
  listOverrides(): readonly LimitOverride[] {
    return [...this.overrides.values()];
  }

  /** Whether {@link set} would work. @throws {RulesFullError} When there is no room. */
  checkRoom(rule: LimitRule): void {
    this.effective.checkRoom(rule);
  }

  /** Writes down what there is. @returns Whether that worked. */
  async keep(): Promise<Kept> {
    return await this.save();
  }

  /** The rules in force, each with who asked for it. */
  list(): readonly OriginRule[] {
    return this.effective.list().map((rule): OriginRule => ({
      ...rule,
      origin: this.overrides.has(formatUidRange(rule)) ? "control" : "command-line",
    }));
  }

  /** Rules of the command line that are replaced or cleared by what was set while running. */
  shadowed(): readonly LimitRule[] {
    return this.options.base.filter((rule) => this.overrides.has(formatUidRange(rule)));
  }

  /**
   * Puts a rule in force at once, then writes it down.
   *
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   */
  async set(rule: LimitRule): Promise<Kept> {
    this.effective.set(rule);
    const { uidFirst, uidLast, hardPages, softPages } = rule;
    const { pageBytes } = this.options;
    const size = isNoLimit(rule)
      ? { unlimited: true as const }
      : { hardBytes: hardPages * pageBytes, softBytes: softPages * pageBytes };
    this.overrides.set(formatUidRange(rule), { uidFirst, uidLast, ...size });
    return await this.save();
  }

  /**
   * Ends the rule of exactly this range at once, then writes that down.
   *
   * @returns `cleared` is false when there was none; nothing has changed then.
   */
  async clear(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    if (!this.effective.clear(uidFirst, uidLast)) return { cleared: false, persisted: true };
    const uids = { uidFirst, uidLast };
    if (this.options.base.some((rule) => sameUids(rule, uids))) {
      this.overrides.set(formatUidRange(uids), { ...uids, cleared: true });
    } else {
      this.overrides.delete(formatUidRange(uids));
    }
    return { cleared: true, ...await this.save() };
  }

  private ruleOf(override: Exclude<Override, { cleared: true }>): LimitRule {
    const pages = (amount: number): number =>
      Math.min(HARD_PAGES_MAX, Math.max(1, bytesToPages(amount, this.options.pageBytes)));
    const { uidFirst, uidLast } = override;
    if ("unlimited" in override) {
      return { uidFirst, uidLast, hardPages: NO_LIMIT_PAGES, softPages: NO_LIMIT_PAGES };
    }
    const { hardBytes, softBytes } = override;
    return { uidFirst, uidLast, hardPages: pages(hardBytes), softPages: pages(softBytes) };
  }

  /** One write after the other, each of the state as it is when its turn comes. */
  private save(): Promise<Kept> {
    const turn = this.writing.then(() => this.saveNow());
    this.writing = turn;
    return turn;
  }

  private async saveNow(): Promise<Kept> {
    const overrides = [...this.overrides.values()];
    invariant(overrides.length <= OVERRIDES_MAX, `state: ${overrides.length} overrides`);
    const text = JSON.stringify({ version: STATE_VERSION, overrides }, null, 2);
    try {
      await writeAtomically(this.options.dirPath, `${text}\n`);
      return { persisted: true };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const problem = `Cannot write ${statePath(this.options.dirPath)}: ${reason}`;
      return { persisted: false, problem };
    }
  }
}

function statePath(dirPath: string): string {
  return `${dirPath}/${STATE_FILE_NAME}`;
}

/** The file is there and readable, but it is no state. */
class StateError extends Error {
  override readonly name = "StateError";
}

async function readState(path: string): Promise<readonly Override[]> {
  let text: string;
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new StateError("it is no file");
    if (size > STATE_BYTES_MAX) throw new StateError(`it has ${size} bytes`);
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new StateError(text === "" ? "it is empty" : "it is no JSON");
  }
  const result = StateFile.safeParse(content);
  if (result.success) return result.data.overrides;
  const issue = result.error.issues[0]!;
  throw new StateError(`${issue.path.join(".") || "content"}: ${issue.message}`);
}

async function writeAtomically(dirPath: string, text: string): Promise<void> {
  const path = statePath(dirPath);
  const temporary = `${path}.new-${Deno.pid}`;
  try {
    const file = await Deno.open(temporary, {
      write: true,
      create: true,
      truncate: true,
      mode: 0o600,
    });
    try {
      const content = new TextEncoder().encode(text);
      for (let done = 0; done < content.length;) {
        done += await file.write(content.subarray(done));
      }
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  // The rename itself is in the folder.
  const dir = await Deno.open(dirPath);
  try {
    await dir.sync();
  } finally {
    dir.close();
  }
}
