/**
 * Where a reader's events come from: the buffers of its CPUs. What is taken out of them is gone from
 * the kernel, whether the reader lives to make records of it or not.
 *
 * @module
 */
import { CounterIndex, RecordKind } from "../../../pipeline/memory/layout.ts";
import type { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import type { TraceSource } from "../../../pipeline/ports.ts";
import { RoleDied, type SimContext } from "../context.ts";
import { LARGE } from "../options.ts";
import type { FakeBuffer, FakeEvent } from "./tracing.ts";

const EVENT_BYTES = 36;
/** Events of a page, between which records are handed over. */
const EVENTS_A_PAGE = 16;
/** The kernel says so often that there is something, and there is nothing: one time in so many. */
const FALSE_ALARM_ONE_IN = 64;
const UNKNOWN_COUNT = -1;

/** Events that were overwritten. */
interface Loss {
  readonly lost: number;
  readonly cpu: number;
  /** Of the first that was not. */
  readonly tsNs: number;
  /** Of the first that was. */
  readonly fromNs: number;
}

type Taken = FakeEvent | Loss;

/** What has left the kernel's buffers, by reader, and accounting has not taken; it outlives them. */
export class Written {
  /** Times of the records in each reader's ring, oldest first. */
  readonly times: number[][];
  /** Taken, and not written yet. */
  readonly taken: Taken[][];
  events = 0;
  losses = 0;

  constructor(readers: number) {
    this.times = Array.from({ length: readers }, () => []);
    this.taken = Array.from({ length: readers }, () => []);
  }

  clear(): void {
    for (const list of [...this.times, ...this.taken]) list.length = 0;
  }
}

function timeOf(taken: Taken): number {
  return "lost" in taken ? taken.fromNs : taken.tsNs;
}

export class SimTraceSource implements TraceSource {
  readonly firstCpu: number;
  readonly writer: RecordWriter;
  /** Takes all that there is, not as much as chance will have it. */
  takesAll = false;
  /** Events taken by the last {@link read}. */
  lastEvents = 0;
  private readonly sim: SimContext;
  private readonly role: number;
  private readonly onPage: () => void;
  private readonly counters: Float64Array;
  private readonly buffers: readonly FakeBuffer[];
  private readonly written: Written;
  private readonly taken: Taken[];
  private readonly times: number[];
  private events: number;
  private lifecycle: number;

  constructor(
    sim: SimContext,
    role: number,
    index: number,
    written: Written,
    writer: RecordWriter,
    onPage: () => void,
    counters: Float64Array,
  ) {
    this.sim = sim;
    this.role = role;
    this.firstCpu = index;
    this.writer = writer;
    this.onPage = onPage;
    this.counters = counters;
    this.written = written;
    this.taken = written.taken[index]!;
    this.times = written.times[index]!;
    this.buffers = sim.kernel.tracing.buffers.filter((_, cpu) =>
      cpu % sim.options.readers === index
    );
    this.events = counters[CounterIndex.events]!;
    this.lifecycle = counters[CounterIndex.lifecycle]!;
  }

  read(isChasing: boolean): number {
    const { sim } = this;
    this.lastEvents = 0;
    do {
      sim.call(this.role, 500);
      if (sim.options.dies && sim.failsNow()) throw new RoleDied(this.role, "read: EIO");
      const { options } = sim;
      if (!options.skew && options.readers === 1) this.takeInOrder();
      else this.takeByCpu();
      if (this.taken.length === 0) break;
      this.writeTaken();
    } while (isChasing && sim.random.oneIn(2));
    return this.lastEvents * EVENT_BYTES;
  }

  private get wanted(): number {
    return this.takesAll ? LARGE : this.sim.random.pick([0, 3, 10, 40]);
  }

  /** The oldest events of all CPUs. */
  private takeInOrder(): void {
    for (let left = this.takesAll ? LARGE : this.sim.random.pick([3, 10, 40]); left > 0; left--) {
      let next = this.buffers[0]!;
      for (const buffer of this.buffers) {
        if ((buffer.events[0]?.tsNs ?? Infinity) < (next.events[0]?.tsNs ?? Infinity)) {
          next = buffer;
        }
      }
      if (next.events.length === 0) return;
      this.takeLoss(next);
      this.take(next.events.shift()!);
    }
  }

  /** Some of each CPU, merged by time, while more may be written with an earlier one. */
  private takeByCpu(): void {
    for (const buffer of this.buffers) {
      const { wanted } = this;
      if (wanted === 0 || buffer.events.length === 0) continue;
      this.takeLoss(buffer);
      for (const event of buffer.events.splice(0, wanted)) this.take(event);
    }
    this.taken.sort((one, other) => one.tsNs - other.tsNs);
  }

  private take(event: FakeEvent): void {
    this.taken.push(event);
    this.lastEvents++;
    this.sim.kernel.tracing.eventsRead++;
  }

  private takeLoss(buffer: FakeBuffer): void {
    if (buffer.lost === 0) return;
    const [{ tsNs, cpu }] = buffer.events as [FakeEvent];
    const { lostFromNs } = buffer;
    const lost = this.sim.kernel.tracing.takeLost(buffer);
    this.taken.push({ lost, cpu, tsNs, fromNs: lostFromNs });
  }

  private writeTaken(): void {
    const { sim, taken, times } = this;
    for (let written = 1; taken.length > 0; written++) {
      const [next] = taken as [Taken];
      this.write(next);
      times.push(timeOf(next));
      taken.shift();
      if (written % EVENTS_A_PAGE !== 0) continue;
      this.onPage();
      sim.call(this.role);
    }
    sim.call(this.role);
  }

  private write(taken: Taken): void {
    const { writer } = this;
    if ("lost" in taken) {
      writer.lost(taken.tsNs, taken.cpu, this.sim.random.oneIn(2) ? taken.lost : UNKNOWN_COUNT);
      this.written.losses++;
      return;
    }
    const { tsNs, kind, cpu, tid, a, b, c, d } = taken;
    switch (kind) {
      case RecordKind.rss:
        writer.rss(tsNs, cpu, tid, a, b, c, d);
        this.events++;
        break;
      case RecordKind.newTask:
        writer.newTask(tsNs, cpu, tid, a, b, d);
        break;
      case RecordKind.exec:
        writer.exec(tsNs, cpu, tid, a, b);
        break;
      case RecordKind.exit:
        writer.exit(tsNs, cpu, tid, a, b);
        break;
      default:
        writer.free(tsNs, cpu, tid, a);
    }
    if (kind !== RecordKind.rss) this.lifecycle++;
    this.written.events++;
  }

  storeCounts(): void {
    this.counters[CounterIndex.events] = this.events;
    this.counters[CounterIndex.lifecycle] = this.lifecycle;
  }

  /** Something always comes before the time is over. */
  wait(_timeoutMs: number): boolean {
    this.sim.call(this.role);
    return this.buffers.some(({ events }) => events.length > 0) ||
      this.sim.random.oneIn(FALSE_ALARM_ONE_IN);
  }

  rehearse(_reads: number): void {}

  /** Time of the oldest that was taken and accounting has not. */
  oldestNs(): number {
    const { times, taken, writer: { ring } } = this;
    times.splice(0, times.length - ring.backlog - ring.pending);
    let oldestNs = Infinity;
    for (const tsNs of times) oldestNs = Math.min(oldestNs, tsNs);
    for (const one of taken) oldestNs = Math.min(oldestNs, timeOf(one));
    return oldestNs;
  }

  /** What a predecessor has taken, and never published. @returns Time of the oldest of it. */
  forgetUnwritten(): number {
    const { times, taken, writer: { ring } } = this;
    let oldestNs = Infinity;
    for (const tsNs of times.splice(ring.backlog)) oldestNs = Math.min(oldestNs, tsNs);
    for (const one of taken.splice(0)) oldestNs = Math.min(oldestNs, timeOf(one));
    return oldestNs;
  }
}
