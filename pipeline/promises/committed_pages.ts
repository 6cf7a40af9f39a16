/**
 * Committed pages of a user: what its processes have or were promised, whichever is more, less what
 * accounting counts more than once. allocations.ts has the terms.
 *
 * @module
 */
import type { UserAllocation } from "./client.ts";
import type { ClientRows } from "./client_rows.ts";
import { type Ledger, LedgerWord } from "./ledger.ts";
import type { Memory } from "../memory/memory.ts";
import { ProcessState } from "../memory/layout.ts";
import { type RowList, UserRows } from "../books/user_rows.ts";

/** A user's processes may be born faster than they are summed up. */
const SUMS_MAX = 3;

export class CommittedPages {
  private readonly memory: Memory;
  private readonly ledger: Ledger;
  private readonly rows: ClientRows;
  private readonly userRows: UserRows;
  /** Level of the client in a row of the processes table, during a scan. */
  private readonly levels: Int32Array;

  constructor(memory: Memory, ledger: Ledger, rows: ClientRows) {
    this.memory = memory;
    this.ledger = ledger;
    this.rows = rows;
    this.userRows = new UserRows(memory);
    this.levels = new Int32Array(memory.plan.capacity.processes);
  }

  /**
   * Committed pages of a user.
   *
   * Summed up process by process, not from the user's own sum: the two change one after the other,
   * and a difference between them would look like free memory. The credit is read before and after, and
   * the smaller counts: who ended meanwhile took its pages and their credit with it.
   *
   * @param isStale What processes have above their level counts as given back already, though
   *   the tables do not know yet.
   */
  of(user: UserAllocation, isStale = false): number {
    const userRow = this.rows.rowOf(user);
    if (userRow < 0) return this.promisedOf(user);
    for (let sums = 1;; sums++) {
      const list = this.userRows.of(userRow);
      const credit = this.credit(user);
      const sum = this.sum(user, userRow, list, isStale, credit);
      const pages = credit === 0 ? sum : sum + Math.max(0, credit - this.credit(user));
      if (sums === SUMS_MAX || this.userRows.isCurrent(list, userRow)) return pages;
    }
  }

  /** Pages of a user that are counted more than once, and that nobody was granted room to copy. */
  credit(user: UserAllocation): number {
    const row = this.rows.rowOf(user);
    if (row < 0) return 0;
    const { creditPages, orphanedPages } = this.memory.users;
    let pages = creditPages[row]! - orphanedPages[row]!;
    if (pages <= 0) return 0;
    for (const client of user.clients) {
      const insured = this.ledger.get(client.row, LedgerWord.insuredPages);
      if (insured > 0) pages -= Math.min(insured, this.rows.resident(client));
    }
    return Math.max(0, pages);
  }

  /** Of a user that no table knows: what it was promised, in full. */
  private promisedOf(user: UserAllocation): number {
    let pages = user.heldPages;
    for (const client of user.clients) pages += this.ledger.level(client.row);
    return pages;
  }

  private sum(
    user: UserAllocation,
    userRow: number,
    list: RowList,
    isStale: boolean,
    credit: number,
  ): number {
    const { processes } = this.memory;
    const { levels } = this;
    let pages = user.heldPages;
    // Credit may also be for what a process has given back for the time being (MADV_FREE) and may
    // use again. What it was granted stays its own, so credit counts for the rest only.
    let unaskedPages = 0;
    for (const client of user.clients) {
      const slot = this.rows.slotOf(client);
      // What has no row, or one of another user yet, counts as promised in full.
      if (slot < 0 || processes.userSlot[slot] !== userRow) pages += this.ledger.level(client.row);
      else {
        levels[slot] = this.ledger.level(client.row) + 1;
        // It is not braked.
        processes.asksGeneration1[slot] = processes.generation[slot]! + 1;
        if (credit > 0) {
          unaskedPages += Math.min(
            this.ledger.get(client.row, LedgerWord.basePages),
            Math.max(0, processes.pages[slot]!),
          );
        }
      }
    }
    const { rows, count } = list;
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.userSlot[slot] !== userRow) continue;
      if (processes.state[slot] === ProcessState.free) continue;
      const resident = processes.pages[slot]!;
      const level = levels[slot]! - 1;
      levels[slot] = 0;
      if (level < 0) {
        pages += Math.max(resident, 0);
        unaskedPages += Math.max(resident, 0);
      } else pages += isStale || level > resident ? level : resident;
    }
    for (const { slot } of user.clients) {
      if (slot < 0 || levels[slot] === 0) continue;
      // It has come into the list, or gone from the tables, just now.
      pages += levels[slot]! - 1;
      levels[slot] = 0;
    }
    return pages - Math.min(credit, unaskedPages);
  }
}
