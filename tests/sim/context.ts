/**
 * What the parts of a simulation know of it.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { Books } from "../../pipeline/books/books.ts";
import type { Random } from "../_support/random.ts";
import type { FakeKernel } from "./kernel/fake_kernel.ts";
import type { SimOptions } from "./options.ts";

export interface SimContext {
  readonly options: SimOptions;
  readonly kernel: FakeKernel;
  /** Of the incarnation of toom that runs. */
  readonly memory: Memory;
  readonly books: Books;
  /** Of the step under way: all that is left to chance comes from it. */
  readonly random: Random;
  /** No faults any more. */
  readonly isCalm: boolean;
  /** A role is in the middle of a step. */
  readonly isMeanwhile: boolean;
  /** Number of the last sweep that began. */
  readonly sweeps: number;
  /**
   * A role calls the world: time passes, others go on meanwhile, and it may be the role's end.
   * @throws {RoleDied} In the middle of the role's step.
   * @throws {StartedOver} All has ended meanwhile.
   */
  call(role: number, ns?: number): void;
  /**
   * A loop goes round that broken rules may make endless.
   * @throws {Broken} When the run has had so many that it would not come to its end.
   */
  countMove(): void;
  /** Whether a call of the kernel fails now. */
  failsNow(): boolean;
  /**
   * A role waits for others.
   * @throws {Error} When that takes for ever.
   */
  waitUntil(role: number, isDone: () => boolean): void;
  /** The limits are others from now on. */
  setHardPages(pages: number): void;
  /** Says what a step does, for who reads the script. */
  note(text: string): void;
}

/** A role throws. */
export class RoleDied extends Error {
  readonly role: number;

  constructor(role: number, reason: string) {
    super(reason);
    this.role = role;
  }
}

/** The process has started over: nothing of before goes on. */
export class StartedOver extends Error {}

/** A rule does not hold: its number comes first. */
export class Broken extends Error {}
