/**
 * What the workers are told when they start.
 *
 * @module
 */
import type { TmallocPlace, WorkerConfig } from "../../workers/protocol.ts";
import type { BrakeMeans } from "../../kernel/brake/brake_world.ts";
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
  /** See pipeline/discovery/nearness.ts. */
  readonly growthBytesPerNs: number;
  /** Nothing is enforced before this start. */
  readonly isFirstStart: boolean;
  readonly tell: TellProtection;
  /** null: no process can be braked here. */
  readonly brakeMeans: BrakeMeans | null;
}

export function workerConfig(parts: WorkerConfigParts): WorkerConfig {
  const { options, tracing, wakes, tmalloc, isFirstStart, tell, brakeMeans, growthBytesPerNs } =
    parts;
  const isNarrow = options.readerCount === 1 && tracing.source !== "text";
  return {
    pageBytes: options.pageBytes,
    growthBytesPerNs,
    isFirstStart,
    realTime: true,
    ...chooseCpus(options.pathCpu, isNarrow, tell),
    readers: tracing.readers.map((pipes, index) => ({
      ...pipes,
      wakeFd: wakes.fds.readers[index]!,
    })),
    sweeper: {
      ...tracing.discoverySpec(),
      brake: { dirPath: options.stateDirPath, isPossible: brakeMeans !== null },
      wakeFd: wakes.fds.sweeper,
    },
    wakeFds: wakes.fds,
    tmalloc: tmalloc && { ...tmalloc, wakeFd: wakes.fds.coordinator },
  };
}
