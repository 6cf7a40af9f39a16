/**
 * What the buffer of a CPU has counted.
 *
 * @module
 */

/** What a CPU's buffer counts, `per_cpu/cpuN/stats`. */
export interface TraceStats {
  /** Events waiting to be read. */
  readonly entries: number;
  /** Events lost because the buffer was full of unread ones. */
  readonly overrun: number;
  /** Events lost because one interrupted another too deeply. */
  readonly commitOverrun: number;
  /** New events not recorded: always 0 with `overwrite`. */
  readonly dropped: number;
  /** Events read so far. */
  readonly read: number;
}

/** Parses `per_cpu/cpuN/stats`; lines that are missing count as 0. */
export function parseTraceStats(text: string): TraceStats {
  const value = (key: string): number => {
    const digits = new RegExp(`^${key}: (\\d+)$`, "m").exec(text)?.[1];
    return digits === undefined ? 0 : Number(digits);
  };
  return {
    entries: value("entries"),
    overrun: value("overrun"),
    commitOverrun: value("commit overrun"),
    dropped: value("dropped events"),
    read: value("read events"),
  };
}
