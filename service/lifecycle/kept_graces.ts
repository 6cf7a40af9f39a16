/**
 * Graces that are kept when toom starts over: each with a descriptor that stays open.
 *
 * @module
 */
import { keepPidfd } from "../../kernel/kill/carried_pidfd.ts";
import { type CarriedGrace, gracesOf } from "../../pipeline/kill/carried_graces.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";

/**
 * What the next program is told of who has a grace now. Left out is who has ended meanwhile, and who is
 * named by pid and start time, where the kernel has no pidfds: those are asked anew.
 */
export function keptGraces(memory: Memory): CarriedGrace[] {
  return gracesOf(memory)
    .map((grace) => ({ ...grace, pidfd: keepPidfd(grace.pidfd, grace.pid) }))
    .filter(({ pidfd }) => pidfd >= 0);
}
