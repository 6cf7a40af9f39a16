/**
 * What a replay finds: numbers, mms, users, and the decisions that would have been made.
 *
 * @module
 */

export interface ReplayMm {
  /** null where the line named none (Android's first form). */
  mmId: number | null;
  tgid: number | null;
  uid: number | null;
  pages: { file: number; anon: number; swap: number; shmem: number };
}

export interface ReplayDecision {
  ts: number;
  event: "soft" | "kill";
  uid: number | null;
  pid: number | null;
  usagePages: number;
  hardPages: number;
}

export interface ReplaySummary {
  events: number;
  lifecycle: number;
  lost: number;
  malformed: number;
  foreign: number;
  /**
   * Records that are older than one before them, and the most by which one is. The clock `local`
   * differs between CPUs; the newest size of each member counts, by these times.
   */
  timesBack: number;
  timesBackNsMax: number;
  /** All mms of the capture; of very many, those that ended long ago are left out. */
  mms: ReplayMm[];
  users: {
    uid: number | null;
    usagePages: number;
    peakPages: number;
    limitPages: number | null;
  }[];
  decisions: ReplayDecision[];
}

/** What the parsers counted. */
export interface ParserCounts {
  readonly events: number;
  readonly lifecycle: number;
  readonly lost: number;
  readonly malformed: number;
  readonly foreign: number;
}
