/**
 * The rows of the processes table that are a user's, found by a scan and remembered until a process
 * joins it: the killer and the coordinator look at one user over and over, and the table may hold
 * ten thousand processes of others.
 *
 * For those who read the tables while accounting writes them.
 *
 * @module
 */
import { ProcessState, TABLE_HEADER_BYTES, TableWord } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

/** Rows of one user, as of {@link RowList.joins}. */
export interface RowList {
  /** The first {@link count} of it count. */
  readonly rows: Int32Array;
  readonly count: number;
  /** {@link UserRows.isCurrent} until this has changed. */
  readonly joins: number;
}

const ROWS_MIN = 16;

class Remembered implements RowList {
  rows = new Int32Array(ROWS_MIN);
  count = 0;
  joins = 0;
  isEmpty = true;

  add(row: number): void {
    if (this.count === this.rows.length) {
      const rows = new Int32Array(this.count * 2);
      rows.set(this.rows);
      this.rows = rows;
    }
    this.rows[this.count++] = row;
  }
}

export class UserRows {
  private readonly memory: Memory;
  private readonly processHeader: Int32Array;
  private readonly byUser: (Remembered | undefined)[] = [];

  constructor(memory: Memory) {
    this.memory = memory;
    const { buffer, plan } = memory;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  }

  /**
   * All rows that were the user's when it was joined last, and maybe some that are not any more:
   * check owner and state. Valid until the next call for the same user.
   */
  of(userSlot: number): RowList {
    let list = this.byUser[userSlot];
    if (list === undefined) list = this.byUser[userSlot] = new Remembered();
    const joins = Atomics.load(this.memory.users.joins, userSlot);
    if (list.isEmpty || list.joins !== joins) this.scan(list, userSlot, joins);
    return list;
  }

  /** Whether nobody has joined the user since. If so, what was read by the list was all there is. */
  isCurrent(list: RowList, userSlot: number): boolean {
    return Atomics.load(this.memory.users.joins, userSlot) === list.joins;
  }

  private scan(list: Remembered, userSlot: number, joins: number): void {
    const { userSlot: owner, state } = this.memory.processes;
    list.count = 0;
    list.joins = joins;
    list.isEmpty = false;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let row = 0; row < highWater; row++) {
      if (owner[row] === userSlot && state[row] !== ProcessState.free) list.add(row);
    }
  }
}
