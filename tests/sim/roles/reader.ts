/**
 * A reader: takes events out of the buffers of its CPUs and writes them into its ring through the
 * real RecordWriter. When that is full it waits, and the kernel's buffers overflow.
 *
 * @module
 */
import { RecordKind, Role } from "../../../pipeline/memory/layout.ts";
import { RingProducer } from "../../../pipeline/memory/ring.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import type { SimContext } from "../context.ts";
import type { FakeBuffer, FakeEvent } from "../kernel/tracing.ts";
import { LARGE } from "../options.ts";

/** Times of the records in each reader's ring, oldest first. They outlive a reader. */
export class Written {
  readonly byReader: number[][];
  events = 0;
  losses = 0;

  constructor(readers: number) {
    this.byReader = Array.from({ length: readers }, () => []);
  }

  clear(): void {
    for (const times of this.byReader) times.length = 0;
  }
}

export class ReaderRole {
  private readonly sim: SimContext;
  private readonly index: number;
  private readonly written: Written;
  private readonly writer: RecordWriter;
  private readonly buffers: readonly FakeBuffer[];
  private isSuccessor: boolean;

  constructor(sim: SimContext, index: number, written: Written, isSuccessor: boolean) {
    this.sim = sim;
    this.index = index;
    this.written = written;
    this.isSuccessor = isSuccessor;
    const { buffer, plan } = sim.memory;
    const ring = new RingProducer(buffer, plan.readerRings[index]!);
    this.writer = new RecordWriter(ring, () => {
      ring.publish();
      sim.waitUntil(Role.reader + index, () => ring.claim() >= 0);
    });
    this.buffers = sim.kernel.tracing.buffers.filter((_, cpu) =>
      cpu % sim.options.readers === index
    );
    // What a predecessor had written and not published is not there any more.
    const times = written.byReader[index]!;
    times.splice(ring.backlog);
  }

  /** Takes some events. @returns How many. */
  step(takesAll = false): number {
    if (this.isSuccessor) {
      // A predecessor may have taken events that never became records.
      this.isSuccessor = false;
      this.writer.lost(this.sim.kernel.nowNs, this.index, -1);
      this.wrote(this.sim.kernel.nowNs);
      this.written.losses++;
    }
    const { options } = this.sim;
    const taken = !options.skew && options.readers === 1
      ? this.takeInOrder(takesAll)
      : this.takeByCpu(takesAll);
    this.sim.call(Role.reader + this.index, 500);
    this.writer.ring.publish();
    return taken;
  }

  /** Always the oldest event of all CPUs. */
  private takeInOrder(takesAll: boolean): number {
    const wanted = takesAll ? LARGE : this.sim.random.pick([3, 10, 40]);
    let taken = 0;
    for (; taken < wanted; taken++) {
      let next = this.buffers[0]!;
      for (const buffer of this.buffers) {
        if ((buffer.events[0]?.tsNs ?? Infinity) < (next.events[0]?.tsNs ?? Infinity)) {
          next = buffer;
        }
      }
      const [first] = next.events;
      if (first === undefined) break;
      this.tellLoss(next, first);
      this.write(first);
      // While it was written, others went on, and it may have been overwritten.
      if (next.events[0] === first) next.events.shift();
    }
    return taken;
  }

  /** Some of each CPU, merged by time, while more may be written with an earlier one. */
  private takeByCpu(takesAll: boolean): number {
    const batch: FakeEvent[] = [];
    for (const buffer of this.buffers) {
      const wanted = takesAll ? LARGE : this.sim.random.pick([0, 3, 10, 40]);
      if (wanted === 0 || buffer.events.length === 0) continue;
      this.tellLoss(buffer, buffer.events[0]!);
      batch.push(...buffer.events.slice(0, wanted));
    }
    batch.sort((one, other) => one.tsNs - other.tsNs);
    for (const event of batch) {
      this.write(event);
      const buffer = this.buffers.find(({ events }) => events[0] === event);
      buffer?.events.shift();
    }
    return batch.length;
  }

  private tellLoss(buffer: FakeBuffer, { tsNs, cpu }: FakeEvent): void {
    if (buffer.lost === 0) return;
    const lost = this.sim.kernel.tracing.takeLost(buffer);
    this.writer.lost(tsNs, cpu, this.sim.random.oneIn(2) ? lost : -1);
    this.wrote(tsNs);
    this.written.losses++;
  }

  private write({ tsNs, kind, cpu, tid, a, b, c, d }: FakeEvent): void {
    const { writer } = this;
    switch (kind) {
      case RecordKind.rss:
        writer.rss(tsNs, cpu, tid, a, b, c, d);
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
    this.wrote(tsNs);
    this.written.events++;
  }

  private wrote(tsNs: number): void {
    this.written.byReader[this.index]!.push(tsNs);
  }

  /** Time of the oldest record in its ring. */
  oldestNs(): number {
    const { ring } = this.writer;
    const times = this.written.byReader[this.index]!;
    times.splice(0, times.length - ring.backlog - ring.pending);
    return times.reduce((oldest, tsNs) => Math.min(oldest, tsNs), Infinity);
  }
}
