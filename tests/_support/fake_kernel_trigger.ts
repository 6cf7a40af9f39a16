/**
 * Programs in the kernel, as far as accounting and killer see them: remembers what it is told.
 *
 * @module
 */
import {
  type KernelCandidates,
  type KernelLimits,
  LineState,
} from "../../pipeline/kill/kernel_trigger.ts";

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
  /** What the kernel says when it is told of who dies. */
  refusal: string | undefined;
  /** Users for whom there is no row. */
  readonly unknown = new Set<number>();

  set(uid: number, limitPages: number, mayKill: boolean): LineState {
    if (this.unknown.has(uid)) return LineState.unknown;
    this.lines.set(uid, { limitPages, mayKill });
    return this.inexact.has(uid) ? LineState.inexact : LineState.exact;
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

  disarm(uid: number): void {
    this.candidates.delete(uid);
  }

  noteDying(uid: number, tgid: number, mmId: number): string | undefined {
    this.dying.push([uid, tgid, mmId]);
    return this.refusal;
  }
}
