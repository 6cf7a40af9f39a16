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
  const isNarrow = options.readerCount === 1 && tracing.source !== "text";
  return {
    pageBytes: options.pageBytes,
    isFirstStart,
    realTime: true,
    ...chooseCpus(options.pathCpu, isNarrow, tell),
    readers: tracing.readers.map((pipes, index) => ({
      ...pipes,
      wakeFd: wakes.fds.readers[index]!,
    })),
    sweeper: { ...tracing.discoverySpec(), wakeFd: wakes.fds.sweeper },
    wakeFds: wakes.fds,
    tmalloc: tmalloc && { ...tmalloc, wakeFd: wakes.fds.coordinator },
  };
}
