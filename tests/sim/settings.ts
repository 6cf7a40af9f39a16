/**
 * Limits and settings as the supervisor publishes them, and other ones while the roles run.
 *
 * @module
 */
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import { Member } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import {
  DEFAULT_SETTINGS,
  type Settings,
  VICTIM_POLICIES,
} from "../../pipeline/memory/settings.ts";
import type { SimContext } from "./context.ts";
import { COUNT_MASK } from "./kernel/tasks.ts";
import { CEILING_PERMILLE, freeUids, GRACE_MS, hardOf, limitedUids } from "./options.ts";

const SIGTERM = 15;
const SOFT_SHARE = 0.9;
/** Limits are lowered by so much at a time, and never below that. */
const LOWERED_PAGES_MAX = 80;
const HARD_PAGES_MIN = 150;
/** Part of the machine's memory that is to be available. */
const MIN_AVAILABLE = 0.05;
const COUNT_MASKS = [
  COUNT_MASK,
  COUNT_MASK | 1 << Member.file,
  1 << Member.anon | 1 << Member.swap,
];

export class SimSettings {
  /** What became another so far. */
  changes = 0;
  private readonly sim: SimContext;
  private current: Settings;
  /** By uid: what counts for it, if not what counts for all. */
  private readonly countMasks = new Map<number, number>();

  constructor(sim: SimContext, pageBytes: number, userProcessesMax: number) {
    this.sim = sim;
    const { sweepEveryNs, machinePages, lowerGraceMs, planUnit } = sim.options;
    this.current = {
      ...DEFAULT_SETTINGS,
      intervalMs: sweepEveryNs / 1e6,
      minAvailableBytes: Math.floor(machinePages * MIN_AVAILABLE) * pageBytes,
      userProcessesMax,
      brake: sim.options.brakes ? "growers" : "off",
      lowerGraceMs,
      ...(planUnit === "" ? {} : {
        plan: {
          signal: SIGTERM,
          graceMs: GRACE_MS,
          ceilingPermille: CEILING_PERMILLE,
          unit: planUnit,
        },
      }),
    };
    if (!sim.options.countsOwn) return;
    const [first, second] = freeUids(sim.options);
    for (const [uid, mask] of [[first!, COUNT_MASKS[1]!], [second!, COUNT_MASKS[2]!]] as const) {
      this.countMasks.set(uid, mask);
      sim.kernel.ownMasks.set(uid, mask);
    }
  }

  /** Others count for a user than for all from now on. */
  private count(uid: number, countMask: number): void {
    const { kernel } = this.sim;
    this.countMasks.set(uid, countMask);
    // Until accounting has begun anew, it goes by what counted before.
    kernel.ownMasks.set(uid, kernel.countMaskOf(uid) | countMask);
  }

  publish(memory: Memory): void {
    const { options } = this.sim;
    const rules = new LimitRules();
    for (const uid of limitedUids(options)) {
      const hardPages = hardOf(options, uid);
      const softPages = Math.floor(hardPages * SOFT_SHARE);
      const countMask = this.countMasks.get(uid);
      rules.set({
        uidFirst: uid,
        uidLast: uid,
        hardPages,
        softPages,
        ...(countMask === undefined ? {} : { countMask }),
      });
    }
    new RulesPublisher(memory.settings).publish(rules, this.current);
  }

  /** One thing becomes another. */
  change(memory: Memory): void {
    this.changes++;
    const { random, options, kernel } = this.sim;
    const what = random.below(4);
    if (what === 0) this.changeDryRun();
    else if (what === 1) this.set({ victimPolicy: random.pick(VICTIM_POLICIES) });
    else if (what === 2 && options.countsOwn && random.oneIn(2)) {
      const uid = random.pick(freeUids(options));
      const countMask = random.pick(COUNT_MASKS);
      this.sim.note(`members ${countMask} count for uid ${uid}`);
      this.count(uid, countMask);
    } else if (what === 2) {
      const countMask = random.pick(COUNT_MASKS);
      this.set({ countMask });
      // Until accounting has begun anew, it goes by what counted before.
      kernel.countMask |= countMask;
    } else {
      const pages = options.hardPages - random.below(LOWERED_PAGES_MAX);
      this.sim.setHardPages(Math.max(HARD_PAGES_MIN, pages));
      this.sim.note(`hard is ${options.hardPages}`);
    }
    this.publish(memory);
  }

  /**
   * Not while somebody dies, because what is asserted of a kill does not know yet that a dry run may name
   * those again who were signalled before it.
   */
  private changeDryRun(): void {
    const isAnyDying = this.sim.kernel.alive().some(({ diesAtNs }) => diesAtNs !== Infinity);
    if (this.current.dryRun || !isAnyDying) this.set({ dryRun: !this.current.dryRun });
  }

  private set(settings: Partial<Settings>): void {
    this.sim.note(JSON.stringify(settings));
    this.current = { ...this.current, ...settings };
  }

  /** Who is over loses somebody from now on. */
  enforce(memory: Memory): void {
    if (!this.current.dryRun) return;
    this.set({ dryRun: false });
    this.publish(memory);
  }
}
