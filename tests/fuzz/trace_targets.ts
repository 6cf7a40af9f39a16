/**
 * What comes from the kernel and from captures: pages, lines, formats, records, BTF, /proc.
 *
 * @module
 */
import { assert } from "@std/assert";
import { BpfDecoder } from "../../kernel/bpf/bpf_source.ts";
import { BpfRecord } from "../../kernel/bpf/programs/books_layout.ts";
import { Btf, BtfError } from "../../kernel/bpf/types/btf.ts";
import { kernelLayout } from "../../kernel/bpf/types/kernel_layout.ts";
import { parseStatus } from "../../kernel/proc/proc_status.ts";
import { statField } from "../../kernel/proc/proc_text.ts";
import { parseSmapsRollup } from "../../kernel/proc/smaps.ts";
import { parseEventFormat, parseHeaderPage } from "../../kernel/trace/formats.ts";
import { RawPageCursor } from "../../kernel/trace/raw_parser.ts";
import { TextParser } from "../../kernel/trace/text_parser.ts";
import { parseTraceStats } from "../../kernel/trace/trace_stats.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RECORD_BYTES } from "../../pipeline/memory/layout.ts";
import { ringBytes, RingProducer } from "../../pipeline/memory/ring.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import {
  CAPTURE_CPUS,
  captureFormats,
  PAGE_BYTES,
  readCapture,
  RecordSink,
} from "../_support/captures.ts";
import { BtfBuilder } from "../kernel/bpf/btf_builder.ts";
import { Random } from "../_support/random.ts";
import { type FuzzTarget, only, textOf } from "./target.ts";

const NAMES = Object.keys(CAPTURE_CPUS);
const RING_RECORDS = 4096;

function fixture(path: string): Uint8Array {
  return Deno.readFileSync(new URL(`../fixtures/captures/formats/${path}`, import.meta.url));
}

function textTarget(): FuzzTarget {
  const corpus = NAMES.flatMap((name) => [`${name}.trace.txt`, `${name}.pipe.txt`])
    .map(readCapture);
  const sink = new RecordSink({ keep: false });
  return {
    name: "text",
    corpus,
    take: (bytes) => {
      const parser = new TextParser(sink.writer, { pageBytes: PAGE_BYTES });
      parser.push(bytes, bytes.length);
      parser.end();
      sink.drain();
      const { events, lifecycle, malformed, foreign } = parser.counters;
      const lines = bytes.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 1);
      assert(events + lifecycle + malformed + foreign <= 2 * lines, "more records than lines");
    },
  };
}

function rawTarget(): FuzzTarget {
  const formats = captureFormats();
  const corpus = Object.entries(CAPTURE_CPUS).flatMap(([name, cpus]) =>
    cpus.flatMap((cpu) => {
      const file = readCapture(`${name}.cpu${cpu}.raw`);
      const count = Math.min(8, file.length / PAGE_BYTES);
      return Array.from({ length: count }, (_, i) =>
        file.slice(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
    })
  );
  const sink = new RecordSink({ keep: false });
  const page = new Uint8Array(PAGE_BYTES);
  return {
    name: "raw",
    corpus,
    take: (bytes) => {
      const length = Math.min(bytes.length, PAGE_BYTES);
      page.set(bytes.subarray(0, length));
      const cursor = new RawPageCursor(formats, 0);
      cursor.load(page, length);
      cursor.emit(sink.writer);
      sink.drain();
      // An event has four bytes at least.
      assert(cursor.counters.events <= PAGE_BYTES / 4);
    },
  };
}

function bpfTarget(): FuzzTarget {
  const random = new Random(7);
  const corpus = Array.from({ length: 32 }, (_, kind) => {
    const bytes = new Uint8Array(BpfRecord.bytes * 4);
    random.fill(bytes);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 4; i++) view.setUint32(i * BpfRecord.bytes + BpfRecord.kind, kind, true);
    return bytes;
  });
  const buffer = new SharedArrayBuffer(ringBytes(RING_RECORDS, RECORD_BYTES));
  const place = { byteOffset: 0, records: RING_RECORDS, recordBytes: RECORD_BYTES };
  return {
    name: "bpf",
    corpus,
    take: (bytes) => {
      new Uint8Array(buffer).fill(0, 0, 1024);
      const writer = new RecordWriter(new RingProducer(buffer, place), () => {
        throw new Error("one record became more than the ring holds");
      });
      const words = new Int32Array(bytes.length - bytes.length % BpfRecord.bytes >> 2);
      new Uint8Array(words.buffer).set(bytes.subarray(0, words.length * 4));
      const decoder = new BpfDecoder(words, [1, 2, 3], writer);
      const records = words.length * 4 / BpfRecord.bytes;
      for (let i = 0; i < records && i < 16; i++) decoder.take(i * BpfRecord.bytes / 4);
    },
  };
}

function btfTarget(): FuzzTarget {
  const b = new BtfBuilder();
  const int = b.int("int", 4);
  const inner = b.struct("", 8, [{ name: "low", type: int, bits: 0 }]);
  const task = b.struct("task_struct", 16, [
    { name: "flag", type: int, bits: 3, width: 1 },
    { name: "", type: inner, bits: 64 },
  ]);
  b.const(b.typedef("task_t", task));
  b.enum("names", ["first", "second"]);
  b.function("f", b.prototype([]));
  return {
    name: "btf",
    corpus: [b.bytes()],
    take: (bytes) =>
      only(BtfError, () => {
        const btf = new Btf(bytes);
        for (const name of ["task_struct", "task_t", "none"]) btf.find(4, name);
        only(BtfError, () => btf.field(btf.get(4, "task_struct"), "low"));
        kernelLayout(btf);
      }),
  };
}

function formatTarget(): FuzzTarget {
  const names = ["rss_stat", "sched_process_exec", "task_newtask"];
  return {
    name: "formats",
    corpus: [
      ...names.map((name) => fixture(`${name}.format.txt`)),
      fixture("header_page.txt"),
      new TextEncoder().encode("entries: 12\noverrun: 3\ncommit overrun: 0\ndropped events: 1\n"),
    ],
    take: (bytes) => {
      const text = textOf(bytes);
      only(SyntaxError, () => parseEventFormat(text));
      only(SyntaxError, () => parseHeaderPage(text));
      only(SyntaxError, () => parseTraceStats(text));
    },
  };
}

function procTarget(): FuzzTarget {
  const own = ["status", "stat", "smaps_rollup"].map((name) =>
    Deno.readFileSync(`/proc/self/${name}`)
  );
  const status = new ProcStatus();
  return {
    name: "proc",
    corpus: own,
    take: (bytes) => {
      parseStatus(bytes, bytes.length, status);
      for (const field of [3, 4, 22, 52]) statField(bytes, bytes.length, field);
      parseSmapsRollup(textOf(bytes));
    },
  };
}

/** All of them, with their corpora. */
export function traceTargets(): FuzzTarget[] {
  return [textTarget(), rawTarget(), bpfTarget(), btfTarget(), formatTarget(), procTarget()];
}
