/**
 * Text lines of one or more trace pipes: trace_pipe, or per_cpu/cpuN/trace_pipe.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { isPassing, KernelError } from "../ffi/errno.ts";
import { readFd } from "../ffi/fd.ts";
import { TextParser } from "./text_parser.ts";

/** At least 8 KiB, or the kernel cuts lines; it gives no more than about 8150 bytes a read. */
const CHUNK_BYTES = 16 * 1024;
const CHUNKS_MAX = 256;
const CONTEXT = { detail: "a pipe of trace lines" };

export class TextSource {
  private readonly fds: Int32Array;
  /** One a pipe, with what it counted. */
  readonly parsers: readonly TextParser[];
  private readonly chunk = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
  private readonly onChunk: () => void;

  /**
   * @param pipes Non-blocking descriptors.
   * @param onChunk Called after each chunk: the place to publish.
   */
  constructor(
    pipes: readonly { readonly fd: number }[],
    pageBytes: number,
    writer: RecordWriter,
    onChunk: () => void,
  ) {
    this.fds = Int32Array.from(pipes, ({ fd }) => fd);
    this.parsers = pipes.map(() => new TextParser(writer, { pageBytes }));
    this.onChunk = onChunk;
  }

  /**
   * Reads what there is, in turn from each pipe, and goes on while more is being written, always:
   * text is read hardly faster than it comes, and what is left for later is hard to make up for.
   *
   * @returns Bytes read; 0 when all are empty.
   * @throws {KernelError} When a pipe cannot be read any more: without a word nobody would know.
   */
  read(_isChasing = true): number {
    let bytes = 0;
    for (let round = 0; round < CHUNKS_MAX; round++) {
      let roundBytes = 0;
      for (let i = 0; i < this.fds.length; i++) {
        const length = readFd(this.fds[i]!, this.chunk);
        if (length < 0 && !isPassing(length)) throw new KernelError("read", -length, CONTEXT);
        if (length <= 0) continue;
        this.parsers[i]!.push(this.chunk, length);
        this.onChunk();
        roundBytes += length;
      }
      if (roundBytes === 0) break;
      bytes += roundBytes;
    }
    return bytes;
  }
}
