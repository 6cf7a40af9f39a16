/**
 * What may change while toom runs: one page of shared memory, published by the supervisor, checked
 * once, read by the roles at the start of a batch. The limits are on the same page, behind it (rules
 * of ../limits/limits.ts), so that both change together.
 *
 * What is not here needs a restart: sizes of tables and buffers, sockets, trace sources, CPUs.
 *
 * @module
 */
import { invariant } from "./invariant.ts";
import { Member, SettingsWord } from "./layout.ts";
import {
  checkPlan,
  DEFAULT_PLAN,
  DEFAULT_STORM,
  type KillPlan,
  loadPlan,
  storePlan,
  type StormBrake,
} from "./kill_plan.ts";
import { PageReader, publishPage } from "./seqlock.ts";
import { packPolicy, unpackPolicy, type VictimPolicy } from "./victim_policy.ts";

export { VICTIM_POLICIES, type VictimPolicy } from "./victim_policy.ts";

/** A set of members as bits: 1 << Member. */
export type MemberMask = number;
const MEMBER_MASK_MAX = 15;

/** Whether a number is a set of members, of which there is at least one. */
export function isMemberMask(mask: number): mask is MemberMask {
  return Number.isInteger(mask) && mask >= 1 && mask <= MEMBER_MASK_MAX;
}

/**
 * Whom the brake comes down on. `off`: nobody; `growers`: above soft, those that have grown lately;
 * `all`: every process of the user, at all times.
 */
export const BRAKE_MODES = ["off", "growers", "all"] as const;
export type BrakeMode = typeof BRAKE_MODES[number];

/**
 * Whose process goes when the machine is short of memory. `share`: of whoever uses most of its limit, above
 * half of it; `over-soft`: of whoever is furthest above its soft limit, and if nobody is, as `share`;
 * `largest`: of whoever has most, whatever its limit. Which process, the user's victim policy says.
 */
export const MACHINE_VICTIMS = ["share", "over-soft", "largest"] as const;
export type MachineVictim = typeof MACHINE_VICTIMS[number];

export interface Settings {
  /** Of limits that do not say. */
  readonly victimPolicy: VictimPolicy;
  /** The counted members, of limits that do not say. */
  readonly countMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  /** Everything but the signal. */
  readonly dryRun: boolean;
  /** Soft arms the killer; without, all is left to do at hard. */
  readonly arms: boolean;
  /** Programs in the kernel may end the candidate, where there are any; without, they only tell. */
  readonly kernelTrigger: boolean;
  /** The kernel's pressure stall information is listened to. */
  readonly psi: boolean;
  /** Period of the last defense, 1 or more. */
  readonly intervalMs: number;
  /** Below this much available memory somebody must go; 0: never. */
  readonly minAvailableBytes: number;
  readonly machineVictim: MachineVictim;
  /** Processes of one user at one time; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  /** Of limits that do not say. */
  readonly brake: BrakeMode;
  /** A user whose limit is lowered below what it has loses nobody for so long; 0: it does at once. */
  readonly lowerGraceMs: number;
  /** How somebody is killed, and what is done about storms; of limits that do not say. */
  readonly plan: KillPlan;
  readonly storm: StormBrake;
}

/** Until something else is published; `userProcessesMax` is what the table of processes holds then. */
export const DEFAULT_SETTINGS: Settings = Object.freeze({
  victimPolicy: "largest",
  countMask: 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem,
  creditsShares: true,
  dryRun: false,
  arms: true,
  kernelTrigger: true,
  psi: true,
  intervalMs: 1000,
  minAvailableBytes: 0,
  machineVictim: "share",
  userProcessesMax: 0x7fffffff,
  brake: "off",
  lowerGraceMs: 0,
  plan: DEFAULT_PLAN,
  storm: DEFAULT_STORM,
});

const Flag = { creditsShares: 1, dryRun: 2, arms: 4, psi: 8, kernelTrigger: 16 } as const;
/** Beside the flags: index in {@link MACHINE_VICTIMS}. */
const VICTIM_SHIFT = 5;
const VICTIM_MASK = 3;
const WORD_SPAN = 0x1_0000_0000;

/** Stores settings; between the two steps of a publication. */
export function storeSettings(words: Int32Array, settings: Settings): void {
  const { creditsShares, dryRun, arms, kernelTrigger, psi, minAvailableBytes } = settings;
  const flags = (creditsShares ? Flag.creditsShares : 0) | (dryRun ? Flag.dryRun : 0) |
    (arms ? Flag.arms : 0) | (kernelTrigger ? Flag.kernelTrigger : 0) | (psi ? Flag.psi : 0) |
    MACHINE_VICTIMS.indexOf(settings.machineVictim) << VICTIM_SHIFT;
  Atomics.store(words, SettingsWord.victimPolicy, packPolicy(settings.victimPolicy));
  Atomics.store(words, SettingsWord.countMask, settings.countMask);
  Atomics.store(words, SettingsWord.flags, flags);
  Atomics.store(words, SettingsWord.intervalMs, settings.intervalMs);
  Atomics.store(words, SettingsWord.userProcessesMax, settings.userProcessesMax);
  Atomics.store(words, SettingsWord.brake, BRAKE_MODES.indexOf(settings.brake));
  Atomics.store(words, SettingsWord.lowerGraceMs, settings.lowerGraceMs);
  storePlan(words, SettingsWord.plan, settings);
  Atomics.store(words, SettingsWord.minAvailableLow, minAvailableBytes | 0);
  Atomics.store(words, SettingsWord.minAvailableHigh, Math.floor(minAvailableBytes / WORD_SPAN));
}

/** @throws {InvariantError} When one is out of its range: roles trust what is published. */
export function checkSettings(settings: Settings): void {
  const { victimPolicy, countMask, intervalMs, minAvailableBytes, userProcessesMax } = settings;
  const { lowerGraceMs } = settings;
  const isCount = (value: number, min: number, max: number): boolean =>
    Number.isInteger(value) && value >= min && value <= max;
  invariant(BRAKE_MODES.includes(settings.brake), `settings: no brake ${settings.brake}`);
  invariant(packPolicy(victimPolicy) !== 0, `settings: no victim policy ${victimPolicy}`);
  invariant(
    MACHINE_VICTIMS.includes(settings.machineVictim),
    `settings: no victim of the machine by ${settings.machineVictim}`,
  );
  invariant(isMemberMask(countMask), `settings: members ${countMask} are not 1 to 15`);
  invariant(isCount(intervalMs, 1, 0x7fffffff), `settings: an interval of ${intervalMs} ms`);
  invariant(
    isCount(minAvailableBytes, 0, Number.MAX_SAFE_INTEGER),
    `settings: ${minAvailableBytes} available bytes`,
  );
  invariant(
    isCount(userProcessesMax, 1, 0x7fffffff),
    `settings: ${userProcessesMax} processes of a user`,
  );
  checkPlan(settings.plan, settings.storm);
  invariant(isCount(lowerGraceMs, 0, 0x7fffffff), `settings: a grace of ${lowerGraceMs} ms`);
}

/** The supervisor's end, for settings alone; with the limits: RulesPublisher. */
export class SettingsPublisher {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** @throws {InvariantError} Nothing has changed then. */
  publish(settings: Settings): void {
    checkSettings(settings);
    publishPage(this.words, () => storeSettings(this.words, settings));
  }
}

/** A copy of the settings that a role reads; all fields as in {@link Settings}. */
export class SettingsCopy implements Settings {
  victimPolicy: VictimPolicy = DEFAULT_SETTINGS.victimPolicy;
  countMask: MemberMask = DEFAULT_SETTINGS.countMask;
  creditsShares = DEFAULT_SETTINGS.creditsShares;
  dryRun = DEFAULT_SETTINGS.dryRun;
  arms = DEFAULT_SETTINGS.arms;
  kernelTrigger = DEFAULT_SETTINGS.kernelTrigger;
  psi = DEFAULT_SETTINGS.psi;
  intervalMs = DEFAULT_SETTINGS.intervalMs;
  minAvailableBytes = DEFAULT_SETTINGS.minAvailableBytes;
  machineVictim: MachineVictim = DEFAULT_SETTINGS.machineVictim;
  userProcessesMax = DEFAULT_SETTINGS.userProcessesMax;
  brake: BrakeMode = DEFAULT_SETTINGS.brake;
  lowerGraceMs = DEFAULT_SETTINGS.lowerGraceMs;
  plan: KillPlan = DEFAULT_PLAN;
  storm: StormBrake = DEFAULT_STORM;

  /** Copies what is on the page at this moment, whole or not. */
  load(words: Int32Array): void {
    const flags = Atomics.load(words, SettingsWord.flags);
    const policy = Atomics.load(words, SettingsWord.victimPolicy);
    this.victimPolicy = policy === 0 ? DEFAULT_SETTINGS.victimPolicy : unpackPolicy(policy);
    this.countMask = Atomics.load(words, SettingsWord.countMask);
    this.creditsShares = (flags & Flag.creditsShares) !== 0;
    this.dryRun = (flags & Flag.dryRun) !== 0;
    this.arms = (flags & Flag.arms) !== 0;
    this.kernelTrigger = (flags & Flag.kernelTrigger) !== 0;
    this.psi = (flags & Flag.psi) !== 0;
    this.machineVictim = MACHINE_VICTIMS[flags >>> VICTIM_SHIFT & VICTIM_MASK] ??
      DEFAULT_SETTINGS.machineVictim;
    this.intervalMs = Atomics.load(words, SettingsWord.intervalMs);
    this.userProcessesMax = Atomics.load(words, SettingsWord.userProcessesMax);
    this.brake = BRAKE_MODES[Atomics.load(words, SettingsWord.brake)] ?? DEFAULT_SETTINGS.brake;
    this.lowerGraceMs = Atomics.load(words, SettingsWord.lowerGraceMs);
    const { plan, storm } = loadPlan(words, SettingsWord.plan);
    this.plan = { ...DEFAULT_PLAN, ...plan };
    this.storm = { ...DEFAULT_STORM, ...storm };
    this.minAvailableBytes =
      (Atomics.load(words, SettingsWord.minAvailableHigh) >>> 0) * WORD_SPAN +
      (Atomics.load(words, SettingsWord.minAvailableLow) >>> 0);
  }
}

/** A role's end, for one that needs no limits. */
export class SettingsView {
  private readonly words: Int32Array;
  private readonly reader: PageReader;
  private copy = new SettingsCopy();
  /** Where the next ones are gathered, so that a torn reading is never used. */
  private next = new SettingsCopy();
  private readonly load = (): void => this.next.load(this.words);

  constructor(words: Int32Array) {
    this.words = words;
    this.reader = new PageReader(words);
    this.refresh();
  }

  get current(): Settings {
    return this.copy;
  }

  /** Takes over what has been published since. @returns Whether anything was. */
  refresh(): boolean {
    if (!this.reader.refresh(this.load)) return false;
    const old = this.copy;
    this.copy = this.next;
    this.next = old;
    return true;
  }
}
