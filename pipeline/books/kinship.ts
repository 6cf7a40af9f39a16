/**
 * Kin: processes that run on another's mm (borrowers: vfork, posix_spawn, CLONE_VM), and processes
 * whose user is their parent's, who acted before anybody announced it (heirs).
 *
 * @module
 */
import { MmState, ProcessFlag, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";

/** Lenders of lenders that are followed, as there may be a circle. */
const LENDERS_MAX = 8;
/**
 * A reading of /proc takes no longer than this from the time that it carries to what it saw, unless the
 * sweeper has to wait for a CPU.
 */
export const READING_NS_MAX = 5e6;
/**
 * As {@link READING_NS_MAX}, also where the sweeper has had to wait: a lender that was heard of for so long
 * after its borrower was read as running on another mm was there then.
 */
const LATE_READING_NS_MAX = 1e8;
/**
 * A process that /proc has said to borrow no more for so long has executed a program: the event that
 * tells of that, or of its lender's end, was lost.
 */
const OWNER_HEARD_NS = 1e9;
/** Why a process is done with its mm. */
export const Passing = {
  /** It has exited, or was killed: events tell of what else has happened. */
  exited: 0,
  /** It has executed a program: who borrows since then runs on its new mm. */
  execed: 1,
  /** /proc has it no more: no event is to be expected. */
  missed: 2,
} as const;
export type Passing = typeof Passing[keyof typeof Passing];

/** What is known of a process's descent while {@link Kinship.resolve} looks. */
const Descent = { unknown: 0, foreign: 1, own: 2 } as const;

export class Kinship {
  private readonly books: Books;
  /** By process slot, {@link Descent}; and the slots of the line that is being followed. */
  private readonly descent: Uint8Array;
  private readonly line: Int32Array;
  /**
   * By process slot: when it got the mm that it had borrowed, when /proc said last that it borrows, and
   * when it said first that it does not any more; and the generation of the process of which that is said.
   */
  private readonly inheritedNs: Float64Array;
  private readonly readAsBorrowerNs: Float64Array;
  private readonly readAsOwnerNs: Float64Array;
  private readonly notedGeneration: Int32Array;
  /** By process slot of an heir: the process whose user it will have. */
  private readonly parentSlot1: Int32Array;
  private readonly parentGeneration: Int32Array;

  constructor(books: Books) {
    this.books = books;
    this.descent = new Uint8Array(books.processSlots.capacity);
    this.line = new Int32Array(books.processSlots.capacity);
    this.inheritedNs = new Float64Array(books.processSlots.capacity);
    this.readAsBorrowerNs = new Float64Array(books.processSlots.capacity);
    this.readAsOwnerNs = new Float64Array(books.processSlots.capacity);
    this.notedGeneration = new Int32Array(books.processSlots.capacity).fill(-1);
    this.parentSlot1 = new Int32Array(books.processSlots.capacity);
    this.parentGeneration = new Int32Array(books.processSlots.capacity);
  }

  /**
   * Gives an mm to those who borrow it from its process, which is done with it.
   *
   * @param tsNs When the process was done with it, or a time after that.
   */
  passMm(lender: number, mm: number, tsNs: number, why: Passing = Passing.exited): boolean {
    const { books } = this;
    const { processes, processSlots } = books;
    if ((processes.flags[lender]! & ProcessFlag.lends) === 0) return false;
    const untilNs = why === Passing.execed ? tsNs : Infinity;
    const ownerNs = why === Passing.missed ? -Infinity : tsNs - LATE_READING_NS_MAX;
    const heir = this.nextRunner(lender, untilNs, ownerNs);
    if (heir < 0) return false;
    this.endBorrowing(heir);
    const before = processes.mmSlot1[heir]! - 1;
    const wasRead = before >= 0 && !this.runsNamed(heir);
    // What was read from /proc is this mm, of which its own events tell.
    if (wasRead && why !== Passing.missed) books.removeMm(before);
    books.moveMm(mm, heir);
    processes.mmSlot1[heir] = mm + 1;
    // But if no event comes, what was read is right: it is of this mm, or of one that an exec has made.
    if (wasRead && why === Passing.missed) books.absorbMm(before, mm);
    this.renew(heir);
    this.inheritedNs[heir] = tsNs;
    for (let slot = 0; slot < processSlots.highWater; slot++) {
      if (slot !== heir && this.mayRunOnMmOf(slot, lender, untilNs, ownerNs)) {
        this.setLender(slot, heir);
      }
    }
    return true;
  }

  /** Who has the mm of a process when that is done with it: a borrower rather than who may be one. */
  private nextRunner(lender: number, untilNs: number, ownerNs: number): number {
    const { books } = this;
    let next = -1;
    for (let slot = 0; slot < books.processSlots.highWater; slot++) {
      if (!this.mayRunOnMmOf(slot, lender, untilNs, ownerNs)) continue;
      if (books.isBorrower(slot)) return slot;
      if (next < 0 && !this.runsNamed(slot)) next = slot;
    }
    return next;
  }

  /**
   * Whether a process may run on the mm that its lender had until that time.
   * @param ownerNs Who was read before this as running on another mm had that from an exec: its lender had
   *   not left it any.
   */
  private mayRunOnMmOf(slot: number, lender: number, untilNs: number, ownerNs: number): boolean {
    const { state, flags } = this.books.processes;
    return state[slot] === ProcessState.alive &&
      (flags[slot]! & (ProcessFlag.borrower | ProcessFlag.mayInherit)) !== 0 &&
      this.lenderOf(slot) === lender && !this.borrowsSince(slot, untilNs) &&
      !this.ownedBefore(slot, ownerNs);
  }

  /** Whether /proc has said before a time that a process does not run on its lender's mm. */
  private ownedBefore(slot: number, tsNs: number): boolean {
    const readNs = this.isNoted(slot) ? this.readAsOwnerNs[slot]! : 0;
    return (this.books.processes.flags[slot]! & ProcessFlag.mayInherit) !== 0 &&
      readNs !== 0 && readNs < tsNs;
  }

  /** Whether a process was born after a time, or /proc has said since then that it borrows. */
  private borrowsSince(slot: number, tsNs: number): boolean {
    const { bornTsNs, flags } = this.books.processes;
    if (this.isNoted(slot) && this.readAsBorrowerNs[slot]! > tsNs) return true;
    // Of one that nobody announced, this is when it spoke first.
    return (flags[slot]! & ProcessFlag.unresolved) === 0 && bornTsNs[slot]! > tsNs;
  }

  private isNoted(slot: number): boolean {
    return this.notedGeneration[slot] === this.books.processes.generation[slot];
  }

  /** Forgets what was noted of the process that had the slot before. */
  private renew(slot: number): void {
    if (this.isNoted(slot)) return;
    this.notedGeneration[slot] = this.books.processes.generation[slot]!;
    this.inheritedNs[slot] = this.readAsBorrowerNs[slot] = this.readAsOwnerNs[slot] = 0;
  }

  /** /proc says that a process runs on the mm of its lender. */
  readAsBorrower(process: number, tsNs: number): void {
    this.renew(process);
    this.readAsBorrowerNs[process] = tsNs;
  }

  /**
   * /proc says that a process does not run on its lender's mm. It has executed a program, or its lender
   * has left the mm to it: the event that tells which of the two is still to come.
   */
  readAsOwner(process: number, tsNs: number): void {
    const { flags } = this.books.processes;
    if (this.books.isBorrower(process)) {
      flags[process] = flags[process]! & ~ProcessFlag.borrower;
      if (this.lenderOf(process) < 0) return;
      flags[process]! |= ProcessFlag.mayInherit;
      this.renew(process);
      this.readAsOwnerNs[process] = tsNs;
    } else if ((flags[process]! & ProcessFlag.mayInherit) !== 0) {
      if (tsNs - this.readAsOwnerNs[process]! >= OWNER_HEARD_NS) this.ownsFromNow(process);
    }
  }

  /** Whether a process has got the mm that it had borrowed, and was still a borrower at that time. */
  hasInheritedSince(process: number, tsNs: number): boolean {
    return this.isNoted(process) && this.inheritedNs[process]! > tsNs;
  }

  /** A process that acted before it was announced turns out to be this user's. */
  resolve(process: number, uid: number): void {
    const { books } = this;
    const { processes, processSlots } = books;
    const { unresolved, heir, hasHeirs } = ProcessFlag;
    const flags = processes.flags[process]!;
    processes.flags[process] = flags & ~(unresolved | heir | hasHeirs);
    books.moveProcess(process, uid);
    if ((flags & hasHeirs) === 0) return;
    const { descent } = this;
    const { highWater } = processSlots;
    descent.fill(Descent.unknown, 0, highWater);
    descent[process] = Descent.own;
    for (let slot = 0; slot < highWater; slot++) this.trace(slot);
    for (let slot = 0; slot < highWater; slot++) {
      if (descent[slot] !== Descent.own || slot === process) continue;
      processes.flags[slot]! &= ~(unresolved | heir | hasHeirs);
      books.moveProcess(slot, uid);
    }
  }

  /**
   * Finds out whether a process is an heir, or an heir's heir, of one whose descent is `own`. Each
   * slot is followed once, in a loop: a line may be as long as the table.
   */
  private trace(slot: number): void {
    const { descent, line } = this;
    const { state, flags } = this.books.processes;
    let length = 0;
    let at = slot;
    while (at >= 0 && descent[at] === Descent.unknown) {
      descent[at] = Descent.foreign; // Until the end of the line says otherwise.
      line[length++] = at;
      const isHeir = state[at] !== ProcessState.free && (flags[at]! & ProcessFlag.heir) !== 0;
      at = isHeir ? this.parentOf(at) : -1;
    }
    if (at < 0 || descent[at] !== Descent.own) return;
    for (let i = 0; i < length; i++) descent[line[i]!] = Descent.own;
  }

  inheritLater(child: number, parent: number): void {
    const { flags, generation } = this.books.processes;
    flags[child]! |= ProcessFlag.heir;
    flags[parent]! |= ProcessFlag.hasHeirs | ProcessFlag.lends;
    this.parentSlot1[child] = parent + 1;
    this.parentGeneration[child] = generation[parent]!;
  }

  /** Whose user an heir will have; -1 when that one is gone. */
  private parentOf(heir: number): number {
    const { generation } = this.books.processes;
    const parent = this.parentSlot1[heir]! - 1;
    return generation[parent] === this.parentGeneration[heir] ? parent : -1;
  }

  setLender(process: number, lender: number): void {
    const { lenderSlot1, lenderGeneration, generation, flags } = this.books.processes;
    flags[lender]! |= ProcessFlag.lends;
    lenderSlot1[process] = lender + 1;
    lenderGeneration[process] = generation[lender]!;
  }

  /** -1 when there is none, or it is gone. */
  lenderOf(process: number): number {
    const { lenderSlot1, lenderGeneration, generation } = this.books.processes;
    const lender = lenderSlot1[process]! - 1;
    return lender >= 0 && generation[lender] === lenderGeneration[process] ? lender : -1;
  }

  endBorrowing(process: number): void {
    const { processes, mms } = this.books;
    const lender = this.lenderOf(process);
    processes.flags[process]! &= ~(ProcessFlag.borrower | ProcessFlag.mayInherit);
    processes.lenderSlot1[process] = 0;
    if (lender < 0) return;
    const tgid = processes.tgid[process]!;
    for (let mm1 = processes.mmFirst1[lender]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
      if (mms.lastTid[mm1 - 1] === tgid) mms.lastTid[mm1 - 1] = 0;
    }
  }

  /** It has execed. */
  ownsFromNow(process: number): void {
    if (this.books.isBorrower(process)) this.endBorrowing(process);
    const { flags } = this.books.processes;
    const { forkUnseen, mayInherit, hasExeced } = ProcessFlag;
    flags[process] = (flags[process]! & ~(forkUnseen | mayInherit)) | hasExeced;
  }

  /** The process whose mm a process runs on: itself, or its lender; -1 when that is not known. */
  runsOn(process: number): number {
    let at = process;
    // A lender may turn out to be a borrower itself; its own borrowers are told of one by one.
    for (let steps = 0; at >= 0 && this.books.isBorrower(at); steps++) {
      if (steps === LENDERS_MAX) return -1;
      at = this.lenderOf(at);
    }
    return at;
  }

  runsNamed(process: number): boolean {
    const main = this.books.processes.mmSlot1[process]! - 1;
    return main >= 0 && this.books.mms.state[main] !== MmState.nameless;
  }
}
