/**
 * What the books say of a user, compared with what /proc says: each difference with its reason, and those
 * that have none. The books are read before /proc and after it, because all of it changes meanwhile.
 *
 * @module
 */
import { formatBytes } from "../pipeline/limits/units.ts";
import type { Audit } from "../service/control/control_api.ts";

/** A process of the user as /proc has it. */
export interface SeenProcess {
  readonly pid: number;
  readonly realUid: number;
  /** Its counted members. */
  readonly countedPages: number;
  /** Its part of them (PSS) less what was lazily freed; undefined: it could not be read. */
  readonly heldPages: number | undefined;
  readonly ageMs: number;
  /** A process of the user that runs on the same memory. */
  readonly sharesMmWith: number | undefined;
}

/** What was compared. */
export interface Comparison {
  readonly uid: number;
  /** A line each; those without a reason begin with {@link UNEXPLAINED}. */
  readonly lines: readonly string[];
  /** Differences that have no reason. */
  readonly unexplained: number;
}

export const UNEXPLAINED = "not explained: ";
/** As a look may take so long to find it. */
const NEW_MS = 1500;

/**
 * @param errorPages By which /proc may be wrong about a member.
 */
export function compareAudit(
  before: Audit,
  seen: readonly SeenProcess[],
  after: Audit,
  errorPages: number,
): Comparison {
  const found = new Findings(before, after, errorPages);
  const first = new Map(before.processes.map(({ pid, countedPages }) => [pid, countedPages]));
  const last = new Map(after.processes.map(({ pid, countedPages }) => [pid, countedPages]));
  const there = new Map(seen.map((one) => [one.pid, one]));
  let equal = 0;
  for (const pid of new Set([...first.keys(), ...there.keys(), ...last.keys()])) {
    if (found.process(pid, there.get(pid), first.get(pid), last.get(pid))) equal++;
  }
  found.sums(seen);
  const { uid, pageBytes } = after;
  const size = (pages: number): string => formatBytes(pages * pageBytes);
  const counted = seen.reduce((sum, one) => sum + one.countedPages, 0);
  const { user, kernel } = after;
  const charged = user === null ? 0 : user.countedPages - user.creditPages;
  const head = `uid ${uid}: ${seen.length} processes, ${equal} of them as in the books; ` +
    `/proc counts ${size(counted)}, the books ${size(user?.countedPages ?? 0)}, charged ${
      size(charged)
    }` + (kernel === null ? "" : `, the kernel's books ${size(kernel.totalPages)}`);
  return { uid, lines: [head, ...found.lines], unexplained: found.unexplained };
}

class Findings {
  readonly lines: string[] = [];
  unexplained = 0;
  private readonly before: Audit;
  private readonly after: Audit;
  private readonly errorPages: number;
  /** Why the books of now may differ from /proc in all that they say; undefined: they may not. */
  private readonly excuse: string | undefined;

  constructor(before: Audit, after: Audit, errorPages: number) {
    this.before = before;
    this.after = after;
    // Of each of four members.
    this.errorPages = 4 * errorPages;
    const isFar = [before, after].some(({ near }) => near !== undefined && !near.isNear);
    const isDoubted = [before, after].some(({ user }) => user?.inDoubt === true);
    this.excuse = isFar
      ? "everybody is far from soft, so that the books are of the last look"
      : before.degraded || after.degraded
      ? "the books are degraded until the next reading of /proc"
      : isDoubted
      ? "the user is in doubt, and is read before anybody is signalled"
      : undefined;
  }

  private tell(what: string, reason: string | undefined): void {
    if (reason === undefined) this.unexplained++;
    this.lines.push(reason === undefined ? `${UNEXPLAINED}${what}` : `${what}: ${reason}`);
  }

  /** @returns Whether the books say the same as /proc, both times. */
  process(
    pid: number,
    seen: SeenProcess | undefined,
    first: number | undefined,
    last: number | undefined,
  ): boolean {
    const { excuse } = this;
    if (seen === undefined) {
      if (first === undefined) this.tell(`pid ${pid} is new in the books`, "it was born meanwhile");
      else if (last === undefined) this.tell(`pid ${pid} is in the books no more`, "it has ended");
      else if (last !== 0) {
        this.tell(`pid ${pid} is in the books with ${last} pages, and not in /proc`, excuse);
      }
      return false;
    }
    const uid = seen.realUid === this.after.ownerUid ? "" : ` of uid ${seen.realUid}`;
    if (first === undefined || last === undefined) {
      if (seen.countedPages === 0) return false;
      const reason = seen.sharesMmWith !== undefined
        ? `it runs on the memory of pid ${seen.sharesMmWith}`
        : first !== undefined
        ? "it has ended meanwhile"
        : last !== undefined || seen.ageMs < NEW_MS
        ? "it was born just now"
        : excuse;
      this.tell(`pid ${pid}${uid} has ${seen.countedPages} pages, and is in no book`, reason);
      return false;
    }
    const pages = seen.sharesMmWith !== undefined && last === 0 ? 0 : seen.countedPages;
    if (first === last && pages === last) return true;
    const what = `pid ${pid}${uid} has ${pages} pages, in the books ` +
      (first === last ? `${last}` : `${first}, then ${last}`);
    // It may have grown and shrunk in between: what it is compared by is whether the books rest.
    if (first !== last) this.tell(what, "it changed meanwhile");
    else if (Math.abs(pages - last) <= this.errorPages) {
      this.tell(what, "as exact as /proc is on this kernel");
    } else this.tell(what, excuse);
    return false;
  }

  /** Sums: of the books, of what is held, and of the kernel. */
  sums(seen: readonly SeenProcess[]): void {
    const { before, after, excuse } = this;
    if (before.user === null || after.user === null) {
      if (seen.length > 0) this.tell("the user is in no book, and has processes", excuse);
      return;
    }
    const sumOf = ({ processes }: Audit): number =>
      processes.reduce((sum, { countedPages }) => sum + countedPages, 0);
    const sum = sumOf(after);
    // Rows are read one after the other: of books that change, they are of several moments.
    const isStill = before.user.countedPages === after.user.countedPages && sumOf(before) === sum;
    if (isStill && sum !== after.user.countedPages) {
      this.tell(
        `the books have ${after.user.countedPages} pages of the user, and ${sum} of its processes`,
        undefined,
      );
    }
    this.held(seen);
    this.kernel();
  }

  private held(seen: readonly SeenProcess[]): void {
    const { after } = this;
    if (!after.creditsShares || seen.some(({ heldPages }) => heldPages === undefined)) return;
    const held = Math.round(seen.reduce((sum, { heldPages }) => sum + heldPages!, 0));
    const counted = seen.reduce((sum, { countedPages }) => sum + countedPages, 0);
    const charges = [this.before, after].map(({ user }) => user!.countedPages - user!.creditPages);
    // smaps rounds each of its sums down to a KiB.
    const slack = seen.length + this.errorPages;
    const missing = held - Math.max(...charges);
    const more = Math.min(...charges) - held;
    if (missing > slack) {
      const isShared = after.user!.creditPages > 0;
      this.tell(
        `${missing} pages are held and not charged`,
        isShared ? "copied after a fork, or taken back, since the last measuring" : this.excuse,
      );
    } else if (more > slack) {
      this.tell(
        `${more} pages are charged and shared with others`,
        more <= counted - held + slack
          ? "they are measured when the user is above half of its limit"
          : this.excuse,
      );
    }
  }

  private kernel(): void {
    const { before, after } = this;
    if (before.kernel === null || after.kernel === null) return;
    const most = Math.max(before.kernel.totalPages, after.kernel.totalPages);
    const least = Math.min(before.kernel.totalPages, after.kernel.totalPages);
    const booksMost = Math.max(before.user!.countedPages, after.user!.countedPages);
    const booksLeast = Math.min(before.user!.countedPages, after.user!.countedPages);
    if (least <= booksMost && most >= booksLeast) return;
    const told = `the kernel's books have ${after.kernel.totalPages} pages, these ` +
      `${after.user!.countedPages}`;
    const isMoving = least !== most || booksLeast !== booksMost;
    this.tell(told, this.excuse ?? (isMoving ? "records are under way" : undefined));
  }
}
