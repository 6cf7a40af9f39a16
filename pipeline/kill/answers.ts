/**
 * What the killer tells accounting: that a process is gone, and that a user is to be looked at again,
 * because accounting knows best whether somebody else must go.
 *
 * @module
 */
import { Role } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { Doorbell } from "../memory/doorbell.ts";
import { RECHECK, VICTIM_GONE } from "../messages/records.ts";
import { RecordWriter } from "../messages/record_writer.ts";
import { RingProducer } from "../memory/ring.ts";
import type { KillKernel } from "./kill_kernel.ts";

export class Answers {
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly writer: RecordWriter;
  private readonly accountingBell: Doorbell;

  constructor(memory: Memory, kernel: KillKernel) {
    this.memory = memory;
    this.kernel = kernel;
    const ring = new RingProducer(memory.buffer, memory.plan.killerRing);
    this.writer = new RecordWriter(ring, () => {
      // Accounting is behind by thousands of answers: wait for it, it does not wait for us.
      this.accountingBell.ring();
      ring.waitForRoom(1);
    });
    this.accountingBell = new Doorbell(memory, Role.accounting);
  }

  /** A process that was to be a victim is gone. */
  gone(pid: number, processSlot: number, generation: number): void {
    const gone = this.writer.open(VICTIM_GONE, this.kernel.nowNs());
    gone.pid = pid;
    gone.processSlot = processSlot;
    gone.generation = generation;
    this.publish();
  }

  /** An order is worked off, or something happened since: the user may be compared again. */
  recheck(userSlot: number, foundNobody: boolean): void {
    const { users } = this.memory;
    const recheck = this.writer.open(RECHECK, this.kernel.nowNs());
    recheck.userSlot = userSlot;
    recheck.generation = users.generation[userSlot]!;
    recheck.isNobody = foundNobody ? 1 : 0;
    this.publish();
  }

  /** Hands over what was written. */
  private publish(): void {
    this.writer.close();
    this.writer.ring.publish();
    this.accountingBell.ring();
  }
}
