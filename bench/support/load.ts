/**
 * A made load: processes that grow by a page an event and fall back every so often, in runs as a
 * CPU makes them. The same events as records, raw pages or text lines.
 *
 * @module
 */
import { Member, packRss } from "../../pipeline/memory/layout.ts";
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import type { RawFormats } from "../../kernel/trace/page_format.ts";
import { PAGE_BYTES } from "../../tests/_support/captures.ts";

export interface LoadOptions {
  readonly processes: number;
  /** Events in a row of one process before another one has its turn. */
  readonly run: number;
  /** Of 1 or more loads that run side by side, each on a CPU of its own; 0 when left out. */
  readonly cpu?: number;
}

/** Pages that a process has at least, and that it grows by before it gives them back. */
export const BASE_PAGES = 1000;
export const GROW_PAGES = 64;
export const FIRST_PID = 1000;
const PIDS_PER_CPU = 100_000;
const EVENT_NS = 1000;
const START_NS = 1000e9;

/** What read(2) of trace_pipe gives at most. */
export const READ_BYTES = 8150;
const PAGE_HEADER_BYTES = 16;

type Emit = (tsNs: number, cpu: number, tid: number, mmId: number, pages: number) => void;

export class Load {
  readonly processes: number;
  readonly firstPid: number;
  private readonly run: number;
  private readonly cpu: number;
  private readonly grown: Int32Array;
  private nowNs = START_NS;
  private seed = 0x2545f491;
  private current = 0;
  private left = 0;

  constructor({ processes, run, cpu = 0 }: LoadOptions) {
    this.processes = processes;
    this.run = run;
    this.cpu = cpu;
    this.firstPid = FIRST_PID + cpu * PIDS_PER_CPU;
    this.grown = new Int32Array(processes);
  }

  /** The mm of a process: spread over 32 bits as the kernel's are, and never 0. */
  mmIdOf(index: number): number {
    return Math.imul(this.firstPid + index, 0x9e3779b1) | 1;
  }

  /** The next events. */
  emit(count: number, emit: Emit): void {
    for (let i = 0; i < count; i++) {
      if (this.left-- === 0) this.turn();
      const { current } = this;
      const grown = this.grown[current] = (this.grown[current]! + 1) % GROW_PAGES;
      this.nowNs += EVENT_NS;
      const tid = this.firstPid + current;
      emit(this.nowNs, this.cpu, tid, this.mmIdOf(current), BASE_PAGES + grown);
    }
  }

  /** Another process has its turn. Marsaglia's xorshift: any, and the same in every run. */
  private turn(): void {
    this.seed ^= this.seed << 13;
    this.seed ^= this.seed >>> 17;
    this.seed ^= this.seed << 5;
    this.current = (this.seed >>> 0) % this.processes;
    this.left = this.run - 1;
  }

  toRecords(count: number, writer: RecordWriter): void {
    const anon = packRss(Member.anon, 1, false);
    this.emit(count, (tsNs, cpu, tid, mmId, pages) => {
      writer.rss(tsNs, cpu, tid, mmId, pages, anon, 0);
    });
  }

  /** As per_cpu/cpuN/trace_pipe_raw gives them. */
  toRawPages(count: number, formats: RawFormats): Uint8Array[] {
    const { id, words, pidWord, mmIdWord, currWord, memberWord, sizeWord } = formats.rssStat;
    const pages: Uint8Array[] = [];
    let view = new DataView(new ArrayBuffer(PAGE_BYTES));
    let at = PAGE_BYTES;
    let beforeNs = 0;
    const recordBytes = words * 4;
    this.emit(count, (tsNs, _cpu, tid, mmId, sizePages) => {
      if (at + 4 + recordBytes > PAGE_BYTES) {
        view = new DataView(new ArrayBuffer(PAGE_BYTES));
        pages.push(new Uint8Array(view.buffer));
        view.setBigUint64(0, BigInt(tsNs), true);
        at = PAGE_HEADER_BYTES;
        beforeNs = tsNs;
      }
      view.setUint32(at, words | (tsNs - beforeNs) << 5, true);
      beforeNs = tsNs;
      const payload = at + 4;
      view.setUint16(payload, id, true);
      view.setInt32(payload + pidWord * 4, tid, true);
      view.setInt32(payload + mmIdWord * 4, mmId, true);
      view.setInt32(payload + currWord * 4, 1, true);
      view.setInt32(payload + memberWord * 4, Member.anon, true);
      view.setBigInt64(payload + sizeWord * 4, BigInt(sizePages * PAGE_BYTES), true);
      at = payload + recordBytes;
      view.setUint32(8, at - PAGE_HEADER_BYTES, true);
    });
    return pages;
  }

  /** As trace_pipe gives them: whole lines, as many as fit into a read. */
  toTextReads(count: number): Uint8Array[] {
    const lines: string[] = [];
    this.emit(count, (tsNs, cpu, tid, mmId, pages) => {
      const secs = Math.floor(tsNs / 1e9);
      const micros = String(Math.floor(tsNs % 1e9 / 1e3)).padStart(6, "0");
      lines.push(
        `             hog-${tid}  [${String(cpu).padStart(3, "0")}] ...1. ${secs}.${micros}: ` +
          `rss_stat: mm_id=${mmId >>> 0} curr=1 type=MM_ANONPAGES size=${pages * PAGE_BYTES}B\n`,
      );
    });
    const reads: Uint8Array[] = [];
    const encoder = new TextEncoder();
    let read = "";
    for (const line of lines) {
      if (read.length + line.length > READ_BYTES) {
        reads.push(encoder.encode(read));
        read = "";
      }
      read += line;
    }
    if (read !== "") reads.push(encoder.encode(read));
    return reads;
  }
}
