/**
 * The processes at the other ends of the coordinator's connections: what /proc says of them, and when
 * they end.
 *
 * @module
 */
import { Member } from "../memory/layout.ts";
import { readLivingThread } from "../living_thread.ts";
import type { MemberMask } from "../memory/settings.ts";
import {
  type Proc,
  ProcIdentity,
  ProcStatus,
  type ReadySet,
  SocketFailure,
  type Sockets,
} from "../ports.ts";
import type { ProcessIdentity } from "./coordinator_host.ts";
import type { OwnedHandles } from "./owned_handles.ts";
import { KeyKind } from "./ready_key.ts";

export interface ProcessWatchOptions {
  readonly proc: Proc;
  readonly pageBytes: number;
  /** The members that count for the user of a process. */
  readonly countMaskOf: (uid: number) => MemberMask;
  /** By how much /proc may be wrong about a process, pages. */
  readonly procErrorPages: number;
}

export class ProcessWatch {
  private readonly options: ProcessWatchOptions;
  private readonly sockets: Sockets;
  private readonly top: ReadySet;
  private readonly handles: OwnedHandles;
  private readonly byPid = new Map<number, number>();
  private readonly status = new ProcStatus();
  private readonly identity = new ProcIdentity();

  constructor(
    options: ProcessWatchOptions,
    sockets: Sockets,
    top: ReadySet,
    handles: OwnedHandles,
  ) {
    this.options = options;
    this.sockets = sockets;
    this.top = top;
    this.handles = handles;
  }

  /** @returns undefined when the process is gone. */
  identify(pid: number): ProcessIdentity | undefined {
    const { status, identity } = this;
    const { proc, procErrorPages } = this.options;
    if (!proc.readIdentity(pid, identity)) return undefined;
    const { startTicks, ppid } = identity;
    const tid = readLivingThread(proc, pid, status);
    if (tid === 0 || (tid !== pid && !proc.readIdentity(tid, identity))) return undefined;
    return {
      startTicks: startTicks | 0,
      imageId: (identity.stackStart / 16) | 0,
      parentPid: ppid,
      residentPages: this.residentPages() + procErrorPages,
    };
  }

  private residentPages(): number {
    const { countMaskOf, pageBytes } = this.options;
    const { status } = this;
    const countMask = countMaskOf(status.realUid);
    let kib = 0;
    if ((countMask >> Member.file & 1) !== 0) kib += status.rssFileKib;
    if ((countMask >> Member.anon & 1) !== 0) kib += status.rssAnonKib;
    if ((countMask >> Member.swap & 1) !== 0) kib += status.vmSwapKib;
    if ((countMask >> Member.shmem & 1) !== 0) kib += status.rssShmemKib;
    return Math.ceil(kib * 1024 / pageBytes);
  }

  /** @returns false when the process is gone. What cannot be watched the audit finds out. */
  watch(pid: number): boolean {
    const handle = this.sockets.openProcess(pid);
    if (handle < 0) return handle !== SocketFailure.gone;
    this.handles.own(handle);
    if (this.top.add(handle, KeyKind.process | pid) < 0) this.handles.close(handle);
    else this.byPid.set(pid, handle);
    return true;
  }

  unwatch(pid: number): void {
    const handle = this.byPid.get(pid);
    if (handle === undefined) return;
    this.byPid.delete(pid);
    this.handles.close(handle);
  }
}
