/**
 * What is written to the history at a time, and how much of it is kept. Without SQLite: the daemon does
 * without its 3 MiB.
 *
 * @module
 */
import type { HourPeak, KillEnd, KillRecord } from "./record.ts";

export interface HistoryBounds {
  /** Older kills and peaks are removed, milliseconds. */
  readonly ageMsMax: number;
  /** Of the file; when it is full the oldest kills make room. At least 128 KiB. */
  readonly bytesMax: number;
}

export const HISTORY_BOUNDS: HistoryBounds = {
  ageMsMax: 90 * 24 * 3_600_000,
  bytesMax: 64 * 2 ** 20,
};

/** What is written with one transaction. */
export interface HistoryBatch {
  readonly kills: readonly KillRecord[];
  readonly ends: readonly KillEnd[];
  readonly peaks: readonly HourPeak[];
}
