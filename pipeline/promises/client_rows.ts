/**
 * The rows that accounting keeps of processes that ask, and of their users. A row is remembered,
 * and checked before each use, because accounting may have given it to another since.
 *
 * @module
 */
import type { Client, UserAllocation } from "./client.ts";
import { ProcessState, TABLE_HEADER_BYTES, TableWord, UserState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

export class ClientRows {
  private readonly memory: Memory;
  private readonly userHeader: Int32Array;
  private readonly processHeader: Int32Array;

  constructor(memory: Memory) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.userHeader = new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4);
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  }

  /** Row in the users table, -1 when it has none. */
  rowOf(user: UserAllocation): number {
    const { users } = this.memory;
    const uid = user.uid | 0;
    if (user.row >= 0 && users.uid[user.row] === uid) {
      if (users.state[user.row] !== UserState.free) return user.row;
    }
    user.row = -1;
    const highWater = Atomics.load(this.userHeader, TableWord.highWater);
    for (let row = 0; row < highWater; row++) {
      if (users.uid[row] === uid && users.state[row] !== UserState.free) user.row = row;
    }
    return user.row;
  }

  /** Row in the processes table, -1 when it has none. */
  slotOf(client: Client): number {
    if (client.slot >= 0 && this.isAt(client.slot, client.pid)) return client.slot;
    client.slot = -1;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater && client.slot < 0; slot++) {
      if (this.isAt(slot, client.pid)) client.slot = slot;
    }
    return client.slot;
  }

  /** Counted pages by the tables; 0 when it has no row there (yet). */
  resident(client: Client): number {
    const slot = this.slotOf(client);
    return slot < 0 ? 0 : Math.max(0, this.memory.processes.pages[slot]!);
  }

  /** Counted pages of any process by the tables; 0 when it has no row there (yet). */
  residentOf(pid: number): number {
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if (this.isAt(slot, pid)) return Math.max(0, this.memory.processes.pages[slot]!);
    }
    return 0;
  }

  /** A process that lives may go on as another program, which does not ask. */
  asksNoMore({ slot, pid }: Client): void {
    if (slot >= 0 && this.isAt(slot, pid)) this.memory.processes.asksGeneration1[slot] = 0;
  }

  private isAt(slot: number, pid: number): boolean {
    const { tgid, state } = this.memory.processes;
    return tgid[slot] === pid && state[slot] === ProcessState.alive;
  }
}
