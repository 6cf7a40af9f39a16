/**
 * Gives back what was lowered: to each process whose soft limit has the mark of a family that is over,
 * and that was born since (marks.ts). A fork copies the limit before its child is seen, so /proc is
 * passed over until two passes have found nobody.
 *
 * @module
 */
import {
  BrakeFacts,
  type BrakeKernel,
  type BrakeRecord,
  FoundLimits,
  type RecordedFamily,
  SetResult,
} from "./brake_kernel.ts";
import { familyIdOf } from "./marks.ts";
import { putBack } from "./put_back.ts";

/** Passes in turn that must find nobody. */
const CLEAN_PASSES = 2;
/** From the end of one pass to the next; who cannot be given back is tried again ever more rarely. */
const PASS_EVERY_NS = 20e6;
const PASS_EVERY_NS_MAX = 1e9;
/** Processes looked at in one step. */
const PIDS_A_STEP = 64;
const PIDS_MAX = 1 << 17;

interface Ending {
  readonly family: RecordedFamily;
  cleanPasses: number;
  /** Found by the pass under way, or added in the middle of it. */
  isUnclean: boolean;
}

export class GiveBack {
  /** Processes that could not be given back, by the last pass. */
  refused = 0;
  /** Processes that were. */
  given = 0;
  private readonly kernel: BrakeKernel;
  private readonly record: BrakeRecord;
  private readonly endings = new Map<number, Ending>();
  private readonly pids = new Int32Array(PIDS_MAX);
  private readonly facts = new BrakeFacts();
  private readonly old = new FoundLimits();
  private count = 0;
  private at = 0;
  private isPassing = false;
  private everyNs = PASS_EVERY_NS;
  private dueNs = 0;
  private givenInPass = 0;
  private refusedInPass = 0;

  constructor(kernel: BrakeKernel, record: BrakeRecord) {
    this.kernel = kernel;
    this.record = record;
  }

  /** A family is over: nobody is to be lowered by it any more. */
  add(family: RecordedFamily): void {
    this.endings.set(family.id, { family, cleanPasses: 0, isUnclean: true });
    this.everyNs = PASS_EVERY_NS;
    this.dueNs = 0;
  }

  /** Takes a family back, because somebody of it is braked again. */
  take(id: number): RecordedFamily | undefined {
    const ending = this.endings.get(id);
    this.endings.delete(id);
    return ending?.family;
  }

  has(id: number): boolean {
    return this.endings.has(id);
  }

  /** Families that are not ended yet. */
  get size(): number {
    return this.endings.size;
  }

  /** When {@link step} has something to do; Infinity never. Nanoseconds. */
  get nextNs(): number {
    if (this.endings.size === 0) return Infinity;
    return this.isPassing ? 0 : this.dueNs;
  }

  /** Looks at some processes. */
  step(nowNs: number): void {
    if (this.endings.size === 0 || nowNs < this.nextNs) return;
    if (!this.isPassing) this.begin();
    const end = Math.min(this.count, this.at + PIDS_A_STEP);
    while (this.at < end) this.look(this.pids[this.at++]!);
    if (this.at >= this.count) this.end(nowNs);
  }

  private begin(): void {
    this.count = Math.min(PIDS_MAX, this.kernel.listPids(this.pids));
    this.at = 0;
    this.isPassing = true;
    this.givenInPass = 0;
    this.refusedInPass = 0;
    for (const ending of this.endings.values()) ending.isUnclean = false;
  }

  private end(nowNs: number): void {
    this.isPassing = false;
    this.refused = this.refusedInPass;
    const isInVain = this.refusedInPass > 0 && this.givenInPass === 0;
    this.everyNs = isInVain ? Math.min(2 * this.everyNs, PASS_EVERY_NS_MAX) : PASS_EVERY_NS;
    this.dueNs = nowNs + this.everyNs;
    for (const [id, ending] of this.endings) {
      ending.cleanPasses = ending.isUnclean ? 0 : ending.cleanPasses + 1;
      if (ending.cleanPasses < CLEAN_PASSES) continue;
      this.endings.delete(id);
      this.record.end(id);
    }
  }

  private look(pid: number): void {
    const { kernel, facts } = this;
    if (!kernel.readLimits(pid, facts)) return;
    const id = familyIdOf(facts.softBytes);
    const ending = id === 0 ? undefined : this.endings.get(id);
    if (ending === undefined) return;
    const result = this.restore(pid, ending.family);
    if (result === undefined) return;
    ending.isUnclean = true;
    if (result === SetResult.done) {
      this.given++;
      this.givenInPass++;
    } else if (result === SetResult.refused) this.refusedInPass++;
  }

  /**
   * Gives a process back what its family had, if it is one of it.
   * @returns undefined: it is not, and has set that value itself.
   */
  restore(pid: number, family: RecordedFamily): SetResult | undefined {
    const { kernel, facts, old } = this;
    if (!kernel.readSizes(pid, facts) || !kernel.readLimits(pid, facts)) return SetResult.gone;
    if (familyIdOf(facts.softBytes) !== family.id) return undefined;
    if (!isOfFamily(pid, facts.startTicks, family)) return undefined;
    const { softBytes: loweredBytes, hardBytes } = facts;
    const wantedBytes = family.softBytes < hardBytes ? family.softBytes : hardBytes;
    const result = kernel.setSoft(pid, facts, wantedBytes, old);
    if (result === SetResult.done && old.softBytes !== loweredBytes) {
      // It has set another value in between, which is its own.
      if (familyIdOf(old.softBytes) !== family.id) putBack(kernel, pid, facts, wantedBytes, old);
    }
    return result;
  }
}

/** Whether a process can have inherited a family's value, or is the one that it began with. */
export function isOfFamily(pid: number, startTicks: number, family: RecordedFamily): boolean {
  return startTicks >= family.sinceTicks ||
    (pid === family.pid && startTicks === family.startTicks);
}
