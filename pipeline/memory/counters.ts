/**
 * The counters of each role.
 *
 * @module
 */

/** Counters of a role: doubles, written by that role only; late by at most one batch. */
export const CounterIndex = {
  events: 0,
  lifecycle: 1,
  lost: 2,
  malformed: 3,
  foreign: 4,
  batches: 5,
  wakeups: 6,
  reportsShed: 7,
  /** Accounting: rss records older than what was already known. */
  stale: 8,
  /** Accounting: rss records that no process could be found for. */
  unattributed: 9,
  /** Accounting: mms, tasks, processes, users that found no slot. */
  tableFull: 10,
  /** Accounting: pages that sweeps had to correct, absolute sum. */
  driftPages: 11,
  sweeps: 12,
  kills: 13,
  killsFailed: 14,
  /** Killer: orders that were over when it looked. */
  spared: 15,
  arms: 16,
  bytesRead: 17,
  ringFull: 18,
  /** Accounting: time of the newest record applied, nanoseconds. */
  lastTsNs: 19,
  ordersShed: 20,
  /** Coordinator: requests answered, granted, refused; waits that came to their deadline. */
  requests: 21,
  granted: 22,
  denied: 23,
  timedOut: 24,
  /** Coordinator: connections closed at once, because there were too many. */
  connectionsRefused: 25,
  /** Sweeper: looks at far users, and the time that they took, nanoseconds. */
  looks: 26,
  lookNs: 27,
  /** Sweeper: since when each page is booked, nanoseconds; negative: since when none is. */
  nearSinceNs: 28,
  /** Sweeper: times that the kernel refused to have each page booked. */
  attachFailures: 29,
  /** Sweeper: processes that came under the brake; processes that are lowered, as of now. */
  refusals: 30,
  braked: 31,
  /** Coordinator: as of now. */
  connections: 32,
  clients: 33,
  waiting: 34,
  /** Sweeper: users whose sharing was measured, and the time that reading it took, nanoseconds. */
  measurings: 35,
  measureNs: 36,
  /** Sweeper: readings of /proc that failed for another reason than that the process is gone. */
  procFailures: 37,
  /** Sweeper: times that a limit could not be lowered. */
  brakeFailures: 38,
  /** Sweeper: times that the kernel lost changes of user. */
  userChangesLost: 39,
  /** Coordinator: connections closed for each of {@link BROKEN_REASONS}. */
  broken: 40,
  /** Sweeper: processes that could not be given back what was lowered, as of now. */
  brakesLeft: 47,
} as const;
export const COUNTER_COUNT = 48;
/** Why the coordinator closes a connection; the counter of each is `CounterIndex.broken` + index. */
export const BROKEN_REASONS = [
  "short",
  "oversized",
  "version",
  "malformed",
  "no-credentials",
  "does-not-read",
  /** The kernel gave no descriptor or memory to hear of it. */
  "no-resources",
] as const;
export type BrokenReason = typeof BROKEN_REASONS[number];
