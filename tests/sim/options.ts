/**
 * What a simulation is about: how much of everything, which faults, and which rule is broken on
 * purpose.
 *
 * @module
 */

import type { KillUnit } from "../../pipeline/memory/kill_plan.ts";

/** Mistakes that must be found: one rule each, in the role that it is named after. */
export const MISTAKES = [
  /** Accounting: a page too many, now and then; a usage that is no sum. */
  "accounting-delta",
  "accounting-sum",
  /** Killer: a second victim at once; what the dying give back does not count; the protected die. */
  "killer-patience",
  "killer-dying",
  "killer-identity",
  /** Accounting: it goes on when other members count. Killer: it goes by the settings that were. */
  "accounting-outdated",
  "killer-settings",
  /** Accounting: what a limit says of members does not count. */
  "accounting-members",
  /** Accounting: a lowered limit counts at once, whatever grace there is. */
  "accounting-no-grace",
  /** Killer: somebody goes for the machine's sake while others die, and for old readings. */
  "killer-relief",
  /** Killer: who was asked to end is killed within its grace, or while nobody need be. */
  "killer-impatient",
  "killer-unforgiving",
  /** Killer: it does not say when it is done with an order. */
  "killer-silent",
  /** Discovery: nobody runs on another's mm; told with a later time; the list is not written to. */
  "discovery-no-lender",
  "discovery-late-time",
  "discovery-no-list",
  /** Measuring: nobody has any page too. */
  "measure-nothing",
  /** Watching over the instances: whoever changes or reads them is not seen. */
  "tampering-unseen",
  /** Brake: nothing is written down; nothing is given back; own limits are not respected. */
  "brake-unwritten",
  "brake-keeps",
  "brake-raises",
  /** Coordinator: what was promised and not touched does not count; nothing ends with a process. */
  "coordinator-levels",
  "coordinator-keeps",
  /** Coordinator: a successor does not close what its predecessor had open. */
  "coordinator-leaks",
  /** Watching: impatient; blind to what hangs; nobody takes the place of who threw. */
  "watch-impatient",
  "watch-blind",
  "watch-no-successor",
  /** A predecessor that wakes up late goes on, though another has taken its place. */
  "watch-late",
] as const;
export type Mistake = typeof MISTAKES[number];

export interface SimOptions {
  readonly seed: number;
  readonly steps: number;
  readonly cpus: number;
  readonly readers: number;
  readonly ringRecords: number;
  /** Things that happen before toom starts. */
  readonly before: number;
  readonly processesMax: number;
  /** Uids from {@link FIRST_UID} on; all but the last have a limit. */
  readonly users: number;
  readonly hardPages: number;
  /** Numbers of tasks: few of them come back soon. */
  readonly pids: number;
  /** Two mms may have one id. */
  readonly collides: boolean;
  /** Small buffers: events get lost. */
  readonly loses: boolean;
  /** Roles stand still for a while. */
  readonly stalls: boolean;
  /** The sweeper works; without it, events alone must do once everybody is known. */
  readonly sweeps: boolean;
  /** Memory of the machine, of which some must be available; 0: there is plenty. */
  readonly machinePages: number;
  /** Limits are lowered, settings are changed. */
  readonly changesSettings: boolean;
  /** For two users others of their members count than for all. */
  readonly countsOwn: boolean;
  /** A user whose limit is lowered below what it has loses nobody for so long. */
  readonly lowerGraceMs: number;
  /** Somebody changes and reads toom's trace instances. */
  readonly tampers: boolean;
  /** Time from one sweep to the next, nanoseconds. */
  readonly sweepEveryNs: number;
  readonly changesUsers: boolean;
  readonly foreign: boolean;
  /** Processes appear that no birth announces; else all come from the users' first ones. */
  readonly logins: boolean;
  /** The reader sees one CPU's events late; else all CPUs' in the order of time. */
  readonly skew: boolean;
  /** Pages are copied after forks, and shmem pages are mapped by several. */
  readonly shares: boolean;
  /** While a role calls the world, others go on. */
  readonly interleaves: boolean;
  /** Calls of the kernel fail now and then. */
  readonly fails: boolean;
  /** Roles throw, in the middle of a step or between two, and predecessors wake up late. */
  readonly dies: boolean;
  /** Roles hang, so that all must start over. */
  readonly hangs: boolean;
  /** There are programs that ask before they use memory. */
  readonly asks: boolean;
  /** And some that do not do as they were told. */
  readonly lies: boolean;
  /** Growers are braked; some raise their limits, or have lower ones of their own. */
  readonly brakes: boolean;
  /** Processes are asked to end first, and have a grace; with this unit. "": they are killed at once. */
  readonly planUnit: KillUnit | "";
  readonly mistake: Mistake | "";
}

export const SIM_DEFAULTS: SimOptions = {
  seed: 1,
  steps: 1000,
  cpus: 2,
  readers: 1,
  ringRecords: 64,
  before: 0,
  processesMax: 24,
  users: 3,
  hardPages: 400,
  pids: 1900,
  collides: false,
  loses: false,
  stalls: false,
  sweeps: true,
  machinePages: 0,
  tampers: false,
  changesSettings: false,
  countsOwn: false,
  lowerGraceMs: 0,
  sweepEveryNs: 1e9,
  changesUsers: false,
  foreign: false,
  logins: false,
  skew: false,
  shares: false,
  interleaves: false,
  fails: false,
  dies: false,
  hangs: false,
  asks: false,
  lies: false,
  brakes: false,
  planUnit: "",
  mistake: "",
};

/** Of {@link SimOptions.planUnit}. */
export const GRACE_MS = 200;
export const CEILING_PERMILLE = 1200;

export const FIRST_UID = 1000;
/** Of the programs that ask, and of those that lie. */
export const ASKING_UID = 2000;
export const LYING_UID = 2001;
/** Events that a buffer holds, when none must get lost. */
export const LARGE: number = 1 << 30;

/** The limit of a user with a limit: programs that ask are to be near it with what little they use. */
export function hardOf({ hardPages }: SimOptions, uid: number): number {
  return uid < ASKING_UID ? hardPages : Math.floor(hardPages / 3);
}

/** Users with a limit whose processes do as they like. */
export function freeUids({ users }: SimOptions): number[] {
  return Array.from({ length: users - 1 }, (_, user) => FIRST_UID + user);
}

/** Users with a limit. */
export function limitedUids(options: SimOptions): number[] {
  const uids = freeUids(options);
  if (options.asks) uids.push(ASKING_UID);
  if (options.lies) uids.push(LYING_UID);
  return uids;
}

/**
 * Whether usage may differ from the truth by what is in flight, and by nothing else: no event is
 * lost, late, or of a process that nobody announced.
 */
export function isStrict(options: SimOptions): boolean {
  const {
    before,
    foreign,
    tampers,
    changesSettings,
    loses,
    dies,
    hangs,
    changesUsers,
    logins,
    skew,
    readers,
  } = options;
  return before === 0 && !foreign && !tampers && !changesSettings && !loses && !dies && !hangs &&
    !changesUsers &&
    !logins &&
    !skew && readers === 1 && !options.collides && !options.fails;
}
