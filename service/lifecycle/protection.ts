/**
 * What keeps toom itself alive and quick: it is not a victim of the kernel, it is small, and what a
 * kill needs is in memory. What is refused is told, and toom goes on without.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import {
  collectGarbage,
  dropStartupCode,
  keepHeapsSmall,
  trimHeap,
} from "../../kernel/process/heap.ts";
import {
  lockBuffer,
  lockMemory,
  type Protection,
  setNice,
  setOomScoreAdj,
} from "../../kernel/process/self_protection.ts";
import type { Journal } from "../journal/journal.ts";
import { raiseCompilers } from "./compiler_threads.ts";

/** Told of something that was asked for, and whether it could be had. */
export type TellProtection = (wish: string, result: Protection) => void;

/** Publishes what was refused. */
export function tellRefused(journal: Journal): TellProtection {
  return (wish, result) => {
    if (result.ok) return;
    journal.publish({ event: "config", message: `goes without ${wish}: ${result.reason}` });
  };
}

/** At the start, before any worker: threads inherit it. */
export function protectProcess(tell: TellProtection): void {
  keepHeapsSmall();
  tell("oom_score_adj -1000", setOomScoreAdj(-1000));
  tell("nice -20", setNice(-20));
  raiseCompilers(tell);
}

/** Lets go of what only the start needs. @param isUrgent Somebody waits: the costly part is left out. */
export function dropStart(isUrgent: boolean): void {
  if (!isUrgent) collectGarbage();
  dropStartupCode();
  trimHeap();
}

/** Keeps code and tables in memory; last, as what is locked cannot be let go. mlock2(2) */
export function lockInMemory(memory: Memory, tell: TellProtection): void {
  tell("locked code", lockMemory());
  tell("locked tables", lockBuffer(memory.buffer));
}
