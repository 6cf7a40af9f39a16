/**
 * The file of a recording: a head, then chunks, each with its length and a checksum, so that a file
 * that was cut or damaged is good up to there. docs/recording.md has it in words.
 *
 * @module
 */
import type { LimitRule } from "../limits/limits.ts";
import type { Settings } from "../memory/settings.ts";
import { crc32 } from "./crc32.ts";

/**
 * Of the form that is written; a reader refuses a newer one. 2: what rules say of processes and what
 * they ask for, without which a file of version 1 is read.
 */
export const RECORDING_VERSION = 2;
/** 0x89, as in PNG: no text file begins with it. */
const MAGIC: Uint8Array = new Uint8Array([0x89, 0x74, 0x6f, 0x6f, 0x6d, 0x72, 0x65, 0x63]);
/** Magic, version, and four bytes of zero. */
export const FILE_HEAD_BYTES = 16;
export const CHUNK_HEAD_BYTES = 20;
/** A chunk has at most so many bytes, packed and unpacked: a damaged length asks for no more memory. */
export const CHUNK_BYTES_MAX: number = 2 ** 24;

/** What a chunk holds. */
export const ChunkType = {
  /** {@link RecordingHead} as JSON. The first one. */
  head: "HEAD",
  /** {@link RecordedSettings} as JSON. */
  settings: "SETT",
  /** {@link Keyframe} as JSON; the records that rebuild the books follow, of {@link Stream.keyframe}. */
  keyframe: "KEYF",
  /** Records: {@link RecordsHead}, then those of pack_records.ts. */
  records: "RECS",
  /** {@link ProcessFact}s as JSON. */
  facts: "FACT",
  /** {@link RecordedKill}s as JSON. */
  kills: "KILL",
  /** {@link Loss} as JSON. */
  loss: "LOSS",
  /** {@link RecordingTail} as JSON. Without one, the recording was cut. */
  tail: "TAIL",
} as const;
export type ChunkType = typeof ChunkType[keyof typeof ChunkType];
const CHUNK_TYPES: ReadonlySet<string> = new Set(Object.values(ChunkType));

/** Which ring records come from; a reader's has the reader's index. */
export const Stream = {
  sweeper: 64,
  accountingLog: 65,
  killerLog: 66,
  keyframe: 67,
  sweeperLog: 68,
} as const;

/** What everything else in the file depends on. */
export interface RecordingHead {
  readonly toomVersion: string;
  /** Wall clock at the beginning, ISO 8601, and CLOCK_MONOTONIC at the same moment, nanoseconds. */
  readonly startedAt: string;
  readonly startedNs: number;
  /** Where events came from: what that means for a replay is in docs/recording.md. */
  readonly source: "bpf" | "raw" | "text";
  readonly readers: number;
  readonly pageBytes: number;
  readonly users: number;
  readonly processes: number;
  readonly tasks: number;
  readonly mms: number;
  readonly rules: number;
  readonly ringRecords: number;
  /** See pipeline/limits/urgency.ts. */
  readonly marginPages: number;
  readonly kernel: string;
}

/** Settings and limits, each time that they change. Steps name them by their sequence. */
export interface RecordedSettings {
  readonly sequence: number;
  readonly settings: Settings;
  readonly limits: readonly LimitRule[];
}

/** The books at one moment. */
export interface Keyframe {
  /** When the books were read, and time of the newest record in them; CLOCK_MONOTONIC, nanoseconds. */
  readonly readNs: number;
  readonly tsNs: number;
  /** Records taken by then: of each reader's ring, and the sweeper's. */
  readonly readerRecords: readonly number[];
  readonly sweeperRecords: number;
  readonly killerRecords: number;
  /** Of accounting by then: AccountingPosition of pipeline/messages/role_log.ts. */
  readonly position: number;
  /** Sequence of the page of settings in force. */
  readonly settings: number;
  /** Nothing was taken while the books were read. Else numbers in them may be of different moments. */
  readonly isWhole: boolean;
  /** toom's own books were in doubt. */
  readonly isDegraded: boolean;
  readonly processes: number;
}

/** Characters of a text of a process that are recorded. */
export const FACT_TEXT_CHARACTERS_MAX = 1024;

/**
 * What rules may ask for beyond name and oom_score_adj: see RuleMatch of pipeline/rules/victim_rule.ts.
 * Each text has at most {@link FACT_TEXT_CHARACTERS_MAX} characters, and any that its process chose.
 */
export interface RecordedTexts {
  readonly executable?: string | undefined;
  readonly commandLine?: string | undefined;
  readonly cgroup?: string | undefined;
  readonly directory?: string | undefined;
  readonly isSessionLeader?: boolean | undefined;
  /** Of a member of a group with one limit: whom it counts for is the group. */
  readonly realUid?: number | undefined;
}

/**
 * pid, when it was read (CLOCK_MONOTONIC, nanoseconds), oom_score_adj, name, and texts: not in files of
 * version 1, nor where there would have been too many.
 */
export type ProcessFact = readonly [
  pid: number,
  tsNs: number,
  scoreAdj: number,
  comm: string,
  texts?: RecordedTexts,
];

/** A kill as toom told of it. */
export interface RecordedKill {
  readonly id: string;
  /** When the signal was sent, CLOCK_MONOTONIC, nanoseconds. */
  readonly tsNs: number;
  readonly uid: number;
  readonly pid: number;
  readonly comm: string;
  readonly trigger: string;
  readonly usagePages: number;
  readonly hardPages: number;
  readonly victimPages: number;
  readonly dryRun: boolean;
}

/** Records of a ring that are not in the file, because they were overwritten before they were read. */
export interface Loss {
  readonly stream: number;
  readonly records: number;
  readonly tsNs: number;
}

export interface RecordingTail {
  readonly endedNs: number;
  /** Of the rings to accounting, in the file. */
  readonly records: number;
  readonly lostRecords: number;
}

/** Before the packed records of a chunk. */
export const RECORDS_HEAD_BYTES = 8;

/** Compresses; what pipeline/ cannot do itself. Raw DEFLATE, RFC 1951. */
export interface Packer {
  pack(bytes: Uint8Array): Uint8Array;
  /** @param bytesMax That it may give. @throws {Error} When it is no DEFLATE, or gives more. */
  unpack(bytes: Uint8Array, bytesMax: number): Uint8Array;
}

/** Flag of a chunk: its payload is packed. */
const PACKED = 1;
/** Below this packing gains nothing. */
const PACK_BYTES_MIN = 64;

/** The beginning of a file. */
export function fileHead(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FILE_HEAD_BYTES);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, RECORDING_VERSION, true);
  return bytes;
}

/** Whether a file begins as a recording does. */
export function isRecording(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.every((byte, index) => bytes[index] === byte);
}

/** Version of a file that {@link isRecording}; 0: it is cut before that. */
export function versionOf(bytes: Uint8Array): number {
  if (bytes.length < FILE_HEAD_BYTES) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true);
}

/** A chunk as it stands in the file. */
export function writeChunk(
  type: ChunkType,
  payload: Uint8Array,
  packer: Packer,
): Uint8Array<ArrayBuffer> {
  const packed = payload.length >= PACK_BYTES_MIN ? packer.pack(payload) : payload;
  const isPacked = packed.length < payload.length;
  const stored = isPacked ? packed : payload;
  const bytes = new Uint8Array(CHUNK_HEAD_BYTES + stored.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) bytes[i] = type.charCodeAt(i);
  view.setUint32(4, isPacked ? PACKED : 0, true);
  view.setUint32(8, payload.length, true);
  view.setUint32(12, stored.length, true);
  bytes.set(stored, CHUNK_HEAD_BYTES);
  view.setUint32(16, crc32(stored, crc32(bytes.subarray(0, 16))), true);
  return bytes;
}

export interface Chunk {
  readonly type: ChunkType;
  readonly payload: Uint8Array;
  /** Bytes of it in the file. */
  readonly fileBytes: number;
}

/** What comes next in a file. */
export type NextChunk =
  | { readonly is: "chunk"; readonly chunk: Chunk }
  /** More bytes are needed to tell. */
  | { readonly is: "more"; readonly bytes: number }
  | { readonly is: "damaged"; readonly why: string };

/**
 * Reads a chunk.
 * @param bytes From its beginning on; what follows it is not looked at.
 */
export function readChunk(bytes: Uint8Array, packer: Packer): NextChunk {
  if (bytes.length < CHUNK_HEAD_BYTES) return { is: "more", bytes: CHUNK_HEAD_BYTES };
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const type = String.fromCharCode(...bytes.subarray(0, 4));
  const flags = view.getUint32(4, true);
  const rawBytes = view.getUint32(8, true);
  const storedBytes = view.getUint32(12, true);
  if (!CHUNK_TYPES.has(type) || flags > PACKED) return damaged("no chunk begins here");
  if (rawBytes > CHUNK_BYTES_MAX || storedBytes > CHUNK_BYTES_MAX) {
    return damaged(`a chunk of ${Math.max(rawBytes, storedBytes)} bytes`);
  }
  const fileBytes = CHUNK_HEAD_BYTES + storedBytes;
  if (bytes.length < fileBytes) return { is: "more", bytes: fileBytes };
  const stored = bytes.subarray(CHUNK_HEAD_BYTES, fileBytes);
  if (crc32(stored, crc32(bytes.subarray(0, 16))) !== view.getUint32(16, true)) {
    return damaged("a checksum is wrong");
  }
  try {
    const payload = flags === PACKED ? packer.unpack(stored, rawBytes) : stored;
    if (payload.length !== rawBytes) return damaged("a chunk has another length than it says");
    return { is: "chunk", chunk: { type: type as ChunkType, payload, fileBytes } };
  } catch {
    return damaged("a chunk cannot be unpacked");
  }
}

function damaged(why: string): NextChunk {
  return { is: "damaged", why };
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

export function jsonBytes(value: unknown): Uint8Array {
  return ENCODER.encode(JSON.stringify(value));
}

/** @throws {SyntaxError} When it is none. */
export function jsonOf(bytes: Uint8Array): unknown {
  return JSON.parse(DECODER.decode(bytes));
}
