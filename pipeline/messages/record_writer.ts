/**
 * Writes records into a ring. Those of the tracepoints have a method each, which is quick; the others
 * are opened, filled in by name, and closed.
 *
 * @module
 */
import { CPU_SHIFT, RECORD_WORDS, RecordKind, RecordWord } from "../memory/layout.ts";
import type { RingProducer } from "../memory/ring.ts";
import type { Codec, Fields, View } from "./codec.ts";
import { invariant } from "../memory/invariant.ts";

export class RecordWriter {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly onFull: () => void;
  /** By kind. */
  private readonly views: View<Fields>[] = [];
  readonly ring: RingProducer;

  /**
   * @param ring Ring of records of RECORD_BYTES.
   * @param onFull Called when the ring is full, until it is not: publishes, wakes the consumer,
   *   waits. It may throw to give up (the record is then not written).
   */
  constructor(ring: RingProducer, onFull: () => void) {
    invariant(ring.recordWords === RECORD_WORDS, "record writer: not a ring of records");
    this.ring = ring;
    this.onFull = onFull;
    this.words = ring.words;
    this.doubles = ring.doubles;
  }

  /**
   * Begins a record: all of its fields are 0. To be filled in, and {@link close}d.
   *
   * @param tsNs Time of what it says, nanoseconds of CLOCK_MONOTONIC.
   */
  open<F extends Fields>(codec: Codec<F>, tsNs: number, cpu = 0): View<F> {
    let word = this.ring.claim();
    while (word < 0) {
      this.onFull();
      word = this.ring.claim();
    }
    return this.begin(codec, word, tsNs, cpu);
  }

  /** As {@link open}, but undefined when the ring is full. */
  tryOpen<F extends Fields>(codec: Codec<F>, tsNs: number): View<F> | undefined {
    const word = this.ring.claim();
    return word < 0 ? undefined : this.begin(codec, word, tsNs, 0);
  }

  /** Takes the record that was opened into the batch; the caller publishes. */
  close(): void {
    this.ring.advance();
  }

  private begin<F extends Fields>(
    codec: Codec<F>,
    word: number,
    tsNs: number,
    cpu: number,
  ): View<F> {
    const { words } = this;
    this.doubles[word >> 1] = tsNs;
    words[word + RecordWord.kindCpu] = codec.kind | (cpu << CPU_SHIFT);
    words[word + RecordWord.tid] = 0;
    words[word + RecordWord.a] = 0;
    words[word + RecordWord.b] = 0;
    words[word + RecordWord.c] = 0;
    words[word + RecordWord.d] = 0;
    const view = this.views[codec.kind] ?? (this.views[codec.kind] = codec.view(words));
    return view.at(word) as View<F>;
  }

  /** Writes the words of a record: what the methods below name. HOT. */
  private put(
    tsNs: number,
    kind: RecordKind,
    cpu: number,
    tid: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ): void {
    let word = this.ring.claim();
    while (word < 0) {
      this.onFull();
      word = this.ring.claim();
    }
    const words = this.words;
    this.doubles[word >> 1] = tsNs;
    words[word + RecordWord.kindCpu] = kind | (cpu << CPU_SHIFT);
    words[word + RecordWord.tid] = tid;
    words[word + RecordWord.a] = a;
    words[word + RecordWord.b] = b;
    words[word + RecordWord.c] = c;
    words[word + RecordWord.d] = d;
    this.ring.advance();
  }

  /**
   * A change of one counter of one mm.
   * @param mmId The kernel's mm_id, as a signed 32-bit pattern.
   * @param pages The new size; negative values occur before Linux 6.2.
   * @param packed From packRss().
   * @param tgid Process of the emitter where the line tells it, else 0.
   */
  rss(
    tsNs: number,
    cpu: number,
    tid: number,
    mmId: number,
    pages: number,
    packed: number,
    tgid: number,
  ): void {
    this.put(tsNs, RecordKind.rss, cpu, tid, mmId, pages, packed, tgid);
  }

  /** A task was made: tracepoint task:task_newtask. */
  newTask(
    tsNs: number,
    cpu: number,
    parentTid: number,
    childTid: number,
    cloneFlags: number,
    parentTgid: number,
  ): void {
    this.put(
      tsNs,
      RecordKind.newTask,
      cpu,
      parentTid,
      childTid,
      cloneFlags | 0,
      0,
      parentTgid,
    );
  }

  /** A program was loaded: tracepoint sched:sched_process_exec. */
  exec(tsNs: number, cpu: number, tid: number, pid: number, oldPid: number): void {
    this.put(tsNs, RecordKind.exec, cpu, tid, pid, oldPid, 0, 0);
  }

  /**
   * A task ends: tracepoint sched:sched_process_exit, which comes before its memory goes.
   * @param groupDead 1 the last of its process, 0 not, -1 the kernel does not say.
   */
  exit(tsNs: number, cpu: number, tid: number, pid: number, groupDead: number): void {
    this.put(tsNs, RecordKind.exit, cpu, tid, pid, groupDead, 0, 0);
  }

  /** A task is no more: tracepoint sched:sched_process_free. */
  free(tsNs: number, cpu: number, tid: number, pid: number): void {
    this.put(tsNs, RecordKind.free, cpu, tid, pid, 0, 0, 0);
  }

  /** The kernel's own OOM killer takes a process: tracepoint oom:mark_victim. */
  oomVictim(tsNs: number, cpu: number, tid: number, pid: number): void {
    this.put(tsNs, RecordKind.oomVictim, cpu, tid, pid, 0, 0, 0);
  }

  /**
   * The kernel overwrote events before they were read.
   * @param count How many, -1 when it does not say.
   */
  lost(tsNs: number, cpu: number, count: number): void {
    this.put(tsNs, RecordKind.lost, cpu, 0, count, 0, 0, 0);
  }
}
