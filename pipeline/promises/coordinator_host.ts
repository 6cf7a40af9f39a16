/**
 * What the coordinator needs of the world: who a process is, a way to answer it, and to be told of
 * its end.
 *
 * @module
 */
import type { Reply } from "./tmalloc_message.ts";

/** A process as /proc tells it. */
export interface ProcessIdentity {
  /** Clock ticks since the boot, low 32 bits. */
  readonly startTicks: number;
  /** Another after each exec. */
  readonly imageId: number;
  readonly parentPid: number;
  /** Counted pages, and by how many that may be too few on this kernel. */
  readonly residentPages: number;
}
/** What the agent needs of the world. */
export interface CoordinatorHost {
  /** @returns undefined when the process is gone. */
  identify(pid: number): ProcessIdentity | undefined;
  /** Sends a reply, or drops it when the connection cannot take it. `reply` is reused. */
  reply(connection: number, reply: Reply): void;
  /** Watches a process, to call `exited` of the coordinator. @returns false when it is gone. */
  watch(pid: number): boolean;
  unwatch(pid: number): void;
}
