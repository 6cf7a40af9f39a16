/**
 * Pages of the ring buffer made word by word, and what the parser makes of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { RawPageCursor } from "../../kernel/trace/raw_parser.ts";
import { captureFormats, PAGE_BYTES, type PlainRecord, RecordSink } from "./captures.ts";

const FORMATS = captureFormats();
export const RSS_ID = 646;
export const NEWTASK_ID = 205;
export const EXIT_ID = 369;
export const MISSED = 2 ** 31;
export const STORED = 2 ** 30;

/** Builds one sub-buffer word by word, as a little-endian 64-bit kernel lays it out. */
export class PageBuilder {
  readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly view: DataView;
  private at = 16;

  constructor(baseNs: bigint, subBufferBytes = PAGE_BYTES) {
    this.bytes = new Uint8Array(subBufferBytes);
    this.view = new DataView(this.bytes.buffer);
    this.view.setBigUint64(0, baseNs, true);
  }

  word(value: number): this {
    this.view.setUint32(this.at, value >>> 0, true);
    this.at += 4;
    return this;
  }

  header(typeLen: number, delta: number): this {
    return this.word(typeLen + delta * 32);
  }

  /** The 8 payload words of an rss_stat event whose mm_id tells which one it is. */
  rssPayload(mmId: number, size = 4096n, member = 1, id = RSS_ID): this {
    this.word(id).word(77).word(mmId).word(1).word(member).word(0);
    this.view.setBigInt64(this.at, size, true);
    this.at += 8;
    return this;
  }

  rss(delta: number, mmId: number, size = 4096n): this {
    return this.header(8, delta).rssPayload(mmId, size);
  }

  get dataBytes(): number {
    return this.at - 16;
  }

  /** Writes the commit word: by default the length of what was put in. */
  commit(flags = 0, dataBytes = this.dataBytes): Uint8Array<ArrayBuffer> {
    const low = dataBytes + flags;
    this.view.setUint32(8, low, true);
    this.view.setUint32(12, low >= MISSED ? 0xffffffff : 0, true);
    return this.bytes;
  }
}

export interface Decoded {
  readonly records: readonly PlainRecord[];
  readonly cursor: RawPageCursor;
}

export function decode(page: Uint8Array, length = page.length, formats = FORMATS): Decoded {
  const sink = new RecordSink();
  const cursor = new RawPageCursor(formats, 3);
  cursor.load(page, length);
  cursor.emit(sink.writer);
  assertEquals(cursor.done, true);
  return { records: sink.drain(), cursor };
}

/** Time and mm_id of each record. */
export function brief(records: readonly PlainRecord[]): Array<[number, unknown]> {
  return records.map((record) => [record.tsNs, record["mmId"] ?? record["lost"]]);
}
