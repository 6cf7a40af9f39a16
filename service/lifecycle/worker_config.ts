/**
 * What the workers are told when they start.
 *
 * @module
 */
import { canReadSmaps } from "../../kernel/proc/smaps.ts";
import type { TmallocPlace, WorkerConfig } from "../../workers/protocol.ts";
import type { Journal } from "../journal/journal.ts";
import type { SupervisorOptions } from "./options.ts";
import { chooseCpus } from "./cpu_choice.ts";
import type { TellProtection } from "./protection.ts";
import type { Tracing } from "./tracing.ts";
import type { WorkerWakes } from "./worker_wakes.ts";

export interface WorkerConfigParts {
  readonly options: SupervisorOptions;
  readonly tracing: Tracing;
  readonly wakes: WorkerWakes;
  readonly tmalloc: TmallocPlace | undefined;
  /** Nothing is enforced before this start. */
  readonly isFirstStart: boolean;
  readonly journal: Journal;
  readonly tell: TellProtection;
}

export function workerConfig(parts: WorkerConfigParts): WorkerConfig {
  const { options, tracing, wakes, tmalloc, isFirstStart, journal, tell } = parts;
  const isNarrow = options.readerCount === 1 && tracing.source === "raw";
  return {
    pageBytes: options.pageBytes,
    countMask: options.memberMask,
    creditsShares: creditsShares(options, journal),
    userProcessesMax: options.userProcessesMax,
    victimPolicy: options.victim,
    dryRun: options.dryRun,
    isFirstStart,
    arms: options.arms,
    intervalMs: options.intervalMs,
    minAvailableBytes: options.minAvailableBytes,
    realTime: true,
    ...chooseCpus(options.pathCpu, isNarrow, tell),
    readers: tracing.readers.map((pipes, index) => ({
      ...pipes,
      wakeFd: wakes.fds.readers[index]!,
    })),
    sweeper: { ...tracing.discoverySpec(), wakeFd: wakes.fds.sweeper, psi: options.psi },
    wakeFds: wakes.fds,
    tmalloc: tmalloc && { ...tmalloc, wakeFd: wakes.fds.coordinator },
  };
}

/** Shared pages are credited where they can be measured. */
function creditsShares(options: SupervisorOptions, journal: Journal): boolean {
  if (!options.creditsShares) return false;
  if (canReadSmaps()) return true;
  const message = "counts shared pages in each process, as --count ...+sum does: this kernel " +
    "does not tell what is shared (smaps_rollup, CONFIG_PROC_PAGE_MONITOR)";
  journal.publish({ event: "config", message });
  return false;
}
