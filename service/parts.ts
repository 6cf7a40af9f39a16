/**
 * The parts of the daemon, opened one after the other; no worker runs yet.
 *
 * @module
 */
import { allowedCpus } from "../kernel/process/affinity.ts";
import type { BrakeMeans } from "../kernel/brake/brake_world.ts";
import { probeGrowth } from "../kernel/process/growth_probe.ts";
import { onlineCpus } from "../kernel/process/online_cpus.ts";
import { machineGrowth } from "../pipeline/discovery/nearness.ts";
import { putGraces } from "../pipeline/kill/carried_graces.ts";
import { putLowerings } from "../pipeline/limits/carried_lowerings.ts";
import type { Memory } from "../pipeline/memory/memory.ts";
import type { TmallocPlace, WorkerConfig } from "../workers/protocol.ts";
import { ReportEvents } from "./journal/report_events.ts";
import { ReportPump } from "./journal/report_pump.ts";
import { ShedWatch } from "./journal/shed_watch.ts";
import { findBrake } from "./lifecycle/brake_place.ts";
import { monotonicNs } from "./lifecycle/handover.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { protectProcess, type TellProtection, tellRefused } from "./lifecycle/protection.ts";
import { settingsOf } from "./lifecycle/settings.ts";
import { makeMemory } from "./lifecycle/shared_memory.ts";
import { StartOver, type SupervisorHost } from "./lifecycle/start_over.ts";
import { serveTmalloc } from "./lifecycle/tmalloc_place.ts";
import { Tracing } from "./lifecycle/tracing.ts";
import { workerConfig } from "./lifecycle/worker_config.ts";
import { WorkerWakes } from "./lifecycle/worker_wakes.ts";
import { type OnHang, WorkerWatch } from "./lifecycle/worker_watch.ts";
import { LimitControl } from "./limits/limit_control.ts";
import { sharedGroups } from "./limits/owners.ts";
import { countsOwn } from "./limits/own_members.ts";
import type { LimitState } from "./limits/state_file.ts";
import { RulesInForce } from "./rules/rules_in_force.ts";
import { userFacts } from "./status/user_facts.ts";
import { machineNames } from "./limits/machine_names.ts";
import type { UserNames } from "./limits/user_names.ts";

export interface Parts {
  readonly tell: TellProtection;
  readonly startOver: StartOver;
  readonly memory: Memory;
  readonly names: UserNames;
  readonly shed: ShedWatch;
  readonly tracing: Tracing;
  readonly reports: ReportPump;
  /** undefined: tmalloc is not served. */
  readonly tmalloc: TmallocPlace | undefined;
  readonly limits: LimitControl;
  readonly victimRules: RulesInForce;
  readonly config: WorkerConfig;
  readonly watch: WorkerWatch;
  /** null: no process can be braked here. */
  readonly brakeMeans: BrakeMeans | null;
}

/**
 * Opens all parts and begins to trace.
 *
 * @param open Closes them, the newest first; also what was opened before something failed.
 * @param onHang Told that a worker hangs.
 * @throws {StartError} When toom cannot run here, with the mend.
 */
export function openParts(
  options: SupervisorOptions,
  host: SupervisorHost,
  state: LimitState,
  open: AsyncDisposableStack,
  onHang: OnHang,
): Parts {
  const { journal, handover } = host;
  const { pageBytes } = options;
  const tell = tellRefused(journal);
  const startOver = new StartOver(host, allowedCpus());
  protectProcess(tell);
  const memory = makeMemory(options);
  // Before any worker: nobody is asked twice, and no grace becomes longer or shorter.
  putGraces(memory, handover?.graces ?? [], monotonicNs());
  putLowerings(memory, handover?.lowerings ?? []);
  const names = machineNames();
  const shed = new ShedWatch(memory, journal, host.logLosses);
  const tracing = open.adopt(
    new Tracing({
      source: options.source,
      countMask: options.memberMask,
      countsOwn: countsOwn(state.list(), options.memberMask),
      readers: options.readerCount,
      bufferKib: options.bufferKib,
      subbufKib: options.subbufKib,
      pageBytes,
      formerFds: handover?.fds.instances ?? [],
    }),
    (made) => made.close(),
  );
  const victimRules = new RulesInForce(memory);
  const wakes = new WorkerWakes(options.readerCount, open);
  const events = new ReportEvents(
    pageBytes,
    (uid) => names.nameOf(uid),
    (uid) => userFacts(memory, uid, limits.list()),
    (tag) => victimRules.nameOf(tag),
    () => new Date(),
  );
  const reports = new ReportPump(memory, wakes.reportBell, events, journal);
  const tmalloc = serveTmalloc(options.tmallocSocketPath, handover?.fds.tmalloc, journal, open);
  const limits = open.adopt(
    new LimitControl({
      memory,
      state,
      settings: settingsOf(options, journal),
      journal,
      subuidPath: options.subuidPath,
      groups: sharedGroups(options.limits),
      pageBytes,
      wake: () => wakes.wakeForLimits(),
    }),
    (made) => made.close(),
  );
  tracing.start();
  const isFirstStart = handover === undefined;
  const brakeMeans = findBrake(options, state.list(), journal);
  const config = workerConfig({
    options,
    tracing,
    wakes,
    tmalloc,
    // Of use only where pages are not booked all the time.
    growthBytesPerNs: machineGrowth(onlineCpus(), tracing.source === "bpf" ? probeGrowth() : 0),
    isFirstStart,
    tell,
    brakeMeans,
  });
  const watch = new WorkerWatch(
    memory,
    config,
    (role) => wakes.wake(role),
    (role, reason, downMs) => journal.publish({ event: "worker-restart", role, reason, downMs }),
    onHang,
    handover?.restarts,
  );
  return {
    tell,
    startOver,
    memory,
    names,
    shed,
    tracing,
    reports,
    tmalloc,
    limits,
    victimRules,
    config,
    watch,
    brakeMeans,
  };
}
