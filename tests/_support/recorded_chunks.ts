/**
 * Recordings made into others: without tags, with command lines, cut into more chunks.
 *
 * @module
 */
import { DEFLATE } from "../../kernel/packing/deflate.ts";
import { KIND_MASK, RECORD_WORDS, RecordKind, RecordWord } from "../../pipeline/memory/layout.ts";
import {
  ChunkType,
  jsonBytes,
  jsonOf,
  type ProcessFact,
  readChunk,
  type RecordedKill,
  type RecordingHead,
  RECORDS_HEAD_BYTES,
  Stream,
  writeChunk,
} from "../../pipeline/recording/format.ts";
import { RecordPacker, unpackRecords } from "../../pipeline/recording/pack_records.ts";
import { RecordList } from "../../pipeline/recording/record_list.ts";

/**
 * The same recording as a toom made it that knew of no tags: version 1 of the format.
 * @param isAll Else only the keyframes have none.
 */
export function withoutTags(
  chunks: readonly Uint8Array<ArrayBuffer>[],
  isAll = true,
): Uint8Array<ArrayBuffer>[] {
  return chunks.flatMap((bytes) => {
    const records = recordsOf(bytes);
    if (records?.stream === Stream.sweeperLog && isAll) return [];
    if (records?.stream !== Stream.keyframe) return [bytes];
    const { words, count } = records;
    const kept = new RecordList();
    for (let word = 0; word < count * RECORD_WORDS; word += RECORD_WORDS) {
      if ((words[word + RecordWord.kindCpu]! & KIND_MASK) === RecordKind.tagged) continue;
      kept.putAll(words.subarray(word, word + RECORD_WORDS), 1);
    }
    return [recordsChunk(Stream.keyframe, 0, kept)];
  });
}

/** The same recording with keyframes in chunks of ten records. */
export function splitKeyframe(
  chunks: readonly Uint8Array<ArrayBuffer>[],
): Uint8Array<ArrayBuffer>[] {
  return chunks.flatMap((bytes) => {
    const records = recordsOf(bytes);
    if (records?.stream !== Stream.keyframe) return [bytes];
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let from = 0; from < records.count; from += 10) {
      const part = new RecordList();
      const count = Math.min(10, records.count - from);
      part.putAll(records.words.subarray(from * RECORD_WORDS), count);
      parts.push(recordsChunk(Stream.keyframe, from, part));
    }
    return parts;
  });
}

function recordsOf(
  bytes: Uint8Array<ArrayBuffer>,
): { stream: number; words: Int32Array; count: number } | undefined {
  const result = readChunk(bytes, DEFLATE);
  if (result.is !== "chunk" || result.chunk.type !== ChunkType.records) return undefined;
  const { payload } = result.chunk;
  const { words, count } = unpackRecords(payload.subarray(RECORDS_HEAD_BYTES));
  const view = new DataView(payload.buffer, payload.byteOffset, RECORDS_HEAD_BYTES);
  return { stream: view.getUint32(0, true), words, count };
}

function recordsChunk(stream: number, first: number, list: RecordList): Uint8Array<ArrayBuffer> {
  const packed = new RecordPacker().pack(list.words, list.doubles, list.count);
  const payload = new Uint8Array(RECORDS_HEAD_BYTES + packed.length);
  const view = new DataView(payload.buffer);
  view.setUint32(0, stream, true);
  view.setInt32(4, first, true);
  payload.set(packed, RECORDS_HEAD_BYTES);
  return writeChunk(ChunkType.records, payload, DEFLATE);
}

function factsOf(bytes: Uint8Array<ArrayBuffer>): readonly ProcessFact[] | undefined {
  const result = readChunk(bytes, DEFLATE);
  if (result.is !== "chunk" || result.chunk.type !== ChunkType.facts) return undefined;
  return jsonOf(result.chunk.payload) as ProcessFact[];
}

/** By pid, all names that a recording tells of. */
export function namesOf(
  chunks: readonly Uint8Array<ArrayBuffer>[],
): ReadonlyMap<number, readonly string[]> {
  const names = new Map<number, string[]>();
  for (const [pid, , , comm] of chunks.flatMap((bytes) => factsOf(bytes) ?? [])) {
    names.set(pid, [...names.get(pid) ?? [], comm]);
  }
  return names;
}

/** The same recording with command lines. */
export function withTexts(
  chunks: readonly Uint8Array<ArrayBuffer>[],
  commandLineOf: (pid: number) => string,
): Uint8Array<ArrayBuffer>[] {
  return chunks.map((bytes) => {
    const facts = factsOf(bytes);
    if (facts === undefined) return bytes;
    const more = facts.map(([pid, tsNs, scoreAdj, comm, texts]): ProcessFact => [
      pid,
      tsNs,
      scoreAdj,
      comm,
      { ...texts, commandLine: commandLineOf(pid) },
    ]);
    return writeChunk(ChunkType.facts, jsonBytes(more), DEFLATE);
  });
}

/** The same recording, with a wall clock and the kills that toom told of, put before its end. */
export function withKills(
  chunks: readonly Uint8Array<ArrayBuffer>[],
  startedAt: string,
  kills: readonly RecordedKill[],
): Uint8Array<ArrayBuffer>[] {
  return chunks.flatMap((bytes) => {
    const result = readChunk(bytes, DEFLATE);
    if (result.is !== "chunk") return [bytes];
    const { type, payload } = result.chunk;
    if (type === ChunkType.head) {
      const head = { ...(jsonOf(payload) as RecordingHead), startedAt };
      return [writeChunk(type, jsonBytes(head), DEFLATE)];
    }
    if (type !== ChunkType.tail) return [bytes];
    return [writeChunk(ChunkType.kills, jsonBytes(kills), DEFLATE), bytes];
  });
}
