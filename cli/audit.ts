/**
 * `toom doctor --audit`: are the books of a toom that runs true?
 *
 * @module
 */
import { KernelError } from "../kernel/ffi/errno.ts";
import { readTextFile } from "../kernel/ffi/fd.ts";
import { pageBytes } from "../kernel/ffi/libc.ts";
import { sharesMm } from "../kernel/proc/kcmp.ts";
import { ProcReader } from "../kernel/proc/proc.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import { readSmapsRollup } from "../kernel/proc/smaps.ts";
import { onlineCpus } from "../kernel/process/online_cpus.ts";
import { Member } from "../pipeline/memory/layout.ts";
import { ProcStatus } from "../pipeline/ports.ts";
import type { Audit } from "../service/control/control_api.ts";
import { compareAudit, type Comparison, type SeenProcess } from "./audit_compare.ts";
import type { ControlClient } from "./control_client.ts";

/** What is under way when the books are read has come by then; a difference that stays is one. */
const TRIES = 5;
const BETWEEN_MS = 300;
const PIDS_MAX = 1 << 22;
/** Of /proc/PID/stat; the same on every architecture that Linux has today. */
const TICKS_PER_SECOND = 100;

/** Users that are compared. @param uid undefined: all that have a limit and processes. */
export async function auditUsers(
  client: ControlClient,
  uid: number | undefined,
): Promise<readonly Comparison[]> {
  const uids = uid === undefined
    ? (await client.status()).users.filter(({ processes }) => processes > 0).map((one) => one.uid)
    : [uid];
  const compared: Comparison[] = [];
  for (const one of uids) compared.push(await auditUser(client, one));
  return compared;
}

async function auditUser(client: ControlClient, uid: number): Promise<Comparison> {
  for (let tries = 1;; tries++) {
    const before = await client.audit(uid);
    const seen = await readUser(before);
    const after = await client.audit(uid);
    const errorPages = procErrorPages(Deno.osRelease(), onlineCpus());
    const comparison = compareAudit(before, seen, after, errorPages);
    if (comparison.unexplained === 0 || tries === TRIES) return comparison;
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
  }
}

/** The user's processes, and those that the books say are: subordinate uids count for their owner. */
async function readUser({ ownerUid, countMask, processes }: Audit): Promise<SeenProcess[]> {
  const proc = new ProcReader();
  const status = new ProcStatus();
  const pids = new Int32Array(PIDS_MAX);
  const known = new Set(processes.map(({ pid }) => pid));
  const uptimeMs = Number(readTextFile("/proc/uptime").split(" ")[0]) * 1000;
  const kibPerPage = pageBytes() / 1024;
  const seen: SeenProcess[] = [];
  for (const pid of pids.subarray(0, proc.listPids(pids))) {
    if (!proc.readStatus(pid, status)) continue;
    if (status.realUid >>> 0 !== ownerUid && !known.has(pid)) continue;
    const { realUid, rssAnonKib, rssFileKib, rssShmemKib, vmSwapKib } = status;
    const kib = [rssFileKib, rssAnonKib, vmSwapKib, rssShmemKib]
      .reduce((sum, part, member) => sum + ((countMask >> member & 1) === 1 ? part : 0), 0);
    const ageMs = uptimeMs - proc.readStartTicks(pid) * 1000 / TICKS_PER_SECOND;
    seen.push({
      pid,
      realUid: realUid >>> 0,
      countedPages: kib / kibPerPage,
      heldPages: await heldPages(pid, countMask, kibPerPage),
      ageMs,
      sharesMmWith: sharerOf(pid, seen),
    });
  }
  return seen.map((one) => one.sharesMmWith === undefined ? one : { ...one, heldPages: 0 });
}

/** Of the anonymous alone, or with what else counts; undefined when it cannot be read. */
async function heldPages(
  pid: number,
  countMask: number,
  kibPerPage: number,
): Promise<number | undefined> {
  const rollup = await readSmapsRollup(pid);
  if (rollup === undefined) return 0; // It has no memory, or no longer.
  const counts = (member: number): number => countMask >> member & 1;
  const { pssAnonKib, pssFileKib, pssShmemKib, swapPssKib, lazyFreeKib } = rollup;
  return (counts(Member.anon) * (pssAnonKib - lazyFreeKib) + counts(Member.file) * pssFileKib +
    counts(Member.shmem) * pssShmemKib + counts(Member.swap) * swapPssKib) / kibPerPage;
}

function sharerOf(pid: number, seen: readonly SeenProcess[]): number | undefined {
  try {
    return seen.find((other) => sharesMm(other.pid, pid))?.pid;
  } catch (error) {
    if (error instanceof KernelError) return undefined; // It is gone, or this kernel has no kcmp(2).
    throw error;
  }
}
