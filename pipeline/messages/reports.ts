/**
 * Reports: what the workers tell the supervisor for the log. A fixed record of numbers and a
 * little text in a ring of each worker's own; when the ring is full the report is shed and
 * counted, for no log may delay a kill (I6).
 *
 * @module
 */
import {
  CounterIndex,
  REPORT_BYTES,
  REPORT_F64S,
  REPORT_ROW_F64S,
  REPORT_ROWS_OFFSET_BYTES,
  REPORT_TEXT_BYTES_MAX,
  REPORT_TEXT_OFFSET_BYTES,
} from "../memory/layout.ts";
import type { Doorbell } from "../memory/doorbell.ts";
import type { RingConsumer, RingProducer } from "../memory/ring.ts";
import { invariant } from "../memory/invariant.ts";

/** What a report tells, and the names of its numbers, in order. */
export const REPORTS = {
  soft: ["uid", "usagePages", "softPages", "hardPages"],
  kill: [
    "uid",
    "pid",
    "trigger",
    "usagePages",
    "hardPages",
    "victimPages",
    "latencyUs",
    "dryRun",
    "sharers",
    "sharedPages",
    "dyingPages",
    "isDegraded",
    "brakeLeftPages",
    "policy",
    "beganUs",
    "victimFilePages",
    "victimAnonPages",
    "victimSwapPages",
    "victimShmemPages",
    "signal",
    "unit",
    "unitProcesses",
    "graceMs",
    "ceilingPages",
    "isStorm",
    "victimTag",
  ],
  killed: ["uid", "pid", "freedPages", "exitUs", "exitStatus", "outcome", "isStorm"],
  /** How the time has ended that somebody had after another signal than SIGKILL: `GraceOutcome`. */
  grace: ["uid", "pid", "outcome", "tookUs", "usagePages", "hardPages"],
  /** The text names whom it was acted on. */
  storm: ["uid", "isOver", "kills", "seconds", "action", "actedPid", "acted"],
  killFailed: ["uid", "pid", "errno"],
  noVictim: [
    "uid",
    "usagePages",
    "hardPages",
    "protectedCount",
    "protectedPages",
    "stuckPages",
    "protected1Pid",
    "protected2Pid",
    "protected3Pid",
    "protectedTag",
  ],
  lost: ["events", "cpu"],
  drift: ["uid", "pages"],
  degraded: ["reason"],
  recovered: ["sweep"],
  tableFull: ["table", "uid"],
  pressure: ["reason", "uid", "helps"],
  kernelKill: ["pid", "uid"],
  tampered: ["mended"],
  /** The text says what. */
  kernelRefused: ["step"],
  refused: [
    "uid",
    "pid",
    "leftPages",
    "dataLimitPages",
    "usagePages",
    "softPages",
    "hardPages",
  ],
  denied: ["uid", "pid", "committedPages", "requestPages", "hardPages", "reason"],
} as const;
export type ReportName = keyof typeof REPORTS;

/** The names of the numbers of each row, of those reports that have rows. */
export const REPORT_ROWS = {
  kill: ["pid", "pages", "givesBackPages", "score", "oomScoreAdj", "fate", "tag"],
} as const satisfies Partial<Record<ReportName, readonly string[]>>;

/** What the kernel has refused to programs in it: to book pages; to note who is dying. */
export const RefusedStep = { book: 0, dying: 1 } as const;

/** What became of a process beside a victim, as a row of a kill's report has it. */
export const Fate = { weighed: 0, protected: 1, spared: 2, dying: 3, avoided: 4 } as const;
export type Fate = typeof Fate[keyof typeof Fate];

const NAMES = Object.keys(REPORTS) as ReportName[];
const KIND: Readonly<Record<ReportName, number>> = Object.fromEntries(
  NAMES.map((name, index) => [name, index]),
) as Record<ReportName, number>;

/** Why the books are not to be trusted. */
export const DegradedReason = { lost: 1, workerRestart: 2, tableFull: 3, settings: 4 } as const;
export const DEGRADED_REASON_NAMES = [
  "",
  "events lost",
  "worker restarted",
  "table full",
  "counted members changed",
] as const;

/** Why a request for memory was not granted. */
export const DENIED_REASONS = ["limit", "claims", "own-claim"] as const;
export type DeniedReason = typeof DENIED_REASONS[number];

/** Words of a report before its numbers: kind, tsNs, length of the text, doubles of all rows. */
const HEAD_F64S = 4;
const NUMBERS_MAX = REPORT_TEXT_OFFSET_BYTES / 8 - HEAD_F64S;
for (const name of NAMES) {
  invariant(REPORTS[name].length <= NUMBERS_MAX, `report ${name}: too many numbers`);
}

/** A report as the supervisor reads it. */
export interface Report {
  readonly name: ReportName;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly tsNs: number;
  readonly values: Readonly<Record<string, number>>;
  /** Raw bytes, for instance of a comm: not to be trusted. */
  readonly text: Uint8Array;
  /** Of those in {@link REPORT_ROWS}; else empty. */
  readonly rows: readonly Readonly<Record<string, number>>[];
}

const NO_TEXT: Uint8Array = new Uint8Array(0);
const NO_ROWS: readonly number[] = [];

/** The worker's end. */
export class ReportWriter {
  private readonly ring: RingProducer;
  private readonly counters: Float64Array;
  private readonly bell: Doorbell;

  /** @param bell The supervisor's. */
  constructor(ring: RingProducer, counters: Float64Array, bell: Doorbell) {
    invariant(ring.recordWords * 4 === REPORT_BYTES, "report writer: not a ring of reports");
    this.ring = ring;
    this.counters = counters;
    this.bell = bell;
  }

  /**
   * Puts a report and publishes it. Never waits.
   * @param numbers In the order of {@link REPORTS}.
   * @param text At most REPORT_TEXT_BYTES_MAX bytes; the rest is cut off.
   * @param rows One behind the other, in the order of {@link REPORT_ROWS}; at most REPORT_ROW_F64S
   *   doubles, the rest is cut off.
   */
  put(
    name: ReportName,
    tsNs: number,
    numbers: readonly number[],
    text: Uint8Array = NO_TEXT,
    rows: readonly number[] = NO_ROWS,
  ): void {
    const word = this.ring.claim();
    if (word < 0) {
      this.counters[CounterIndex.reportsShed]!++;
      return;
    }
    const { doubles, bytes } = this.ring;
    const base = word >> 1;
    const textLength = Math.min(text.length, REPORT_TEXT_BYTES_MAX);
    doubles[base] = KIND[name];
    doubles[base + 1] = tsNs;
    doubles[base + 2] = textLength;
    const rowF64s = Math.min(rows.length, REPORT_ROW_F64S);
    doubles[base + 3] = rowF64s;
    for (let i = 0; i < numbers.length; i++) doubles[base + HEAD_F64S + i] = numbers[i]!;
    const rowsAt = base + REPORT_ROWS_OFFSET_BYTES / 8;
    for (let i = 0; i < rowF64s; i++) doubles[rowsAt + i] = rows[i]!;
    const textAt = word * 4 + REPORT_TEXT_OFFSET_BYTES;
    for (let i = 0; i < textLength; i++) bytes[textAt + i] = text[i]!;
    this.ring.advance();
    this.ring.publish();
    this.bell.ring();
  }
}

/** Takes the next report out of a ring. @returns undefined when there is none. */
export function readReport(ring: RingConsumer): Report | undefined {
  const word = ring.next();
  if (word < 0) return undefined;
  const base = word >> 1;
  const doubles = ring.doubles.slice(base, base + REPORT_F64S);
  const name = NAMES[doubles[0]!];
  invariant(name !== undefined, `report: unknown kind ${doubles[0]}`);
  const values: Record<string, number> = {};
  REPORTS[name].forEach((key, index) => values[key] = doubles[HEAD_F64S + index]!);
  const textAt = word * 4 + REPORT_TEXT_OFFSET_BYTES;
  const text = ring.bytes.slice(textAt, textAt + doubles[2]!);
  ring.release();
  return { name, tsNs: doubles[1]!, values, text, rows: rowsOf(name, doubles) };
}

function rowsOf(name: ReportName, doubles: Float64Array): Record<string, number>[] {
  const keys: readonly string[] = (REPORT_ROWS as Record<string, readonly string[]>)[name] ?? [];
  const rows: Record<string, number>[] = [];
  const end = REPORT_ROWS_OFFSET_BYTES / 8 + doubles[3]!;
  for (let at = REPORT_ROWS_OFFSET_BYTES / 8; keys.length > 0 && at + keys.length <= end;) {
    rows.push(Object.fromEntries(keys.map((key) => [key, doubles[at++]!])));
  }
  return rows;
}
