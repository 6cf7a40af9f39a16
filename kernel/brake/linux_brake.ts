/**
 * Limits of other processes. prlimit(2), /proc/PID/limits, /proc/PID/status
 *
 * @module
 */
import {
  type BrakeFacts,
  type BrakeKernel,
  type FoundLimits,
  SetResult,
  UNLIMITED,
} from "../../pipeline/brake/brake_kernel.ts";
import { Errno, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, readFile, readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { Syscall } from "../ffi/symbols.ts";
import { ProcReader } from "../proc/proc.ts";
import { Helpers } from "./helpers.ts";

/** include/uapi/asm-generic/resource.h */
const RLIMIT_DATA = 2;
const CAP_SYS_RESOURCE = 24n;

export class LinuxBrake implements BrakeKernel {
  readonly helpers: Helpers;
  private readonly proc = new ProcReader();
  private readonly decoder = new TextDecoder();
  private readonly limits = new BigUint64Array(2);
  private readonly old = new BigUint64Array(2);
  /** prlimit(2) itself was not allowed, for want of the capability: helpers are asked at once. */
  private hasNoCapability: boolean | undefined;

  /** @param fifoPriority Of helpers: as of who waits for them; 0: they are ordinary. */
  constructor(fifoPriority = 0) {
    this.helpers = new Helpers(fifoPriority);
    primeErrno();
  }

  readSizes(pid: number, out: BrakeFacts): boolean {
    // A helper of this one's own holds nothing that could be braked.
    if (this.helpers.has(pid)) return false;
    const text = this.read(pid, "status");
    if (text === undefined) return false;
    const data = /^VmData:\s*(\d+)/m.exec(text);
    const uids = /^Uid:\s*(\d+)\s+(\d+)\s+(\d+)/m.exec(text);
    const gids = /^Gid:\s*(\d+)\s+(\d+)\s+(\d+)/m.exec(text);
    const startTicks = this.readStartTicks(pid);
    // Without VmData it is a zombie, or a kernel thread.
    if (data === null || uids === null || gids === null || startTicks < 0) return false;
    out.startTicks = startTicks;
    out.dataKib = Number(data[1]);
    out.touchedKib = kib(text, "RssAnon") + kib(text, "VmSwap");
    out.uid = Number(uids[1]);
    out.gid = Number(gids[1]);
    out.isMixed = uids[2] !== uids[1] || uids[3] !== uids[1] || gids[2] !== gids[1] ||
      gids[3] !== gids[1];
    return true;
  }

  readLimits(pid: number, out: BrakeFacts): boolean {
    const text = this.read(pid, "limits");
    const line = text && /^Max data size +(\w+) +(\w+)/m.exec(text);
    if (!line) return false;
    out.softBytes = bytesOf(line[1]!);
    out.hardBytes = bytesOf(line[2]!);
    return true;
  }

  readStartTicks(pid: number): number {
    try {
      return this.proc.readStartTicks(pid);
    } catch (error) {
      if (this.proc.isFailure(error)) return -1;
      throw error;
    }
  }

  setSoft(pid: number, facts: BrakeFacts, softBytes: bigint, old: FoundLimits): SetResult {
    const { limits } = this;
    let result: number | undefined = -Errno.EPERM;
    const { hardBytes } = facts;
    if (this.hasNoCapability !== true || facts.uid === 0) {
      limits[0] = softBytes;
      limits[1] = hardBytes;
      result = this.setLimit(pid);
      if (result === -Errno.EPERM && facts.uid !== 0) this.hasNoCapability = true;
    }
    if (result === -Errno.EPERM && !facts.isMixed) {
      limits[0] = softBytes;
      limits[1] = hardBytes;
      result = this.helpers.setLimit(facts.uid, facts.gid, pid, limits);
    }
    if (result === -Errno.ESRCH) return SetResult.gone;
    if (result !== 0) return SetResult.refused;
    old.softBytes = limits[0]!;
    old.hardBytes = limits[1]!;
    if (this.readStartTicks(pid) === facts.startTicks) return SetResult.done;
    // The number has come to another process in between, which gets back what it had.
    limits[0] = old.softBytes;
    limits[1] = old.hardBytes;
    this.setLimit(pid);
    return SetResult.gone;
  }

  prepare({ uid, gid }: BrakeFacts): void {
    if (this.hasNoCapability === undefined) this.hasNoCapability = !hasCapability();
    if (this.hasNoCapability && uid !== 0) this.helpers.prepare(uid, gid);
  }

  private setLimit(pid: number): number {
    const { limits, old } = this;
    const result = orErrno(
      openLibc().prlimit64(Syscall.prlimit64, pid, RLIMIT_DATA, asBuffer(limits), asBuffer(old)),
    );
    if (result === 0) limits.set(old);
    return result;
  }

  listPids(out: Int32Array): number {
    try {
      return this.proc.listPids(out);
    } catch (error) {
      if (this.proc.isFailure(error)) return 0;
      throw error;
    }
  }

  comm(pid: number): Uint8Array {
    try {
      return readFile(`/proc/${pid}/comm`).subarray(0, -1);
    } catch {
      return new Uint8Array(0);
    }
  }

  close(): void {
    this.helpers.close();
  }

  /** undefined: it is gone, or cannot be read now. */
  private read(pid: number, file: string): string | undefined {
    try {
      return this.decoder.decode(readFile(`/proc/${pid}/${file}`));
    } catch {
      return undefined;
    }
  }
}

/** Whether this process may set limits of others. capabilities(7) */
export function hasCapability(): boolean {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readTextFile("/proc/self/status"))?.[1] ?? "0";
  return (BigInt(`0x${hex}`) >> CAP_SYS_RESOURCE & 1n) === 1n;
}

function kib(text: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? 0);
}

function bytesOf(word: string): bigint {
  return word === "unlimited" ? UNLIMITED : BigInt(word);
}
