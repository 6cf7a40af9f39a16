/**
 * Whether anybody could reach its soft limit before the next look: if so, each page is booked; if not,
 * pages cost nothing, and every user is looked at now and then.
 *
 *     interval = distance to soft / the most that all CPUs can take in that time
 *
 * at most {@link LOOK_EVERY_NS_MAX}, or longer where there are so many processes that looks would take
 * more than {@link REST_LOOK_SHARE} of a CPU while nothing happens. Where looks as often as distances
 * demand would cost more than {@link LOOK_SHARE} of a CPU, booking each page is cheaper, and everybody
 * counts as near.
 *
 * @module
 */
import { attachCounters, type Memory } from "../memory/memory.ts";
import { CounterIndex, Role, TABLE_HEADER_BYTES, TableWord, UserState } from "../memory/layout.ts";
import type { Clock, RecordedUsers } from "../ports.ts";

/** Everybody is looked at so often, unless somebody may reach soft earlier. */
export const LOOK_EVERY_NS_MAX = 1e9;
/** Where that costs more of a CPU, less often, but never later than the second number says. */
const REST_LOOK_SHARE = 0.003;
export const REST_LOOK_EVERY_NS_MAX = 4e9;
/** More often would be late each time on a busy machine. */
const LOOK_EVERY_NS_MIN = 20e6;
/** All looks together take no more of a CPU. */
const LOOK_SHARE = 0.01;
/** What a look costs, until one was made. */
const LOOK_NS_GUESS = 1e6;
/** From the end of an interval until each page is booked. */
const ATTACH_NS = 10e6;
/** Nobody must have been near for so long before pages are not booked any more. */
const FAR_AFTER_NS = 2e9;
/** And by so much, because attaching costs more than a look. */
const FAR_FACTOR = 2;
/** While pages are booked, distances are compared so often. */
const COMPARE_EVERY_NS = 100e6;
/** By each of these the last look counts as this much cheaper, until one is tried again: half in 7 s. */
const STALE_FACTOR = 0.99;
/**
 * The least that a CPU can be expected to take: huge pages, of which the kernel clears 33 MiB in a
 * millisecond (limits/urgency.ts). Slower CPUs count as this, because a probe that got no huge page
 * tells nothing of processes that get some.
 */
export const CPU_GROWTH_BYTES_PER_NS = 33 * 2 ** 20 / 1e6;
/**
 * More than that all CPUs together cannot: 1.3 TB/s is what the memory of two sockets takes, each of twelve
 * channels of DDR5-6400.
 */
const MACHINE_GROWTH_BYTES_PER_NS = 1300;
/** CPUs clear pages at other speeds from one moment to the next. */
const PROBE_MARGIN = 1.25;

/**
 * The most that the programs of a machine can take together, bytes a nanosecond.
 *
 * @param cpus CPUs that they run on.
 * @param probedBytesPerNs What one CPU took when toom started; 0: it was not probed.
 */
export function machineGrowth(cpus: number, probedBytesPerNs: number): number {
  const each = Math.max(CPU_GROWTH_BYTES_PER_NS, probedBytesPerNs * PROBE_MARGIN);
  return Math.min(cpus * each, MACHINE_GROWTH_BYTES_PER_NS);
}

/**
 * Whoever is less than so many pages from its soft limit is near, however cheap looks are.
 *
 * @param growthBytesPerNs See {@link machineGrowth}.
 */
export function nearPages(growthBytesPerNs: number, pageBytes: number): number {
  return Math.ceil((LOOK_EVERY_NS_MIN + ATTACH_NS) * growthBytesPerNs / pageBytes);
}

export interface NearnessOptions {
  readonly memory: Memory;
  readonly users: RecordedUsers;
  readonly clock: Clock;
  /** See {@link machineGrowth}. */
  readonly growthBytesPerNs: number;
  readonly pageBytes: number;
}

export class Nearness {
  private readonly options: NearnessOptions;
  private readonly counters: Float64Array;
  private readonly userHeader: Int32Array;
  private readonly growthPagesPerNs: number;
  /** What a look costs: the lower of the last two, as one may have been held up. */
  private lookNs = LOOK_NS_GUESS;
  private lastLookNs = Infinity;
  private dueNs = 0;
  /** Since when nobody is near; Infinity: somebody is. */
  private farSinceNs = Infinity;
  private readonly promised = new Map<number, number>();
  private leastPages = Infinity;
  /** The kernel has refused something, and is not asked again before. */
  private refusedUntilNs = 0;
  private readonly takeDistance = (uid: number, pages: number): void => {
    const distance = pages - (this.promised.get(uid) ?? 0);
    if (distance < this.leastPages) this.leastPages = distance;
  };

  constructor(options: NearnessOptions) {
    const { memory, growthBytesPerNs, pageBytes } = options;
    this.options = options;
    this.counters = attachCounters(memory, Role.sweeper);
    this.userHeader = new Int32Array(memory.buffer, memory.plan.users, TABLE_HEADER_BYTES / 4);
    if (this.counters[CounterIndex.nearSinceNs] === 0) {
      this.counters[CounterIndex.nearSinceNs] = options.clock.nowNs();
    }
    this.growthPagesPerNs = growthBytesPerNs / pageBytes;
  }

  /** When {@link step} has something to do, nanoseconds. */
  get nextNs(): number {
    const { users } = this.options;
    return Math.max(this.refusedUntilNs, users.hasNews ? 0 : this.dueNs);
  }

  /** Something has happened that may bring somebody near: a limit, a login, long work ahead. */
  hurry(): void {
    this.dueNs = 0;
  }

  /** Long work is ahead, during which nobody could be looked at: each page is booked. */
  attach(nowNs: number): void {
    const { users } = this.options;
    this.farSinceNs = Infinity;
    this.dueNs = nowNs + COMPARE_EVERY_NS;
    if (users.isAttached) return;
    if (users.attach()) this.counters[CounterIndex.nearSinceNs] = nowNs;
    else {
      // Then events of looks are all there is, and the event pipeline acts on them.
      this.refused(nowNs);
    }
  }

  step(nowNs: number): void {
    if (nowNs < this.nextNs) return;
    if (this.options.users.isAttached) this.compare(nowNs);
    else this.look(nowNs);
  }

  private compare(nowNs: number): void {
    this.dueNs = nowNs + COMPARE_EVERY_NS;
    const everyNs = this.everyNs() / FAR_FACTOR;
    if (!this.isAffordable(everyNs)) {
      this.farSinceNs = Infinity;
      // Nobody looks meanwhile: what a look cost on a busy moment must not count for ever.
      if (everyNs >= LOOK_EVERY_NS_MIN) this.lookNs *= STALE_FACTOR;
      return;
    }
    if (this.farSinceNs === Infinity) this.farSinceNs = nowNs;
    if (nowNs - this.farSinceNs < FAR_AFTER_NS) return;
    this.options.users.detach();
    this.counters[CounterIndex.nearSinceNs] = -nowNs;
    this.look(nowNs);
  }

  private look(nowNs: number): void {
    const { users, clock } = this.options;
    const isDone = users.look();
    const tookNs = clock.nowNs() - nowNs;
    this.lookNs = Math.min(tookNs, this.lastLookNs);
    this.lastLookNs = tookNs;
    this.counters[CounterIndex.looks]!++;
    this.counters[CounterIndex.lookNs]! += tookNs;
    const everyNs = this.everyNs();
    if (isDone && this.isAffordable(everyNs)) this.dueNs = nowNs + everyNs;
    else this.attach(nowNs);
  }

  private refused(nowNs: number): void {
    this.counters[CounterIndex.attachFailures]!++;
    this.dueNs = this.refusedUntilNs = nowNs + LOOK_EVERY_NS_MIN;
  }

  /** How long nobody can reach its soft limit. */
  private everyNs(): number {
    this.findPromises();
    this.leastPages = Infinity;
    this.options.users.distances(this.takeDistance);
    const restNs = Math.max(LOOK_EVERY_NS_MAX, this.lookNs / REST_LOOK_SHARE);
    return Math.min(
      restNs,
      REST_LOOK_EVERY_NS_MAX,
      this.leastPages / this.growthPagesPerNs - ATTACH_NS,
    );
  }

  private isAffordable(everyNs: number): boolean {
    return everyNs >= LOOK_EVERY_NS_MIN && this.lookNs <= everyNs * LOOK_SHARE;
  }

  /** What tmalloc has promised counts as used: a grant is never refused. */
  private findPromises(): void {
    const { users } = this.options.memory;
    this.promised.clear();
    const highWater = Atomics.load(this.userHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      const pages = users.promisedPages[slot]!;
      if (pages > 0 && users.state[slot] !== UserState.free) {
        this.promised.set(users.uid[slot]! >>> 0, pages);
      }
    }
  }
}
