/**
 * A role's way to accounting: it never drops a record. When the ring is full the role waits for room,
 * for as long as it may go on.
 *
 * @module
 */
import { HEARTBEAT_MS } from "../memory/timing.ts";
import { attachRole, Doorbell } from "../memory/doorbell.ts";
import { CounterIndex, Role, RoleWord } from "../memory/layout.ts";
import { attachCounters, type Memory } from "../memory/memory.ts";
import { type RingPlace, RingProducer } from "../memory/ring.ts";
import { RecordWriter } from "./record_writer.ts";

/** Thrown out of whatever writes, when the role must end while its ring is full. */
export class GaveUp extends Error {}

export class RecordOutlet {
  readonly writer: RecordWriter;
  private readonly ring: RingProducer;
  private readonly accounting: Doorbell;
  private readonly words: Int32Array;
  private readonly counters: Float64Array;
  private readonly epoch: number;

  /**
   * @param epoch Of this incarnation of the role.
   * @param place Of a ring that accounting reads.
   */
  constructor(memory: Memory, role: number, epoch: number, place: RingPlace) {
    this.ring = new RingProducer(memory.buffer, place);
    this.accounting = new Doorbell(memory, Role.accounting);
    this.words = attachRole(memory, role);
    this.counters = attachCounters(memory, role);
    this.epoch = epoch;
    this.writer = new RecordWriter(this.ring, () => this.waitForRoom());
  }

  /** Hands over what was written so far. HOT. */
  publish(): void {
    if (this.ring.publish() > 0) this.accounting.ring();
  }

  private waitForRoom(): void {
    const { words } = this;
    this.counters[CounterIndex.ringFull]!++;
    this.publish();
    this.accounting.ring();
    this.ring.waitForRoom(HEARTBEAT_MS);
    Atomics.add(words, RoleWord.heartbeat, 1);
    const isReplaced = Atomics.load(words, RoleWord.epoch) !== this.epoch;
    if (isReplaced || Atomics.load(words, RoleWord.stop) !== 0) {
      throw new GaveUp("the ring is full and the worker must end");
    }
  }
}
