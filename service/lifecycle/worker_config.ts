/**
 * What the workers are told when they start.
 *
 * @module
 */
import type { TmallocPlace, WorkerConfig } from "../../workers/protocol.ts";
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
  readonly tell: TellProtection;
}

export function workerConfig(parts: WorkerConfigParts): WorkerConfig {
  const { options, tracing, wakes, tmalloc, isFirstStart, tell } = parts;
  const isNarrow = options.readerCount === 1 && tracing.source === "raw";
  return {
    source: tracing.source,
    pageBytes: options.pageBytes,
    isFirstStart,
    realTime: true,
    ...chooseCpus(options.pathCpu, isNarrow, tell),
    formats: tracing.formats,
    readerPipes: tracing.readerPipes,
    readerWakeFds: wakes.fds.readers,
    loginSource: tracing.loginSource,
    loginPipes: tracing.loginPipes,
    sweeperWakeFd: wakes.fds.sweeper,
    coordinatorWakeFd: wakes.fds.coordinator,
    tmalloc,
    instanceName: tracing.events.name,
    tracefsPath: tracing.tracefsPath,
    guardedFiles: tracing.guarded(),
    statsFds: tracing.statsFds(),
  };
}
