/**
 * The bytes of a capture file, whatever it came in: packed by gzip or zstd, as UTF-16 (PowerShell's
 * `>`), behind a byte order mark. The kernel's text comes out, piece by piece.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import { FailedError } from "./errors.ts";
import { ZstdFrames } from "./zstd_frames.ts";

/** Where bytes come from, e.g. an open file. */
export interface ByteSource {
  /** @returns How many bytes it put there, null at the end. */
  readSync(bytes: Uint8Array): number | null;
}

/** The parts of node:zlib that are used; zstd came to Deno later than gzip. */
export interface Unpackers {
  readonly createGunzip: () => NodeJS.ReadWriteStream;
  readonly createZstdDecompress?: (() => NodeJS.ReadWriteStream) | undefined;
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const CHUNK_BYTES = 256 * 1024;
/** Bytes that tell what a file is. */
const MAGIC_BYTES = 8;
/** A packed file in a packed file, and so on: no more than this. */
const LAYERS_MAX = 3;

interface Magic {
  readonly bytes: readonly number[];
  readonly is: "gzip" | "zstd" | "utf-16le" | "utf-16be" | "utf-8" | "other";
  /** Of `other`: what it is, and what to do. */
  readonly hint?: string;
}

const MAGICS: readonly Magic[] = [
  { bytes: [0x1f, 0x8b, 0x08], is: "gzip" },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], is: "zstd" },
  // A frame to be skipped comes first in what pzstd makes.
  { bytes: [0x50, 0x2a, 0x4d, 0x18], is: "zstd" },
  { bytes: [0xff, 0xfe], is: "utf-16le" },
  { bytes: [0xfe, 0xff], is: "utf-16be" },
  { bytes: [0xef, 0xbb, 0xbf], is: "utf-8" },
  {
    bytes: [0x17, 0x08, 0x44, 0x74, 0x72, 0x61, 0x63, 0x69],
    is: "other",
    hint: "it is a trace.dat, which trace-cmd report FILE makes text of",
  },
  {
    bytes: [0x50, 0x45, 0x52, 0x46, 0x49, 0x4c, 0x45, 0x32],
    is: "other",
    hint: "it is a perf.data, which perf script -i FILE makes text of",
  },
  { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a], is: "other", hint: "unpack it first, with xz -d" },
  { bytes: [0x42, 0x5a, 0x68], is: "other", hint: "unpack it first, with bzip2 -d" },
];

/**
 * The text of a capture in pieces, cut anywhere. A piece is only good until the next is asked for.
 *
 * @param path For messages.
 * @throws {FailedError} One line: when it cannot be read or unpacked, or is known to be no text.
 */
export function textChunks(
  source: ByteSource,
  path: string,
  unpackers?: Unpackers,
): AsyncIterable<Uint8Array> {
  return decode(readChunks(source, path), path, unpackers, LAYERS_MAX);
}

/**
 * All bytes of a packed file of raw pages.
 *
 * @throws {FailedError} As {@link textChunks}.
 */
export async function unpackWhole(source: ByteSource, path: string): Promise<ByteSource> {
  const pieces: Uint8Array[] = [];
  const { head, rest } = await begin(readChunks(source, path));
  const is = magicOf(head)?.is;
  const chunks = is === "gzip" || is === "zstd"
    ? unpack(rest, path, is, await import("node:zlib"))
    : rest;
  for await (const piece of chunks) pieces.push(piece.slice());
  let at = 0;
  return {
    readSync(bytes): number | null {
      while (pieces[0] !== undefined && at === pieces[0].length) {
        pieces.shift();
        at = 0;
      }
      if (pieces[0] === undefined) return null;
      const part = pieces[0].subarray(at, at + bytes.length);
      bytes.set(part);
      at += part.length;
      return part.length;
    },
  };
}

/** Whether a file of raw pages is packed: their first bytes are a time, and can be anything. */
export function isPackedName(path: string): boolean {
  return /\.(?:gz|zst)$/.test(path);
}

/** @throws {FailedError} */
export function cannotRead(path: string, error: unknown): FailedError {
  const missing = error instanceof Deno.errors.NotFound;
  const reason = messageOf(error);
  return new FailedError(`Cannot read ${path}: ${missing ? "no such file" : reason}`, {
    cause: error,
  });
}

function* readChunks(source: ByteSource, path: string): Iterable<Uint8Array> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (;;) {
    let length: number;
    try {
      length = source.readSync(chunk) ?? 0;
    } catch (error) {
      throw cannotRead(path, error);
    }
    if (length === 0) return;
    yield length === chunk.length ? chunk : chunk.subarray(0, length);
  }
}

async function* decode(
  chunks: Chunks,
  path: string,
  unpackers: Unpackers | undefined,
  layers: number,
): AsyncGenerator<Uint8Array> {
  const { head, rest } = await begin(chunks);
  const magic = magicOf(head);
  switch (magic?.is) {
    case undefined:
      yield* rest;
      return;
    case "other":
      throw new FailedError(`Cannot read ${path}: ${magic!.hint}`);
    case "utf-8":
      yield* skip(rest, magic!.bytes.length);
      return;
    case "utf-16le":
    case "utf-16be":
      yield* fromUtf16(skip(rest, magic!.bytes.length), magic!.is);
      return;
  }
  if (layers === 0) throw new FailedError(`Cannot read ${path}: packed more than once`);
  const unpacked = unpack(rest, path, magic!.is, unpackers ?? await import("node:zlib"));
  yield* decode(unpacked, path, unpackers, layers - 1);
}

function magicOf(head: Uint8Array): Magic | undefined {
  return MAGICS.find(({ bytes }) => bytes.every((byte, index) => head[index] === byte));
}

/** Reads until the first bytes are there. `rest` has them too. */
async function begin(
  chunks: Chunks,
): Promise<{ readonly head: Uint8Array; readonly rest: AsyncIterable<Uint8Array> }> {
  const iterator = Symbol.asyncIterator in chunks
    ? chunks[Symbol.asyncIterator]()
    : chunks[Symbol.iterator]();
  let head = new Uint8Array(0);
  let first: Uint8Array | undefined;
  let ended = false;
  while (head.length < MAGIC_BYTES && !ended) {
    const { value, done } = await iterator.next();
    if (done === true) ended = true;
    else if (head.length === 0 && value.length >= MAGIC_BYTES) {
      // As it is, not copied: the next is not asked for before this one is used up.
      first = value;
      break;
    } else {
      const joined = new Uint8Array(head.length + value.length);
      joined.set(head);
      joined.set(value, head.length);
      head = joined;
    }
  }
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      yield first ?? head;
      while (!ended) {
        const { value, done } = await iterator.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      await iterator.return?.(undefined);
    }
  }
  return { head: first ?? head, rest: rest() };
}

async function* skip(
  chunks: AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of chunks) {
    yield left === 0 ? chunk : chunk.subarray(left);
    left = 0;
  }
}

async function* fromUtf16(
  chunks: AsyncIterable<Uint8Array>,
  encoding: "utf-16le" | "utf-16be",
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(encoding);
  const encoder = new TextEncoder();
  for await (const chunk of chunks) yield encoder.encode(decoder.decode(chunk, { stream: true }));
  yield encoder.encode(decoder.decode());
}

async function* unpack(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  format: "gzip" | "zstd",
  { createGunzip, createZstdDecompress }: Unpackers,
): AsyncGenerator<Uint8Array> {
  if (format === "zstd" && typeof createZstdDecompress !== "function") {
    throw new FailedError(
      `Cannot read ${path}: this version of Deno cannot unpack zstd, use zstd -d first`,
    );
  }
  try {
    if (format === "gzip") yield* through(copies(chunks), createGunzip());
    else {
      const frames = new ZstdFrames(chunks);
      while (await frames.more()) yield* through(frames.frame(), createZstdDecompress!());
    }
  } catch (error) {
    if (error instanceof FailedError) throw error;
    const reason = messageOf(error);
    throw new FailedError(`Cannot unpack ${path}: ${reason}`, { cause: error });
  }
}

/** Several are under way at one time. */
async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk.slice();
}

/** What a stream makes of its input. @throws Whatever the input or the stream throws. */
async function* through(
  input: AsyncIterable<Uint8Array>,
  stream: NodeJS.ReadWriteStream,
): AsyncGenerator<Uint8Array> {
  const { pipeline, Readable } = await import("node:stream");
  let failure: unknown;
  // The end is that of the iteration below; of errors the first counts, which is not always its.
  pipeline(Readable.from(input), stream, (error) => failure ??= error ?? undefined);
  try {
    for await (const chunk of stream) yield chunk as unknown as Uint8Array;
  } catch (error) {
    throw failure ?? error;
  }
}
