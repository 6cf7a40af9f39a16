/**
 * Programs in the kernel, as far as accounting and killer see them: remembers what it is told.
 *
 * @module
 */
import type { KernelCandidates, KernelLimits } from "../../pipeline/kill/kernel_trigger.ts";

export interface Line {
  readonly limitPages: number;
  readonly mayKill: boolean;
}

export class FakeKernelTrigger implements KernelLimits, KernelCandidates {
  readonly lines = new Map<number, Line>();
  readonly inheritedPages = new Map<number, number>();
  /** By user: process and mm. */
  readonly candidates = new Map<number, readonly [tgid: number, mmId: number]>();
  readonly dying: (readonly [uid: number, tgid: number, mmId: number])[] = [];
  /** Users of whom not all address spaces have a slot. */
  readonly inexact = new Set<number>();

  set(uid: number, limitPages: number, mayKill: boolean): boolean {
    this.lines.set(uid, { limitPages, mayKill });
    return !this.inexact.has(uid);
  }

  chargeInherited(uid: number, pages: number): void {
    this.inheritedPages.set(uid, (this.inheritedPages.get(uid) ?? 0) + pages);
  }

  clearCandidate(uid: number): void {
    this.candidates.delete(uid);
  }

  arm(uid: number, tgid: number, mmId: number): void {
    this.candidates.set(uid, [tgid, mmId]);
  }

  noteDying(uid: number, tgid: number, mmId: number): void {
    this.dying.push([uid, tgid, mmId]);
  }
}
