/**
 * The journal: one stream of what happened, for any number of subscribers.
 *
 * Whoever publishes never waits and never hears of a subscriber's failure. A subscriber that is not
 * ready has a bounded queue of its own; what finds it full is missed by that one alone, and counted.
 * Numbers are consecutive, so a subscriber sees by a gap what it has missed.
 *
 * @module
 */
import type { JournalEvent, KillReceipt } from "./events.ts";

/** An event, numbered and dated. Shared by all subscribers: not to be changed. */
export interface JournalEntry {
  /** 1 for the first since the daemon began; start-overs go on counting. */
  readonly number: number;
  /** When it happened, CLOCK_MONOTONIC, nanoseconds. */
  readonly monotonicNs: number;
  /** When it happened, by the wall clock as it was set when the event was published. */
  readonly at: Date;
  readonly event: JournalEvent;
  /** Of a kill. */
  readonly receipt?: KillReceipt;
}

/** Whoever wants to know. */
export interface Subscriber {
  /** For `toom status`. */
  readonly name: string;
  /**
   * Takes an entry; in the order of their numbers, one at a time. What takes long returns a promise
   * and gets the next one when that is settled. What it throws is counted.
   */
  take(entry: JournalEntry): void | Promise<void>;
}

/** How a subscriber keeps up. */
export interface SubscriberReport {
  readonly name: string;
  readonly taken: number;
  /** Entries that found its queue full. */
  readonly missed: number;
  /** Entries on which it threw. */
  readonly failed: number;
  readonly queued: number;
}

/** One that takes entries until it is closed. */
export interface Subscription {
  /** It gets nothing more; what waits for it is dropped. */
  close(): void;
}

export interface JournalClock {
  /** CLOCK_MONOTONIC, nanoseconds. */
  nowNs(): number;
  /** Wall clock. */
  now(): Date;
}

/** Entries that wait for one subscriber, unless it asks for another bound. */
export const QUEUE_ENTRIES_MAX = 1000;

export class Journal {
  private readonly clock: JournalClock;
  private readonly deliveries = new Set<Delivery>();
  private lastNumber: number;

  /** @param lastNumber Of the last entry before a start-over. */
  constructor(clock: JournalClock, lastNumber = 0) {
    this.clock = clock;
    this.lastNumber = lastNumber;
  }

  /** Number of the last entry; 0: there is none. */
  get last(): number {
    return this.lastNumber;
  }

  /**
   * Publishes an event. Never throws, never waits.
   *
   * @param happenedNs When, CLOCK_MONOTONIC; 0 or less: now.
   */
  publish(event: JournalEvent, happenedNs = 0, receipt?: KillReceipt): void {
    const nowNs = this.clock.nowNs();
    const agoMs = happenedNs > 0 ? Math.max(0, nowNs - happenedNs) / 1e6 : 0;
    const entry: JournalEntry = {
      number: ++this.lastNumber,
      monotonicNs: happenedNs > 0 ? happenedNs : nowNs,
      at: new Date(this.clock.now().getTime() - agoMs),
      event,
      ...(receipt === undefined ? {} : { receipt }),
    };
    for (const delivery of this.deliveries) delivery.offer(entry);
  }

  /** @param queueEntriesMax Entries that may wait for it. */
  subscribe(subscriber: Subscriber, queueEntriesMax = QUEUE_ENTRIES_MAX): Subscription {
    const delivery = new Delivery(subscriber, queueEntriesMax);
    this.deliveries.add(delivery);
    return {
      close: () => {
        delivery.close();
        this.deliveries.delete(delivery);
      },
    };
  }

  /** How each subscriber keeps up, in the order in which they came. */
  report(): SubscriberReport[] {
    return [...this.deliveries].map((delivery) => delivery.report());
  }
}

/** One subscriber and what waits for it. */
class Delivery {
  private readonly subscriber: Subscriber;
  private readonly queueMax: number;
  private readonly queue: JournalEntry[] = [];
  private isBusy = false;
  private taken = 0;
  private missed = 0;
  private failed = 0;

  constructor(subscriber: Subscriber, queueMax: number) {
    this.subscriber = subscriber;
    this.queueMax = queueMax;
  }

  offer(entry: JournalEntry): void {
    // Busy also while it publishes something itself.
    if (this.isBusy) {
      if (this.queue.length < this.queueMax) this.queue.push(entry);
      else this.missed++;
      return;
    }
    this.isBusy = true;
    const pending = this.give(entry);
    if (pending === undefined) this.goOn();
    else void pending.then(() => this.goOn());
  }

  /** Gives what waits, until there is nothing more or the subscriber takes its time. */
  private goOn(): void {
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      const pending = this.give(next);
      if (pending !== undefined) {
        void pending.then(() => this.goOn());
        return;
      }
    }
    this.isBusy = false;
  }

  /** @returns undefined: it has taken it. Otherwise when it has; never rejected. */
  private give(entry: JournalEntry): Promise<void> | undefined {
    try {
      const pending = this.subscriber.take(entry);
      if (pending === undefined) {
        this.taken++;
        return undefined;
      }
      return pending.then(() => void this.taken++, () => void this.failed++);
    } catch {
      this.failed++;
      return undefined;
    }
  }

  close(): void {
    this.queue.length = 0;
  }

  report(): SubscriberReport {
    const { subscriber: { name }, taken, missed, failed, queue } = this;
    return { name, taken, missed, failed, queued: queue.length };
  }
}
