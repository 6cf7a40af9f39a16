/**
 * Records made small: column by column, and in each column what differs from what is to be expected by
 * the record before that was alike. What is left repeats itself, which DEFLATE finds.
 *
 * Nothing of a record is lost.
 *
 * @module
 */
import { CPU_SHIFT, KIND_MASK, RECORD_WORDS, RecordWord } from "../memory/layout.ts";
import { BadBytes, ByteReader, ByteWriter } from "./varint.ts";

/** Records of one chunk, at most. */
export const PACKED_RECORDS_MAX = 65_536;

/** Rows of those that came last, by a hash of what they are about. */
const HASH_ROWS = 4096;
/** Columns: kinds, CPUs, times, tid, c, a, b, d. */
const COLUMNS = 8;
const [KINDS, CPUS, TIMES, TIDS, CS, AS, BS, DS] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
/** Of a time that is no whole number of nanoseconds, or too far from the one before: it follows. */
const FAR_TIME = 0;
const DELTA_MAX: number = 2 ** 50;

/** Record that came last with the same hash: in words of a record. */
class Before {
  /** By row: c; a, b, d. */
  private readonly cs = new Int32Array(HASH_ROWS);
  private readonly rows = new Int32Array(HASH_ROWS * 3);

  clear(): void {
    this.cs.fill(0);
    this.rows.fill(0);
  }

  /** Where the c of a record of this kind and tid is expected. */
  rowOfC(kind: number, tid: number): number {
    return (Math.imul(tid, 0x9e3779b1) >>> 20) ^ (kind & 0xfff);
  }

  /** Where its other words are. */
  rowOf(kind: number, tid: number, c: number): number {
    return ((Math.imul(tid, 0x9e3779b1) + Math.imul(c, 0x85ebca6b)) >>> 20) ^ (kind & 0xfff);
  }

  c(row: number): number {
    return this.cs[row]!;
  }

  setC(row: number, c: number): void {
    this.cs[row] = c;
  }

  word(row: number, index: number): number {
    return this.rows[row * 3 + index]!;
  }

  set(row: number, a: number, b: number, d: number): void {
    const at = row * 3;
    this.rows[at] = a;
    this.rows[at + 1] = b;
    this.rows[at + 2] = d;
  }
}

/** Packs records, chunk by chunk; each can be unpacked without the others. */
export class RecordPacker {
  private readonly columns = Array.from({ length: COLUMNS }, () => new ByteWriter(8192));
  private readonly before = new Before();

  /**
   * @param words Records, one behind the other.
   * @param doubles The same memory.
   * @param count Records, at most {@link PACKED_RECORDS_MAX}.
   */
  pack(words: Int32Array, doubles: Float64Array, count: number): Uint8Array {
    const { columns, before } = this;
    for (const column of columns) column.clear();
    before.clear();
    let lastCpu = 0;
    let lastTid = 0;
    let lastNs = 0;
    for (let index = 0; index < count; index++) {
      const word = index * RECORD_WORDS;
      const kindCpu = words[word + RecordWord.kindCpu]!;
      const kind = kindCpu & KIND_MASK;
      const cpu = kindCpu >>> CPU_SHIFT;
      const tid = words[word + RecordWord.tid]!;
      const a = words[word + RecordWord.a]!;
      const b = words[word + RecordWord.b]!;
      const c = words[word + RecordWord.c]!;
      const d = words[word + RecordWord.d]!;
      columns[KINDS]!.byte(kind);
      columns[CPUS]!.word((cpu - lastCpu) | 0);
      lastCpu = cpu;
      lastNs = putTime(columns[TIMES]!, doubles[word >> 1]!, lastNs);
      columns[TIDS]!.word((tid - lastTid) | 0);
      lastTid = tid;
      const rowOfC = before.rowOfC(kind, tid);
      columns[CS]!.word((c - before.c(rowOfC)) | 0);
      before.setC(rowOfC, c);
      const row = before.rowOf(kind, tid, c);
      columns[AS]!.word((a - before.word(row, 0)) | 0);
      columns[BS]!.word((b - before.word(row, 1)) | 0);
      columns[DS]!.word((d - before.word(row, 2)) | 0);
      before.set(row, a, b, d);
    }
    const out = new ByteWriter(64 + columns.reduce((sum, column) => sum + column.length, 0));
    out.varint(count);
    for (const column of columns) {
      out.varint(column.length);
      out.put(column.written);
    }
    return out.written;
  }
}

/** @returns The time that the next one is told from. */
function putTime(column: ByteWriter, tsNs: number, lastNs: number): number {
  const delta = tsNs - lastNs;
  if (Number.isSafeInteger(tsNs) && Math.abs(delta) < DELTA_MAX && !Object.is(tsNs, -0)) {
    column.varint((delta >= 0 ? delta * 2 : delta * -2 - 1) + 1);
    return tsNs;
  }
  column.varint(FAR_TIME);
  column.double(tsNs);
  return Number.isSafeInteger(tsNs) ? tsNs : lastNs;
}

/** Records as they were. */
export interface UnpackedRecords {
  readonly count: number;
  readonly words: Int32Array;
  /** The same memory. */
  readonly doubles: Float64Array;
}

/** @throws {BadBytes} When it is nothing that {@link RecordPacker} has made. */
export function unpackRecords(bytes: Uint8Array): UnpackedRecords {
  const input = new ByteReader(bytes);
  const count = input.varint();
  if (count > PACKED_RECORDS_MAX) throw new BadBytes(`${count} records in a chunk`);
  const columns = Array.from({ length: COLUMNS }, () => new ByteReader(input.take(input.varint())));
  if (input.left > 0) throw new BadBytes("goes on after its end");
  const words = new Int32Array(count * RECORD_WORDS);
  const doubles = new Float64Array(words.buffer);
  const before = new Before();
  const kinds = columns[KINDS]!;
  const cpus = columns[CPUS]!;
  const times = columns[TIMES]!;
  const tids = columns[TIDS]!;
  const cs = columns[CS]!;
  const as = columns[AS]!;
  const bs = columns[BS]!;
  const ds = columns[DS]!;
  let cpu = 0;
  let tid = 0;
  let lastNs = 0;
  for (let index = 0; index < count; index++) {
    const word = index * RECORD_WORDS;
    const kind = kinds.byte();
    cpu = (cpu + cpus.word()) | 0;
    const code = times.varint();
    let tsNs: number;
    if (code === FAR_TIME) {
      tsNs = times.double();
      if (Number.isSafeInteger(tsNs)) lastNs = tsNs;
    } else {
      const even = code - 1;
      tsNs = lastNs += even % 2 === 0 ? even / 2 : (even + 1) / -2;
    }
    tid = (tid + tids.word()) | 0;
    const rowOfC = before.rowOfC(kind, tid);
    const c = (cs.word() + before.c(rowOfC)) | 0;
    before.setC(rowOfC, c);
    const row = before.rowOf(kind, tid, c);
    const a = (as.word() + before.word(row, 0)) | 0;
    const b = (bs.word() + before.word(row, 1)) | 0;
    const d = (ds.word() + before.word(row, 2)) | 0;
    before.set(row, a, b, d);
    doubles[word >> 1] = tsNs;
    words[word + RecordWord.kindCpu] = kind | cpu << CPU_SHIFT;
    words[word + RecordWord.tid] = tid;
    words[word + RecordWord.a] = a;
    words[word + RecordWord.b] = b;
    words[word + RecordWord.c] = c;
    words[word + RecordWord.d] = d;
  }
  if (columns.some(({ left }) => left > 0)) throw new BadBytes("a column goes on after its end");
  return { count, words, doubles };
}
