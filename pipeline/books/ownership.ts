/**
 * The mm on which a process runs: when it takes another, the one before is over, or its borrowers'.
 *
 * @module
 */
import { MmState, ProcessFlag } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import { type Kinship, Passing } from "./kinship.ts";
import type { MmLives } from "./mm_lives.ts";

export class Ownership {
  private readonly books: Books;
  private readonly kin: Kinship;
  private readonly lives: MmLives;

  constructor(books: Books, kin: Kinship, lives: MmLives) {
    this.books = books;
    this.kin = kin;
    this.lives = lives;
  }

  /** Whether a process has been seen on another mm later than this. */
  hasMovedOn(process: number, mm: number, tsNs: number): boolean {
    const { processes, mms } = this.books;
    const main = processes.mmSlot1[process]! - 1;
    return main >= 0 && main !== mm && mms.ownerTsNs[main]! > tsNs;
  }

  /** @param built It built the mm itself: what it ran on before is not the same. */
  own(mm: number, process: number, tid: number, tsNs: number, built: boolean): void {
    const { processes, mms, tasks } = this.books;
    const before = processes.mmSlot1[process]! - 1;
    // What an exec builds is new: nobody shares it. A child that runs on what its parent's fork built
    // has that mm already.
    if (built && before !== mm) this.books.shares.uncredit(mm);
    processes.mmSlot1[process] = mm + 1;
    processes.flags[process]! &= ~ProcessFlag.mayInherit;
    mms.state[mm] = MmState.live;
    mms.lastTid[mm] = tid;
    mms.ownerTsNs[mm] = tsNs;
    // A reading of /proc from while the exec was building it is still of the mm before.
    if (built && before !== mm) mms.bornTsNs[mm] = Math.max(mms.bornTsNs[mm]!, tsNs);
    const task = this.books.findTask(tid);
    if (task >= 0 && tasks.buildingMmSlot1[task] === mm + 1) tasks.buildingMmSlot1[task] = 0;
    if (before >= 0 && before !== mm) this.leave(before, process, mm, tsNs, built);
  }

  /** A process ran on `mm` before it took another. */
  private leave(mm: number, process: number, next: number, tsNs: number, built: boolean): void {
    const { books } = this;
    const { processes, mms } = books;
    if (mms.state[mm] === MmState.nameless) {
      // What /proc said goes into the mm that turns out to be meant.
      if (!built || mms.bornTsNs[mm]! > tsNs) books.absorbMm(mm, next);
      else if (books.isEmpty(mm) || !this.kin.passMm(process, mm, tsNs, Passing.execed)) {
        books.removeMm(mm);
      }
      return;
    }
    // What /proc has said since then is of the next one.
    if (books.takeReadings(mm, tsNs)) books.bookTaken(next);
    if (this.lives.isReborn(mm, tsNs)) return;
    // It may have been its parent's, which only its birth can tell.
    if ((processes.flags[process]! & ProcessFlag.unresolved) !== 0) return;
    if (
      !books.isEmpty(mm) &&
      this.kin.passMm(process, mm, tsNs, built ? Passing.execed : Passing.exited)
    ) return;
    // Its exec was not seen: /proc may have said of this what the next one has, and its children may be that
    // one's, which is charged for all that it has.
    if (!built) books.shares.leaveChildrenOf(mm);
    this.lives.end(mm, tsNs);
  }

  /** An mm that turns out to be the one on which a process runs. */
  handOver(mm: number, process: number): void {
    const { books } = this;
    const { mms, processes } = books;
    if (mms.state[mm] === MmState.nameless) {
      // Nobody named it, so nothing but a reading of somebody else's is lost.
      books.removeMm(mm);
      return;
    }
    books.moveMm(mm, process);
    if (mms.state[mm] === MmState.building || processes.mmSlot1[process] === mm + 1) return;
    const claimedNs = mms.ownerTsNs[mm]!;
    if (!this.hasMovedOn(process, mm, claimedNs)) this.own(mm, process, 0, claimedNs, false);
  }
}
