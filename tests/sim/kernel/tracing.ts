/**
 * What the fake kernel records: a buffer a CPU in which the oldest events are overwritten, the list
 * of tasks (`set_event_pid` with `event-fork`), and beside it all execs and changes of user of the
 * machine.
 *
 * @module
 */
import type { RecordKind } from "../../../pipeline/memory/layout.ts";

export interface FakeEvent {
  readonly tsNs: number;
  readonly kind: RecordKind;
  readonly cpu: number;
  readonly tid: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** A CPU's buffer: a loss, if any, lies before the events. */
export interface FakeBuffer {
  lost: number;
  /** Time of the first event that was lost. */
  lostFromNs: number;
  readonly events: FakeEvent[];
}

/** Execs and changes of user that wait to be read; more are lost, as of a netlink socket. */
const WAITING_MAX = 64;

export class FakeTracing {
  readonly buffers: FakeBuffer[];
  /** Tasks whose events are recorded. */
  readonly list = new Set<number>();
  /** Everybody's events are recorded, for want of a list. */
  tracesAll = false;
  /** Processes that executed a program, and that changed their user. */
  readonly execs: number[] = [];
  readonly userChanges: number[] = [];
  hasLostExecs = false;
  hasLostUserChanges = false;
  /** Events that anybody has read. */
  eventsRead = 0;
  /** Somebody may turn it off. */
  isOn = true;
  /** The list has toom's mark. */
  hasSentinel = true;
  /** Since when events were missed that no sweep has made up for; Infinity: none were. */
  missedFromNs = Infinity;
  private areUserChangesHeard = false;
  private readonly bufferEvents: number;

  constructor(cpus: number, bufferEvents: number) {
    this.bufferEvents = bufferEvents;
    this.buffers = Array.from({ length: cpus }, () => ({
      lost: 0,
      lostFromNs: Infinity,
      events: [],
    }));
  }

  isTraced(tid: number): boolean {
    return this.tracesAll || this.list.has(tid);
  }

  /** A task was made: with `event-fork` it is recorded if its parent is. */
  born(parentTid: number, childTid: number): void {
    if (this.list.has(parentTid)) this.list.add(childTid);
  }

  record(event: FakeEvent): void {
    if (!this.isOn) return;
    const buffer = this.buffers[event.cpu]!;
    buffer.events.push(event);
    if (buffer.events.length <= this.bufferEvents) return;
    const lost = buffer.events.shift()!;
    if (buffer.lost++ === 0) buffer.lostFromNs = lost.tsNs;
  }

  /** Takes the loss of a buffer. @returns Events lost. */
  takeLost(buffer: FakeBuffer): number {
    const { lost } = buffer;
    buffer.lost = 0;
    buffer.lostFromNs = Infinity;
    return lost;
  }

  executed(pid: number): void {
    if (this.execs.length < WAITING_MAX) this.execs.push(pid);
    else this.hasLostExecs = true;
  }

  /** Somebody begins to listen, or ends: what was not read by then is gone. */
  listenToUserChanges(listens = true): void {
    this.userChanges.length = 0;
    this.hasLostUserChanges = false;
    this.areUserChangesHeard = listens;
  }

  changedUser(pid: number): void {
    if (!this.areUserChangesHeard) return;
    if (this.userChanges.length < WAITING_MAX) this.userChanges.push(pid);
    else this.hasLostUserChanges = true;
  }

  /** All of /proc was read, and nobody had touched anything since it began. */
  swept(beganNs: number): void {
    if (this.isOn && this.hasSentinel && this.missedFromNs < beganNs) this.missedFromNs = Infinity;
  }

  /** Time of the oldest event that toom has not read, those that were lost or missed included. */
  oldestNs(): number {
    let oldestNs = this.missedFromNs;
    for (const { events, lostFromNs } of this.buffers) {
      oldestNs = Math.min(oldestNs, lostFromNs, events[0]?.tsNs ?? Infinity);
    }
    return oldestNs;
  }

  /** The instances are made anew: nobody is on the list, nothing is recorded. */
  remake(): void {
    this.list.clear();
    for (const buffer of this.buffers) {
      buffer.events.length = 0;
      this.takeLost(buffer);
    }
    this.execs.length = 0;
    this.hasLostExecs = false;
    this.listenToUserChanges(false);
    this.eventsRead = 0;
    this.isOn = this.hasSentinel = true;
    this.missedFromNs = Infinity;
  }
}
