/**
 * What /proc tells of shared pages: page faults, and the sums of smaps_rollup, of the pages that the
 * fake kernel's processes have in truth.
 *
 * @module
 */
import type { RollupKib } from "../../../pipeline/books/smaps_shares.ts";
import type { ShareFacts } from "../../../pipeline/discovery/share_measure.ts";
import { Member, Role } from "../../../pipeline/memory/layout.ts";
import type { SimContext } from "../context.ts";
import type { Later } from "./later.ts";
import type { FakeMm, FakePage } from "./tasks.ts";

const PAGE_KIB = 4;
/** Reading what a process shares takes this long, at most. */
const READ_NS_MAX = 50e3;

/** Each page divided by the mms that have it. */
function pssKib(pages: readonly FakePage[]): number {
  return Math.floor(pages.reduce((sum, { refs }) => sum + PAGE_KIB / refs, 0));
}

function privateKib(pages: readonly FakePage[]): number {
  return pages.filter(({ refs }) => refs === 1).length * PAGE_KIB;
}

function sharedKib(pages: readonly FakePage[]): number {
  return pages.length * PAGE_KIB - privateKib(pages);
}

/** /proc/PID/smaps_rollup of what runs on an mm. */
export function rollupOf({ held }: FakeMm): RollupKib {
  const of = (member: number): readonly FakePage[] => held[member]!;
  return {
    anonymousKib: of(Member.anon).length * PAGE_KIB,
    pssAnonKib: pssKib(of(Member.anon)),
    pssFileKib: pssKib(of(Member.file)),
    pssShmemKib: pssKib(of(Member.shmem)),
    swapKib: of(Member.swap).length * PAGE_KIB,
    swapPssKib: pssKib(of(Member.swap)),
    lazyFreeKib: 0,
    privateKib: privateKib(of(Member.file)) + privateKib(of(Member.anon)) +
      privateKib(of(Member.shmem)),
    sharedKib: sharedKib(of(Member.file)) + sharedKib(of(Member.anon)) +
      sharedKib(of(Member.shmem)),
  };
}

export class SimShares implements ShareFacts {
  private readonly sim: SimContext;
  private readonly later: Later;

  constructor(sim: SimContext, later: Later) {
    this.sim = sim;
    this.later = later;
  }

  readMinorFaults(pid: number): number {
    this.sim.call(Role.sweeper, 100);
    return this.sim.kernel.processes.get(pid)?.minorFaults ?? -1;
  }

  /** A leader that has exited has no memory. */
  readRollup(tid: number): Promise<RollupKib | undefined> {
    const { sim, later } = this;
    sim.call(Role.sweeper, 100);
    const isFailing = sim.failsNow();
    const read = (): RollupKib | undefined => {
      const process = sim.kernel.alive().find(({ tids }) => tids.includes(tid));
      return process === undefined ? undefined : rollupOf(process.mm);
    };
    const doneNs = sim.kernel.nowNs + sim.random.below(READ_NS_MAX);
    if (isFailing) return later.call(doneNs, undefined);
    // The page tables are walked at any moment in between.
    if (sim.random.oneIn(2)) return later.call(doneNs, read);
    const atOnce = read();
    return later.call(doneNs, () => atOnce);
  }
}
