/**
 * Binary trace pages of several CPUs, read and merged by time: per_cpu/cpuN/trace_pipe_raw.
 *
 * @module
 */
import type { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { isPassing, KernelError } from "../ffi/errno.ts";
import { readFd } from "../ffi/fd.ts";
import { type RawFormats, RawPageCursor } from "./raw_parser.ts";
import { RawMerger } from "./raw_merger.ts";

const CONTEXT = { detail: "a pipe of trace pages" };
/** Largest sub-buffer that the kernel accepts; a shorter buffer would get pieces of pages. */
const SUBBUF_BYTES_MAX = 512 * 1024;
/** One read() ends after so many pages, so that its worker sees its stop word. */
const PAGES_MAX = 256;
/** A page with more room than this left was not full: it is the one that is being written. */
const ROOM_BYTES = 64;

export class RawSource {
  private readonly pipes: readonly { readonly cpu: number; readonly fd: number }[];
  /** One a pipe, with what it counted. */
  readonly parsers: readonly RawPageCursor[];
  private readonly pages: readonly Uint8Array[];
  private readonly merger: RawMerger;
  private readonly writer: RecordWriter;
  private readonly onPage: () => void;
  /** 1 for a pipe whose newest page was read in this turn. */
  private readonly caughtUp: Uint8Array;
  private isChasing = true;
  private pagesLeft = 0;
  private bytes = 0;

  /**
   * @param pipes Non-blocking descriptors, one a CPU.
   * @param onPage Called between pages: the place to publish.
   */
  constructor(
    pipes: readonly { readonly cpu: number; readonly fd: number }[],
    formats: RawFormats,
    writer: RecordWriter,
    onPage: () => void,
  ) {
    this.pipes = pipes;
    this.writer = writer;
    this.onPage = onPage;
    this.parsers = pipes.map(({ cpu }) => new RawPageCursor(formats, cpu));
    this.pages = pipes.map(() => new Uint8Array(new ArrayBuffer(SUBBUF_BYTES_MAX)));
    this.caughtUp = new Uint8Array(pipes.length);
    this.merger = new RawMerger(this.parsers, (index) => this.refill(index));
  }

  /**
   * Reads what there is.
   *
   * @param isChasing Goes on while more is being written; else only takes what had gathered, as a
   *   page that is read while it is written costs as much as a full one.
   * @returns Bytes read; 0 when the pipes are empty.
   * @throws {KernelError} When a pipe cannot be read any more: without a word nobody would know.
   */
  read(isChasing = true): number {
    this.isChasing = isChasing;
    this.caughtUp.fill(0);
    this.pagesLeft = PAGES_MAX;
    this.bytes = 0;
    this.merger.drain(this.writer);
    return this.bytes;
  }

  private refill(index: number): boolean {
    this.onPage();
    if (this.caughtUp[index] !== 0 && !this.isChasing) return false;
    if (this.pagesLeft-- <= 0) return false;
    const page = this.pages[index]!;
    // 0 is no end of file: once a child of this process has closed its copy of the descriptor, the
    // kernel says 0 where it said EAGAIN.
    const length = readFd(this.pipes[index]!.fd, page);
    if (length <= 0) {
      if (length < 0 && !isPassing(length)) throw new KernelError("read", -length, CONTEXT);
      return false;
    }
    this.bytes += length;
    const parser = this.parsers[index]!;
    parser.load(page, length);
    if (parser.roomBytes(length) > ROOM_BYTES) this.caughtUp[index] = 1;
    return true;
  }
}
