/**
 * Whom the brake knows of a user.
 *
 * @module
 */
import { BrakeFacts, type RecordedFamily } from "./brake_kernel.ts";

/** A process that is braked, or was tried to. */
export class Braked {
  readonly pid: number;
  readonly startTicks: number;
  /** Its row of the processes table; check before use. */
  readonly slot: number;
  readonly generation: number;
  readonly family: RecordedFamily;
  readonly facts = new BrakeFacts();
  /** What its soft limit is as far as is known, bytes. */
  softBytes: bigint;
  /** The same in pages, where it is lowered; -1: it is not. */
  limitPages = -1;
  /** The least that was found mapped and not touched, pages. */
  idlePages = Infinity;
  /** Its share of the headroom, pages. */
  sharePages = 0;
  /** It has set a limit itself meanwhile: it is left alone. */
  isOwn = false;
  /** Not allowed: not tried again before then, nanoseconds. */
  refusedUntilNs = 0;
  isTold = false;
  /** Since when it is watched, nanoseconds; and whether its idle pages count, see brake.ts. */
  readonly sinceNs: number;
  isSettled = false;

  constructor(
    pid: number,
    startTicks: number,
    slot: number,
    generation: number,
    family: RecordedFamily,
    softBytes: bigint,
    sinceNs: number,
  ) {
    this.sinceNs = sinceNs;
    this.pid = pid;
    this.startTicks = startTicks;
    this.slot = slot;
    this.generation = generation;
    this.family = family;
    this.softBytes = softBytes;
  }
}

export class BrakedUser {
  /** Row of the users table. */
  readonly slot: number;
  readonly generation: number;
  /** By pid. */
  readonly members = new Map<number, Braked>();
  /** What the last look went by. */
  chargedPages = -1;
  promisedPages = -1;
  headroomPages = 0;
  lookedNs = -Infinity;
  /** Since when it is below soft far enough; Infinity: it is not. */
  belowSinceNs = Infinity;
  /** The next look must set limits, whatever has changed. */
  isDue = true;
  /** What the first limit would have to wait for is done. */
  isPrepared = false;

  constructor(slot: number, generation: number) {
    this.slot = slot;
    this.generation = generation;
  }
}
