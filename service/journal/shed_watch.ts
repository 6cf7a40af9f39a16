/**
 * What was left out because nobody took it in time: never a reason to wait (I6), but one to be told.
 *
 * @module
 */
import { CounterIndex, Role } from "../../pipeline/memory/layout.ts";
import { attachCounters, type Memory } from "../../pipeline/memory/memory.ts";
import type { Log, ShedKind } from "./log.ts";

/** Each kind is told of at most this often. */
const TOLD_EVERY_MS = 10_000;

/** How much was left out since the start, by what: see `shed` in control_api.ts. */
export interface Shed {
  readonly reports: number;
  readonly orders: number;
  readonly logLines: number;
  readonly userChanges: number;
}

export class ShedWatch {
  private readonly memory: Memory;
  private readonly log: Log;
  private readonly unwritten: () => number;
  private readonly told: Record<ShedKind, { count: number; atMs: number }>;

  /** @param unwritten Lines of the log so far that could not be written. */
  constructor(memory: Memory, log: Log, unwritten: () => number) {
    this.memory = memory;
    this.log = log;
    this.unwritten = unwritten;
    const nothing = (): { count: number; atMs: number } => ({ count: 0, atMs: -Infinity });
    this.told = {
      reports: nothing(),
      orders: nothing(),
      unwritten: nothing(),
      "user-changes": nothing(),
    };
  }

  /** As of now, since the start. */
  totals(): Shed {
    const { memory, log } = this;
    let reports = 0;
    for (let role = 0; role < Role.reader + memory.plan.capacity.readers; role++) {
      reports += attachCounters(memory, role)[CounterIndex.reportsShed]!;
    }
    return {
      reports,
      orders: attachCounters(memory, Role.accounting)[CounterIndex.ordersShed]!,
      logLines: log.shedTotal + this.unwrittenLines(),
      userChanges: attachCounters(memory, Role.sweeper)[CounterIndex.userChangesLost]!,
    };
  }

  /** Tells of what is new; lines that were cut as a flood tell of themselves. */
  check(nowMs: number): void {
    const { reports, orders, userChanges } = this.totals();
    this.tell("reports", reports, nowMs);
    this.tell("orders", orders, nowMs);
    this.tell("user-changes", userChanges, nowMs);
    this.tell("unwritten", this.unwrittenLines(), nowMs);
  }

  private unwrittenLines(): number {
    return this.log.failedTotal + this.unwritten();
  }

  private tell(kind: ShedKind, count: number, nowMs: number): void {
    const told = this.told[kind];
    if (count <= told.count || nowMs - told.atMs < TOLD_EVERY_MS) return;
    this.log.event({ event: "shed", kind, lines: count - told.count });
    this.told[kind] = { count, atMs: nowMs };
  }
}
