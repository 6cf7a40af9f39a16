/**
 * What is done about ids that two living mms have (contested_ids.ts): neither mm is in the books under
 * the id, and both processes are read from /proc.
 *
 * @module
 */
import { ProcessFlag, ProcessState } from "../memory/layout.ts";
import type { Books } from "./books.ts";
import { ContestedIds } from "./contested_ids.ts";

/** Processes whose events cannot be told apart are read from /proc at most this often. */
const CONTESTED_EVERY_NS = 10e6;

export class Clashes {
  private readonly contested = new ContestedIds();
  private readonly books: Books;
  private readonly onUnknownTid: (tid: number) => void;
  private askedNs = -Infinity;

  /** @param onUnknownTid Asks for a process to be read from /proc. */
  constructor(books: Books, onUnknownTid: (tid: number) => void) {
    this.books = books;
    this.onUnknownTid = onUnknownTid;
  }

  /** Whether nothing is contested: the quick answer on the way of an event. */
  get isEmpty(): boolean {
    return this.contested.isEmpty;
  }

  /** Whether two living processes have mms of this id: /proc must tell what they hold. */
  isContested(mmId: number, tsNs: number): boolean {
    const claimants = this.contested.claimantsOf(mmId);
    if (claimants === undefined) return false;
    const { generation, state } = this.books.processes;
    const isOver = claimants.some((one) =>
      generation[one.slot] !== one.generation || state[one.slot] !== ProcessState.alive
    );
    if (isOver) {
      this.contested.settle(mmId);
      return false;
    }
    if (tsNs - this.askedNs >= CONTESTED_EVERY_NS) {
      this.askedNs = tsNs;
      for (const { tgid } of claimants) this.onUnknownTid(tgid);
    }
    return true;
  }

  /**
   * An mm goes from one living process to another. Should it go back and forth, there are two mms of
   * one id: then neither is in the books under that id, and both processes are read from /proc.
   */
  isClash(mm: number, owner: number, process: number): boolean {
    const { books } = this;
    const { processes, mms } = books;
    const unclear = ProcessFlag.unresolved | ProcessFlag.borrower | ProcessFlag.heir;
    if (processes.state[owner] !== ProcessState.alive) return false;
    if (((processes.flags[owner]! | processes.flags[process]!) & unclear) !== 0) return false;
    const { tgid, generation } = processes;
    const claimant = (slot: number): { tgid: number; slot: number; generation: number } => ({
      tgid: tgid[slot]!,
      slot,
      generation: generation[slot]!,
    });
    const mmId = mms.mmId[mm]!;
    if (!this.contested.moves(mmId, claimant(owner), claimant(process))) return false;
    books.removeMm(mm);
    this.onUnknownTid(tgid[owner]!);
    this.onUnknownTid(tgid[process]!);
    return true;
  }
}
