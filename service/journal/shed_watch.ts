/**
 * What was left out because nobody took it in time: never a reason to wait (I6), but one to be told.
 *
 * @module
 */
import { CounterIndex, Role } from "../../pipeline/memory/layout.ts";
import { attachCounters, type Memory } from "../../pipeline/memory/memory.ts";
import type { ShedKind } from "./events.ts";
import type { Journal } from "./journal.ts";

/** Each kind is told of at most this often. */
const TOLD_EVERY_MS = 10_000;

/** Lines of the log since the start. */
export interface LogLosses {
  /** Left out as a flood; the log tells of them itself. */
  readonly cut: number;
  /** Could not be written. */
  readonly unwritten: number;
}

/** How much was left out since the start, by what: see `shed` in control_api.ts. */
export interface Shed {
  readonly reports: number;
  readonly orders: number;
  readonly logLines: number;
  readonly userChanges: number;
}

export class ShedWatch {
  private readonly memory: Memory;
  private readonly journal: Journal;
  private readonly losses: () => LogLosses;
  private readonly told: Record<ShedKind, { count: number; atMs: number }>;

  /** @param losses Of the log. */
  constructor(memory: Memory, journal: Journal, losses: () => LogLosses) {
    this.memory = memory;
    this.journal = journal;
    this.losses = losses;
    const nothing = (): { count: number; atMs: number } => ({ count: 0, atMs: -Infinity });
    this.told = {
      reports: nothing(),
      orders: nothing(),
      unwritten: nothing(),
      "user-changes": nothing(),
      readings: nothing(),
    };
  }

  /** As of now, since the start. */
  totals(): Shed {
    const { memory } = this;
    const { cut, unwritten } = this.losses();
    let reports = 0;
    for (let role = 0; role < Role.reader + memory.plan.capacity.readers; role++) {
      reports += attachCounters(memory, role)[CounterIndex.reportsShed]!;
    }
    return {
      reports,
      orders: attachCounters(memory, Role.accounting)[CounterIndex.ordersShed]!,
      logLines: cut + unwritten,
      userChanges: attachCounters(memory, Role.sweeper)[CounterIndex.userChangesLost]!,
    };
  }

  /** Tells of what is new; lines that were cut as a flood tell of themselves. */
  check(nowMs: number): void {
    const { reports, orders, userChanges } = this.totals();
    this.tell("reports", reports, nowMs);
    this.tell("orders", orders, nowMs);
    this.tell("user-changes", userChanges, nowMs);
    const { procFailures } = CounterIndex;
    this.tell("readings", attachCounters(this.memory, Role.sweeper)[procFailures]!, nowMs);
    this.tell("unwritten", this.losses().unwritten, nowMs);
  }

  private tell(kind: ShedKind, count: number, nowMs: number): void {
    const told = this.told[kind];
    if (count <= told.count || nowMs - told.atMs < TOLD_EVERY_MS) return;
    this.journal.publish({ event: "shed", kind, lines: count - told.count });
    this.told[kind] = { count, atMs: nowMs };
  }
}
