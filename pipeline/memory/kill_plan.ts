/**
 * How somebody is killed: the first signal and its grace, and how much of what belongs together goes; and
 * what is done about a user whose processes come back as fast as they are killed. Numbers only, so that
 * they fit into words of shared memory.
 *
 * @module
 */
import { invariant } from "./invariant.ts";

/** signal(7), the same on all processors that toom runs on. */
export const SIGKILL = 9;
/** SIGRTMAX. */
export const SIGNAL_MAX = 64;
/** One day. */
export const GRACE_MS_MAX = 86_400_000;
/** Ten times the hard limit. */
export const CEILING_PERMILLE_MAX = 10_000;
export const STORM_KILLS_MAX = 1000;
export const STORM_SECONDS_MAX = 3600;

/**
 * What goes with a victim. `process`: who runs on its memory; `group`: its process group; `session`;
 * `scope`: its cgroup with those below. Of each only what is the same user's, and not protected.
 */
export const KILL_UNITS = ["process", "group", "session", "scope"] as const;
export type KillUnit = typeof KILL_UNITS[number];
/** Indices of {@link KILL_UNITS}. */
export const Unit = { process: 0, group: 1, session: 2, scope: 3 } as const;

export interface KillPlan {
  /** Sent first. 9, SIGKILL: there is no grace. */
  readonly signal: number;
  /** From that signal to SIGKILL, 0 or more. */
  readonly graceMs: number;
  /** Above so much of the hard limit SIGKILL comes at once; thousandths of it, 1000 or more. */
  readonly ceilingPermille: number;
  readonly unit: KillUnit;
}

/** On whom a storm is acted: nobody, the parent of what comes back, or its session. */
export const STORM_ACTIONS = ["off", "parent", "session"] as const;
export type StormAction = typeof STORM_ACTIONS[number];

export interface StormBrake {
  /** A user that loses more processes than this within {@link seconds} has a storm; 0: never. */
  readonly kills: number;
  readonly seconds: number;
  readonly then: StormAction;
}

export const DEFAULT_PLAN: KillPlan = Object.freeze({
  signal: SIGKILL,
  graceMs: 5000,
  ceilingPermille: 1050,
  unit: "process",
});
export const DEFAULT_STORM: StormBrake = Object.freeze({ kills: 20, seconds: 10, then: "off" });

/** @throws {InvariantError} When one is out of its range. */
export function checkPlan(plan: Partial<KillPlan>, storm: Partial<StormBrake>): void {
  const { signal, graceMs, ceilingPermille, unit } = { ...DEFAULT_PLAN, ...plan };
  const { kills, seconds, then } = { ...DEFAULT_STORM, ...storm };
  isWithin("signal", signal, 1, SIGNAL_MAX);
  isWithin("grace", graceMs, 0, GRACE_MS_MAX);
  isWithin("ceiling", ceilingPermille, 1000, CEILING_PERMILLE_MAX);
  isWithin("storm's kills", kills, 0, STORM_KILLS_MAX);
  isWithin("storm's seconds", seconds, 1, STORM_SECONDS_MAX);
  invariant(KILL_UNITS.includes(unit), `plan: no unit ${unit}`);
  invariant(STORM_ACTIONS.includes(then), `plan: nothing is done to ${then} in a storm`);
}

function isWithin(what: string, value: number, least: number, most: number): void {
  invariant(
    Number.isInteger(value) && value >= least && value <= most,
    `plan: a ${what} of ${value} is not ${least} to ${most}`,
  );
}

// ---------------------------------------------------------------------------------------------
// Words of a plan, in a rule's row and in the settings: each 0 where it is not said, else 1 more.
// ---------------------------------------------------------------------------------------------

/** Words of {@link storePlan}. */
export const PLAN_WORDS = 7;

type Parts = { readonly plan?: Partial<KillPlan>; readonly storm?: Partial<StormBrake> };

export function storePlan(words: Int32Array, at: number, { plan, storm }: Parts): void {
  const unit = plan?.unit;
  const then = storm?.then;
  const values = [
    plan?.signal,
    plan?.graceMs,
    plan?.ceilingPermille,
    unit === undefined ? undefined : KILL_UNITS.indexOf(unit),
    storm?.kills,
    storm?.seconds,
    then === undefined ? undefined : STORM_ACTIONS.indexOf(then),
  ];
  values.forEach((value, i) => Atomics.store(words, at + i, value === undefined ? 0 : value + 1));
}

const NOTHING: Parts = Object.freeze({});

/** What {@link storePlan} has stored; nothing of what was not said. */
export function loadPlan(words: Int32Array, at: number): Parts {
  let bits = 0;
  for (let i = 0; i < PLAN_WORDS; i++) bits |= Atomics.load(words, at + i);
  if (bits === 0) return NOTHING;
  const plan: { -readonly [Key in keyof KillPlan]?: KillPlan[Key] } = {};
  const storm: { -readonly [Key in keyof StormBrake]?: StormBrake[Key] } = {};
  const said = (i: number): number => Atomics.load(words, at + i) - 1;
  if (said(0) >= 0) plan.signal = said(0);
  if (said(1) >= 0) plan.graceMs = said(1);
  if (said(2) >= 0) plan.ceilingPermille = said(2);
  if (said(3) >= 0) plan.unit = KILL_UNITS[said(3)] ?? DEFAULT_PLAN.unit;
  if (said(4) >= 0) storm.kills = said(4);
  if (said(5) >= 0) storm.seconds = said(5);
  if (said(6) >= 0) storm.then = STORM_ACTIONS[said(6)] ?? DEFAULT_STORM.then;
  return {
    ...(Object.keys(plan).length === 0 ? {} : { plan }),
    ...(Object.keys(storm).length === 0 ? {} : { storm }),
  };
}

// ---------------------------------------------------------------------------------------------
// The word in a user's row, which the killer reads on its way.
// ---------------------------------------------------------------------------------------------

const SIGNAL_BITS = 0x7f;
const UNIT_SHIFT = 7;
const UNIT_BITS = 7;
const ACTION_SHIFT = 10;
const ACTION_BITS = 3;
const PLAIN_BITS: number = SIGNAL_BITS | UNIT_BITS << UNIT_SHIFT;

export function packPlan(plan: KillPlan, storm: StormBrake): number {
  return plan.signal | KILL_UNITS.indexOf(plan.unit) << UNIT_SHIFT |
    STORM_ACTIONS.indexOf(storm.then) << ACTION_SHIFT;
}

/** Whether it is SIGKILL at once to the process alone: 0, a row that nobody has filled, is too. */
export function isPlain(packed: number): boolean {
  const bits = packed & PLAIN_BITS;
  return bits === SIGKILL || bits === 0;
}

/** The first signal. */
export function signalOf(packed: number): number {
  return packed & SIGNAL_BITS || SIGKILL;
}

/** Index in {@link KILL_UNITS}. */
export function unitOf(packed: number): number {
  return packed >> UNIT_SHIFT & UNIT_BITS;
}

/** Index in {@link STORM_ACTIONS}. */
export function actionOf(packed: number): number {
  return packed >> ACTION_SHIFT & ACTION_BITS;
}

/** Pages of a ceiling. @param mostPages It is never more than this. */
export function ceilingPages(hardPages: number, permille: number, mostPages: number): number {
  return Math.min(mostPages, Math.floor(hardPages * permille / 1000));
}
