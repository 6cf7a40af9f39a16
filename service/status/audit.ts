/**
 * What the books say of a user and of each of its processes, and what programs in the kernel keep of it:
 * one half of `toom doctor --audit`, which compares it with /proc.
 *
 * @module
 */
import type { KernelUser } from "../../kernel/bpf/kernel_users.ts";
import { ProcessState, TABLE_HEADER_BYTES, TableWord } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { Audit } from "../control/control_api.ts";
import { userSlotOf } from "./user_facts.ts";

export interface AuditContext {
  readonly memory: Memory;
  readonly ownerOf: (uid: number) => number;
  /** undefined: no program keeps books of it. */
  readonly kernelUser: (uid: number) => KernelUser | undefined;
  readonly pageBytes: number;
  /** The members that count for a user. */
  readonly countMaskOf: (uid: number) => number;
  readonly creditsShares: boolean;
  readonly degraded: boolean;
  readonly near: Audit["near"];
  readonly source: Audit["source"];
}

/** As of now; words of one row may be of two moments, so who compares asks twice. */
export function audit(context: AuditContext, uid: number): Audit {
  const { memory, ownerOf, kernelUser } = context;
  const ownerUid = ownerOf(uid);
  const slot = userSlotOf(memory, ownerUid);
  const kernel = kernelUser(ownerUid);
  return {
    uid,
    ownerUid,
    pageBytes: context.pageBytes,
    countMask: context.countMaskOf(ownerUid),
    creditsShares: context.creditsShares,
    source: context.source,
    degraded: context.degraded,
    ...(context.near === undefined ? {} : { near: context.near }),
    user: slot < 0 ? null : {
      countedPages: memory.users.usagePages[slot]!,
      creditPages: memory.users.creditPages[slot]!,
      inDoubt: memory.users.doubtTsNs[slot] !== 0,
      processes: memory.users.processCount[slot]!,
    },
    kernel: kernel === undefined ? null : {
      totalPages: kernel.totalPages,
      pendingPages: kernel.pendingPages,
      inheritedPages: kernel.inheritedPages,
    },
    processes: slot < 0 ? [] : [...processesOf(memory, slot)],
  };
}

function* processesOf(
  { processes, buffer, plan }: Memory,
  userSlot: number,
): Generator<Audit["processes"][number]> {
  const header = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  const highWater = Atomics.load(header, TableWord.highWater);
  for (let row = 0; row < highWater; row++) {
    if (processes.userSlot[row] !== userSlot || processes.tgid[row]! <= 0) continue;
    if (processes.state[row] === ProcessState.free) continue;
    yield { pid: processes.tgid[row]!, countedPages: processes.pages[row]! };
  }
}
