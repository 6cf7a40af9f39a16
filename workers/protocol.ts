/**
 * What the supervisor hands a worker when it starts: one message, plain data; everything else goes
 * through shared memory. Descriptors are opened by the supervisor and belong to the process, so a
 * restarted worker goes on with those of its predecessor.
 *
 * @module
 */
import type { SocketsSpec } from "../kernel/sockets/tmalloc_sockets.ts";
import type { BpfSourceSpec } from "../kernel/bpf/bpf_source.ts";
import type { SweeperSpec } from "../kernel/discovery/sweeper_world.ts";
import type { TraceSourceSpec } from "../kernel/trace/trace_source.ts";

/** Where tmalloc is served. */
export interface TmallocPlace extends Omit<SocketsSpec, "wakeFd"> {
  /** The file that remembers promises. */
  readonly ledgerPath: string;
}

/** What all workers are told when they start. What may change meanwhile: memory/settings.ts. */
export interface WorkerConfig {
  readonly pageBytes: number;
  /** The most that users' programs can take together, see pipeline/discovery/nearness.ts. */
  readonly growthBytesPerNs: number;
  /** Nothing is enforced before this start: there is time to be small. */
  readonly isFirstStart: boolean;
  /** SCHED_FIFO for the workers on the event's way. */
  readonly realTime: boolean;
  /** The CPU that accounting and killer share; -1: wherever the kernel puts them. */
  readonly pathCpu: number;
  /** The reader's: the same, or -1: on any other. */
  readonly readerCpu: number;
  /** CPUs of all other threads; empty: any. */
  readonly otherCpus: readonly number[];
  /** What each reader reads. */
  readonly readers: readonly (TraceSourceSpec | BpfSourceSpec)[];
  readonly sweeper: SweeperSpec;
  /** eventfd(2) of those whom other workers wake up and who do not sleep on a bell. */
  readonly wakeFds: {
    readonly sweeper: number;
    readonly coordinator: number;
    readonly supervisor: number;
  };
  /** The socket that programs ask on; undefined: nobody is to ask. */
  readonly tmalloc: (TmallocPlace & SocketsSpec) | undefined;
}

export interface WorkerInit {
  readonly memory: SharedArrayBuffer;
  readonly role: number;
  /** This incarnation's number; when the role's epoch moves on, it must leave. */
  readonly epoch: number;
  readonly config: WorkerConfig;
}
