/**
 * What the daemon and the process that writes the history say to each other: a JSON text a line.
 *
 * @module
 */
import type { HistoryBatch, HistoryBounds } from "./batch.ts";

/** The daemon's first line. */
export interface WriterInit {
  readonly path: string;
  readonly bounds: HistoryBounds;
}

/** Each further line. */
export interface WriterRequest extends HistoryBatch {
  readonly number: number;
}

/** The answer to each line but the first. */
export interface WriterAnswer {
  readonly number: number;
  /** Why nothing was written; one line. */
  readonly problem?: string;
  /** Something that an administrator should know; one line. */
  readonly notice?: string;
}
