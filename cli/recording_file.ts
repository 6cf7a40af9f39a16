/**
 * A recording read from a file, chunk by chunk. What is damaged ends it: what stands before is good.
 *
 * @module
 */
import { DEFLATE } from "../kernel/packing/deflate.ts";
import {
  type Chunk,
  ChunkType,
  FILE_HEAD_BYTES,
  isRecording,
  jsonOf,
  readChunk,
  RECORDING_VERSION,
  type RecordingHead,
  versionOf,
} from "../pipeline/recording/format.ts";
import { cannotRead } from "./capture_bytes.ts";
import { FailedError } from "./errors.ts";

const READ_BYTES = 1024 * 1024;

/** Whether a file is a recording; false too when it cannot be read. */
export function isRecordingFile(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    // Nothing is to be taken out of a pipe.
    if (!file.statSync().isFile) return false;
    const bytes = new Uint8Array(FILE_HEAD_BYTES);
    let length = 0;
    for (let count = 1; length < bytes.length && count > 0;) {
      count = file.readSync(bytes.subarray(length)) ?? 0;
      length += count;
    }
    return isRecording(bytes.subarray(0, length));
  } catch {
    return false;
  }
}

export class RecordingFile implements Disposable {
  readonly head: RecordingHead;
  /** Of the format: 1 has nothing of what rules said. */
  readonly version: number;
  readonly totalBytes: number;
  /** Bytes of the chunks that were read. */
  readBytes = 0;
  /** Why it could not be read to its end; undefined: it could, or it is not read yet. */
  damage: string | undefined;
  private readonly file: Deno.FsFile;
  private readonly path: string;
  private bytes = new Uint8Array(READ_BYTES);
  private from = 0;
  private to = 0;

  /** @throws {FailedError} When it cannot be read, or is none, or of another version. */
  constructor(path: string) {
    this.path = path;
    try {
      this.file = Deno.openSync(path);
    } catch (error) {
      throw cannotRead(path, error);
    }
    try {
      this.totalBytes = this.file.statSync().size;
      this.fill(FILE_HEAD_BYTES);
      const start = this.bytes.subarray(0, this.to);
      const version = isRecording(start) ? versionOf(start) : 0;
      if (version === 0) throw new FailedError(`Cannot replay ${path}: it is no recording of toom`);
      if (version > RECORDING_VERSION) {
        throw new FailedError(
          `Cannot replay ${path}: it has version ${version}, this toom reads up to ` +
            `${RECORDING_VERSION}`,
        );
      }
      this.version = version;
      this.from = this.readBytes = FILE_HEAD_BYTES;
      const first = this.next();
      if (first?.type !== ChunkType.head) {
        throw new FailedError(
          `Cannot replay ${path}: its first chunk is damaged (${this.damage ?? "no head"})`,
        );
      }
      this.head = checkHead(jsonOf(first.payload), path);
    } catch (error) {
      this.file.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.file.close();
  }

  /** The next chunk; undefined at the end, or where it is damaged, see {@link damage}. */
  next(): Chunk | undefined {
    for (;;) {
      const result = readChunk(this.bytes.subarray(this.from, this.to), DEFLATE);
      if (result.is === "chunk") {
        this.from += result.chunk.fileBytes;
        this.readBytes += result.chunk.fileBytes;
        return result.chunk;
      }
      if (result.is === "damaged") {
        this.damage = `${result.why}, at byte ${this.readBytes} of ${this.totalBytes}`;
        return undefined;
      }
      if (this.fill(result.bytes)) continue;
      if (this.to > this.from) {
        this.damage = `it is cut, in a chunk at byte ${this.readBytes}`;
      }
      return undefined;
    }
  }

  /** Has so many bytes at hand, if the file has them. */
  private fill(count: number): boolean {
    if (this.from > 0) {
      this.bytes.copyWithin(0, this.from, this.to);
      this.to -= this.from;
      this.from = 0;
    }
    if (count > this.bytes.length) {
      const larger = new Uint8Array(count);
      larger.set(this.bytes.subarray(0, this.to));
      this.bytes = larger;
    }
    while (this.to < count) {
      let read: number;
      try {
        read = this.file.readSync(this.bytes.subarray(this.to)) ?? 0;
      } catch (error) {
        throw cannotRead(this.path, error);
      }
      if (read === 0) return false;
      this.to += read;
    }
    return true;
  }
}

/** Numbers of the head that memory is made by, and how large they may be. */
const HEAD_NUMBERS = {
  readers: 64,
  users: 2 ** 20,
  processes: 2 ** 22,
  tasks: 2 ** 24,
  mms: 2 ** 23,
  rules: 2 ** 20,
  pageBytes: 2 ** 20,
} as const;

/** @throws {FailedError} When it is none, or asks for more memory than any toom has. */
function checkHead(value: unknown, path: string): RecordingHead {
  const head = value as Partial<Record<string, unknown>> | null;
  for (const [name, most] of Object.entries(HEAD_NUMBERS)) {
    const number = head?.[name];
    if (typeof number === "number" && Number.isInteger(number) && number >= 1 && number <= most) {
      continue;
    }
    throw new FailedError(`Cannot replay ${path}: its head says that ${name} is ${number}`);
  }
  return value as RecordingHead;
}
