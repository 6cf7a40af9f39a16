/**
 * Wakes the sweeper for the brake when a user grows that is above soft with what it was promised: at
 * most once a millisecond a user, and only for users whose processes may be braked.
 *
 * @module
 */
import { HeaderWord } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { BRAKE_EVERY_NS } from "../memory/timing.ts";
import type { RulesView } from "./published_rules.ts";

export class BrakeCalls {
  private readonly header: Int32Array;
  private readonly users: Memory["users"];
  private readonly rules: RulesView;
  private readonly wake: () => void;
  /** By user slot: 1 where its processes may be braked, and when it was asked for. */
  private readonly isBraked: Uint8Array;
  private readonly askedNs: Float64Array;
  private changes = 0;
  private changesDueNs = -Infinity;

  /** @param wake Must not wait. */
  constructor(memory: Memory, rules: RulesView, wake: () => void) {
    const { users } = memory.plan.capacity;
    this.header = memory.header;
    this.users = memory.users;
    this.rules = rules;
    this.wake = wake;
    this.isBraked = new Uint8Array(users);
    this.askedNs = new Float64Array(users).fill(-Infinity);
  }

  /** The user of a row has another limit. */
  limit(userSlot: number, uid: number): void {
    this.isBraked[userSlot] = this.rules.brakeOf(uid) === "off" ? 0 : 1;
  }

  /**
   * Charged pages up to which the brake is not needed: up to soft, less what was promised to programs
   * that ask, for which room is kept. {@link limit} comes first.
   */
  belowPages(userSlot: number): number {
    const softPages = this.users.softPages[userSlot]!;
    if (this.isBraked[userSlot] === 0) return softPages;
    return Math.max(0, softPages - Atomics.load(this.users.promisedPages, userSlot));
  }

  /** Whether promises have changed since the last call that said so: once a millisecond at most. */
  isPromiseNew(nowNs: number): boolean {
    const changes = Atomics.load(this.header, HeaderWord.promiseChanges);
    if (changes === this.changes || nowNs < this.changesDueNs) return false;
    this.changes = changes;
    this.changesDueNs = nowNs + BRAKE_EVERY_NS;
    return true;
  }

  /** Whether room is kept for promises of the user of a row, whose processes may be braked. */
  keepsRoom(userSlot: number): boolean {
    return this.isBraked[userSlot] !== 0 && this.users.promisedPages[userSlot]! > 0;
  }

  /** The user of a row has grown above {@link belowPages}. */
  grown(userSlot: number, tsNs: number): void {
    if (this.isBraked[userSlot] === 0) return;
    if (tsNs - this.askedNs[userSlot]! < BRAKE_EVERY_NS) return;
    this.askedNs[userSlot] = tsNs;
    this.wake();
  }
}
