/**
 * What a capture looks like on RHEL and on PREEMPT_RT kernels, made of one of an ordinary kernel:
 * `deno run -A tests/_support/rhel_capture.ts` writes tests/fixtures/captures/rhel.
 *
 * Such kernels have one field more in front of every event, `unsigned char
 * common_preempt_lazy_count` at byte 8. The event's own fields begin at byte 12 instead of 8, each
 * at the next multiple of its alignment; and the text has more columns in front of the time (RHEL
 * 9: irqs-off, need-resched, need-resched-lazy, hardirq, preempt-depth, preempt-lazy-depth,
 * migrate-disable). Everything else is as it was: the same events, the same times.
 *
 * Source: include/linux/trace_events.h (struct trace_entry) and kernel/trace/trace_output.c of
 * kernel-rt and kernel-5.14.0 of RHEL 9; kernel/trace/ring_buffer.c for the pages.
 *
 * @module
 */
import {
  type EventFormat,
  type FormatField,
  parseEventFormat,
} from "../../kernel/trace/formats.ts";
import { latin1, readCapture, readFormat } from "./captures.ts";

export const RHEL_CAPTURE = "exec_chain";
export const RHEL_CPU = 1;
const EVENTS = [
  "rss_stat",
  "task_newtask",
  "sched_process_exec",
  "sched_process_exit",
  "sched_process_free",
];
const LAZY = "\tfield:unsigned char common_preempt_lazy_count;\toffset:8;\tsize:1;\tsigned:0;\n";
const COMMON_END = 8;
const SHIFT = 4;
const PAGE_BYTES = 4096;
const HEADER_BYTES = 16;

/** Files of the fixture, by their path in it. */
export function rhelFiles(): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const events = new Map<number, Moves>();
  for (const name of EVENTS) {
    const text = readFormat(`${name}.format`);
    const moved = movedFormat(text);
    files.set(`formats/${name}.format.txt`, latin1(moved));
    const format = parseEventFormat(text);
    events.set(format.id, movesOf(format, parseEventFormat(moved)));
  }
  files.set("formats/header_page.txt", readCapture("formats/header_page.txt"));
  const raw = `${RHEL_CAPTURE}.cpu${RHEL_CPU}.raw`;
  files.set(raw, movedPages(readCapture(raw), events));
  const text = `${RHEL_CAPTURE}.trace.txt`;
  files.set(text, movedText(readCapture(text)));
  return files;
}

/** Where each piece of a record goes, and how many bytes there are now. */
interface Moves {
  readonly from: readonly FormatField[];
  readonly to: readonly FormatField[];
  readonly bytes: number;
  /** Fields whose lower half is the offset of a string behind the fields. */
  readonly strings: readonly FormatField[];
}

function movesOf(before: EventFormat, after: EventFormat): Moves {
  const names = [...before.fields.keys()];
  const to = names.map((name) => after.fields.get(name)!);
  const end = Math.max(...to.map(({ offset, size }) => offset + size));
  const from = names.map((name) => before.fields.get(name)!);
  const isString = (name: string): boolean => /^(filename|comm)$/.test(name);
  const strings = to.filter(({ size }, index) => size === 4 && isString(names[index]!));
  return { from, to, bytes: Math.ceil(end / 4) * 4, strings };
}

/** A C struct: an array of characters is aligned to 1, all else to its size. */
function movedFormat(text: string): string {
  let at = COMMON_END + SHIFT;
  return text.replaceAll(
    /(\tfield:([^;]*);\toffset:)(\d+)(;\tsize:(\d+);.*\n)(\n?)/g,
    (_, head, declaration, offset, tail, sizeText, blank) => {
      if (Number(offset) < COMMON_END) {
        return `${head}${offset}${tail}${blank === "" ? "" : LAZY + blank}`;
      }
      const size = Number(sizeText);
      const isArray = declaration.includes("[") && !declaration.startsWith("__data_loc");
      const align = isArray ? 1 : size;
      at = Math.ceil(at / align) * align;
      const line = `${head}${at}${tail}${blank}`;
      at += size;
      return line;
    },
  );
}

/** Takes pages apart and fills new ones: records have become longer. */
function movedPages(bytes: Uint8Array, events: ReadonlyMap<number, Moves>): Uint8Array {
  const out = new PageMaker();
  for (let page = 0; page < bytes.length; page += PAGE_BYTES) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + page, PAGE_BYTES);
    let timeNs = view.getBigUint64(0, true);
    const end = HEADER_BYTES + (view.getUint32(8, true) & 0xfffff);
    for (let at = HEADER_BYTES; at < end;) {
      const head = view.getUint32(at, true);
      const type = head & 31;
      const delta = BigInt(head >>> 5);
      const next = view.getUint32(at + 4, true);
      if (type === 30) timeNs += (BigInt(next) << 27n) + delta;
      else if (type === 31) timeNs = timeNs >> 59n << 59n | (BigInt(next) << 27n) + delta;
      else if (type < 29) {
        timeNs += delta;
        const start = type === 0 ? at + 8 : at + 4;
        const length = type === 0 ? next - 4 : type * 4;
        const record = bytes.slice(page + start, page + start + length);
        out.add(timeNs, movedRecord(record, events));
      }
      at += type === 0 ? 4 + next : type < 29 ? 4 + type * 4 : 8;
      if (type === 29) break;
    }
  }
  return out.finish();
}

function movedRecord(record: Uint8Array, events: ReadonlyMap<number, Moves>): Uint8Array {
  const id = record[0]! | record[1]! << 8;
  const moves = events.get(id);
  // Events of other kinds: what they hold does not matter, only that they are longer.
  if (moves === undefined) {
    const longer = new Uint8Array(record.length + SHIFT);
    longer.set(record.subarray(0, COMMON_END));
    longer.set(record.subarray(COMMON_END), COMMON_END + SHIFT);
    return longer;
  }
  const { from, to, bytes, strings } = moves;
  const end = Math.max(...from.map(({ offset, size }) => offset + size));
  // Behind the fields lie the strings that a __data_loc names, by offset and length.
  const tailStart = Math.ceil(end / 4) * 4;
  const tail = record.subarray(tailStart);
  const moved = new Uint8Array(bytes + tail.length);
  from.forEach(({ offset, size }, index) => {
    moved.set(record.subarray(offset, offset + size), to[index]!.offset);
  });
  moved.set(tail, bytes);
  const view = new DataView(moved.buffer);
  for (const { offset } of strings) {
    view.setUint16(offset, view.getUint16(offset, true) + bytes - tailStart, true);
  }
  return moved;
}

/** Pages as the kernel fills them, with a time for each event of its own. */
class PageMaker {
  private readonly pages: Uint8Array[] = [];
  private view = new DataView(new ArrayBuffer(0));
  private at = PAGE_BYTES;
  private timeNs = 0n;

  add(timeNs: bigint, record: Uint8Array): void {
    const short = record.length <= 28 * 4;
    const bytes = record.length + (short ? 4 : 8);
    if (this.at + bytes + 8 > PAGE_BYTES) this.begin(timeNs);
    const delta = timeNs - this.timeNs;
    this.timeNs = timeNs;
    if (delta >= 1n << 27n) {
      this.word(Number(delta & (1n << 27n) - 1n) << 5 | 30);
      this.word(Number(delta >> 27n));
    }
    const small = delta >= 1n << 27n ? 0 : Number(delta);
    if (short) this.word(small << 5 | record.length / 4);
    else {
      this.word(small << 5);
      this.word(record.length + 4);
    }
    new Uint8Array(this.view.buffer).set(record, this.at);
    this.at += record.length;
    this.view.setUint32(8, this.at - HEADER_BYTES, true);
  }

  private word(value: number): void {
    this.view.setUint32(this.at, value >>> 0, true);
    this.at += 4;
  }

  private begin(timeNs: bigint): void {
    this.view = new DataView(new ArrayBuffer(PAGE_BYTES));
    this.pages.push(new Uint8Array(this.view.buffer));
    this.view.setBigUint64(0, timeNs, true);
    this.timeNs = timeNs;
    this.at = HEADER_BYTES;
  }

  finish(): Uint8Array {
    const all = new Uint8Array(this.pages.length * PAGE_BYTES);
    this.pages.forEach((page, index) => all.set(page, index * PAGE_BYTES));
    return all;
  }
}

/** `d..1.` becomes `d...1..`: need-resched-lazy and preempt-lazy-depth. */
function movedText(bytes: Uint8Array): Uint8Array {
  const text = [...bytes].map((byte) => String.fromCharCode(byte)).join("");
  const moved = text.replaceAll(
    /(\[\d{3}\] )([^ ])([^ ])([^ ])([^ ])([^ ])( +\d+\.\d{6}: )/g,
    "$1$2$3.$4$5.$6$7",
  );
  return latin1(moved);
}

if (import.meta.main) {
  const folder = new URL("../fixtures/captures/rhel/", import.meta.url);
  Deno.mkdirSync(new URL("formats/", folder), { recursive: true });
  for (const [path, bytes] of rhelFiles()) Deno.writeFileSync(new URL(path, folder), bytes);
}
