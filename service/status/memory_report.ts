/**
 * What the shared memory tells of users, kills, events and tmalloc, for `toom status`.
 *
 * @module
 */
import { NO_LIMIT_PAGES, UNKNOWN_UID } from "../../pipeline/books/books.ts";
import {
  BROKEN_REASONS,
  CounterIndex,
  HeaderWord,
  Role,
  roleName,
  RoleState,
  RoleWord,
  TABLE_HEADER_BYTES,
  TableWord,
  UserState,
} from "../../pipeline/memory/layout.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import { threadCpuMs } from "../../kernel/process/cost.ts";
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import { attachCounters, type Memory } from "../../pipeline/memory/memory.ts";
import type {
  StatusReport,
  TmallocReport,
  UserReport,
  WorkerReport,
} from "../control/control_api.ts";
import { unseenUserReport, type UserContext, userReport } from "./user_report.ts";
import type { LifeReport } from "../../pipeline/lifecycle/role_watch.ts";

export interface StatusContext extends UserContext {
  /** The limits in force. */
  readonly rules: readonly LimitRule[];
  readonly eventsPerSecond: number;
  /** null: not served. */
  readonly tmallocSocketPath: string | null;
}

/** The parts of a status that are read off the shared memory. */
export function memoryReport(
  memory: Memory,
  context: StatusContext,
): Pick<
  StatusReport,
  "degraded" | "users" | "kills" | "events" | "measuring" | "near" | "tmalloc"
> {
  const accounting = attachCounters(memory, Role.accounting);
  const killer = attachCounters(memory, Role.killer);
  const sweeper = attachCounters(memory, Role.sweeper);
  let malformed = 0;
  let foreign = 0;
  let lost = 0;
  for (let i = 0; i < memory.plan.capacity.readers; i++) {
    const counters = attachCounters(memory, Role.reader + i);
    malformed += counters[CounterIndex.malformed]!;
    foreign += counters[CounterIndex.foreign]!;
    lost += counters[CounterIndex.lost]!;
  }
  return {
    degraded: Atomics.load(memory.header, HeaderWord.degraded) !== 0,
    users: userReports(memory, context),
    kills: {
      total: killer[CounterIndex.kills]!,
      failed: killer[CounterIndex.killsFailed]!,
      spared: killer[CounterIndex.spared]!,
    },
    events: {
      total: accounting[CounterIndex.events]!,
      perSecond: context.eventsPerSecond,
      lost,
      malformed,
      foreign,
      stale: accounting[CounterIndex.stale]!,
      unattributed: accounting[CounterIndex.unattributed]!,
      driftPages: accounting[CounterIndex.driftPages]!,
      sweeps: accounting[CounterIndex.sweeps]!,
    },
    measuring: {
      users: sweeper[CounterIndex.measurings]!,
      ms: Math.round(sweeper[CounterIndex.measureNs]! / 1e6),
    },
    ...nearReport(sweeper, context.nowNs),
    tmalloc: tmallocReport(memory, context.tmallocSocketPath),
  };
}

/** Nothing where users are recorded by what each of their tasks does. */
export function nearReport(sweeper: Float64Array, nowNs: number): Pick<StatusReport, "near"> {
  const sinceNs = sweeper[CounterIndex.nearSinceNs]!;
  if (sinceNs === 0) return {};
  return {
    near: {
      isNear: sinceNs > 0,
      seconds: Math.max(0, Math.round((nowNs - Math.abs(sinceNs)) / 1e8) / 10),
      looks: sweeper[CounterIndex.looks]!,
      lookMs: Math.round(sweeper[CounterIndex.lookNs]! / 1e6),
      refusals: sweeper[CounterIndex.attachFailures]!,
    },
  };
}

/** The part about workers. */
export function workerReports(memory: Memory, lives: readonly LifeReport[]): WorkerReport[] {
  return lives.map(({ role, restarts, heartbeatAgeMs, state }) => ({
    role: roleName(role),
    state: stateName(state),
    heartbeatAgeMs,
    cpuMs: threadCpuMs(Atomics.load(attachRole(memory, role), RoleWord.tid)),
    restarts,
    events: attachCounters(memory, role)[CounterIndex.events]!,
  }));
}

function stateName(state: number): WorkerReport["state"] {
  if (state === RoleState.starting) return "starting";
  if (state === RoleState.running) return "running";
  return state === RoleState.stopped ? "stopped" : "absent";
}

function tmallocReport(memory: Memory, socketPath: string | null): TmallocReport {
  const counters = attachCounters(memory, Role.coordinator);
  const broken = BROKEN_REASONS.map((reason, index) => [
    reason,
    counters[CounterIndex.broken + index]!,
  ]);
  return {
    socketPath,
    connections: counters[CounterIndex.connections]!,
    processes: counters[CounterIndex.clients]!,
    waiting: counters[CounterIndex.waiting]!,
    requests: counters[CounterIndex.requests]!,
    granted: counters[CounterIndex.granted]!,
    denied: counters[CounterIndex.denied]!,
    timedOut: counters[CounterIndex.timedOut]!,
    refusedConnections: counters[CounterIndex.connectionsRefused]!,
    brokenConnections: Object.fromEntries(broken),
  };
}

/** Users who have a limit and of whom something is known. */
export function* limitedUids({ users, buffer, plan }: Memory): Generator<number> {
  const header = new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4);
  const highWater = Atomics.load(header, TableWord.highWater);
  for (let slot = 0; slot < highWater; slot++) {
    if (Atomics.load(users.state, slot) === UserState.free) continue;
    if (Atomics.load(users.hardPages, slot) === NO_LIMIT_PAGES) continue;
    if (users.uid[slot] !== UNKNOWN_UID) yield users.uid[slot]! >>> 0;
  }
}

/** Users that have a limit, by uid. */
function userReports(memory: Memory, context: StatusContext): UserReport[] {
  const header = new Int32Array(memory.buffer, memory.plan.users, TABLE_HEADER_BYTES / 4);
  const seen = new Set<number>();
  const reports: UserReport[] = [];
  const highWater = Atomics.load(header, TableWord.highWater);
  for (let slot = 0; slot < highWater; slot++) {
    const report = userReport(memory, slot, context);
    if (report === undefined) continue;
    seen.add(report.uid);
    reports.push(report);
  }
  // Users with a limit of their own who have not been seen yet.
  for (const rule of context.rules) {
    const { uidFirst, uidLast, hardPages } = rule;
    if (uidFirst !== uidLast || hardPages === NO_LIMIT_PAGES || seen.has(uidFirst)) continue;
    reports.push(unseenUserReport(uidFirst, rule, context));
  }
  return reports.sort((a, b) => a.uid - b.uid);
}
