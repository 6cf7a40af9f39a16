/**
 * The last seconds of a recording, in memory: segments that each begin with a keyframe, so that the
 * oldest can be let go. Bounded by time and by bytes.
 *
 * @module
 */
import { writeChunk } from "./format.ts";
import { ChunkType, jsonBytes, type Packer, type RecordingHead } from "./format.ts";

/** One that begins with a keyframe. */
interface Segment {
  readonly sinceNs: number;
  readonly chunks: Uint8Array<ArrayBuffer>[];
  bytes: number;
}

export class FlightSegments {
  /** Segments that were let go before their time, because they were too large together. */
  shed = 0;
  private readonly keepNs: number;
  private readonly bytesMax: number;
  private readonly segments: Segment[] = [];

  /**
   * @param keepNs How far back it must reach.
   * @param bytesMax Of all segments; the newest stays, however large.
   */
  constructor(keepNs: number, bytesMax: number) {
    this.keepNs = keepNs;
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** When the oldest thing in it was; Infinity: it is empty. */
  get sinceNs(): number {
    return this.segments[0]?.sinceNs ?? Infinity;
  }

  /** A keyframe comes next. */
  begin(nowNs: number): void {
    this.segments.push({ sinceNs: nowNs, chunks: [], bytes: 0 });
    // What the others hold must reach back far enough without the oldest.
    while (this.segments.length > 1 && nowNs - this.segments[1]!.sinceNs >= this.keepNs) {
      this.segments.shift();
    }
  }

  /** Takes a chunk of the segment under way. */
  put(chunk: Uint8Array<ArrayBuffer>): void {
    const segment = this.segments.at(-1);
    if (segment === undefined) return;
    segment.chunks.push(chunk);
    segment.bytes += chunk.length;
    while (this.segments.length > 1 && this.bytes > this.bytesMax) {
      this.segments.shift();
      this.shed++;
    }
  }

  /**
   * All of it as a file, without what a file begins with.
   * @param headOf The head of one that began at a time.
   */
  file(
    headOf: (startedNs: number) => RecordingHead,
    packer: Packer,
    endedNs: number,
  ): readonly Uint8Array<ArrayBuffer>[] {
    const startedNs = Math.min(this.sinceNs, endedNs);
    const chunks = [writeChunk(ChunkType.head, jsonBytes(headOf(startedNs)), packer)];
    for (const segment of this.segments) chunks.push(...segment.chunks);
    const tail = { endedNs, records: 0, lostRecords: 0 };
    chunks.push(writeChunk(ChunkType.tail, jsonBytes(tail), packer));
    return chunks;
  }
}
