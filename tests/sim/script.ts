/**
 * A script: the steps of a run, one after the other. All that a step leaves to chance follows from its
 * own seed, so that steps can be left out and the others stay what they are as far as can be.
 *
 *     kernel 1a2b3c4d  uid 1000 pid 107; member 1 +20
 *
 * @module
 */
import { Random } from "../_support/random.ts";
import type { SimOptions } from "./options.ts";

export const STEP_NAMES = [
  /** Something happens before toom starts. */
  "before",
  "kernel",
  "programs",
  "reader",
  "accounting",
  "killer",
  "sweeper",
  "coordinator",
  "supervisor",
  "time",
  /** A role stands still, throws, hangs; the machine stands still; a predecessor wakes up. */
  "stall",
  "die",
  "hang",
  "freeze",
  "late",
  /** Somebody changes or reads the trace instances. */
  "tamper",
  /** A limit is lowered, a setting is changed. */
  "settings",
] as const;
export type StepName = typeof STEP_NAMES[number];

export interface Step {
  readonly name: StepName;
  readonly seed: number;
}

/** How often each step comes, among others. */
function weightsOf(options: SimOptions): StepName[] {
  const weights: StepName[] = [
    ...Array<StepName>(4).fill("kernel"),
    ...Array<StepName>(3).fill("reader"),
    ...Array<StepName>(3).fill("accounting"),
    "killer",
    "killer",
    "time",
    "supervisor",
  ];
  if (options.sweeps) weights.push("sweeper");
  if (options.asks || options.lies) weights.push("programs", "programs", "coordinator");
  return weights;
}

/** The script of a seed. */
export function scriptOf(options: SimOptions): Step[] {
  const random = new Random(options.seed);
  const weights = weightsOf(options);
  const steps: Step[] = [];
  const add = (name: StepName): void => void steps.push({ name, seed: random.next() });
  for (let i = 0; i < options.before; i++) add("before");
  for (let i = 0; i < options.steps; i++) {
    if (options.stalls && random.oneIn(200)) add("stall");
    if (options.dies && random.oneIn(150)) add("die");
    if (options.hangs && random.oneIn(400)) add(random.oneIn(3) ? "freeze" : "hang");
    if (options.tampers && random.oneIn(100)) add("tamper");
    if (options.changesSettings && random.oneIn(40)) add("settings");
    if (options.mistake === "watch-late" && random.oneIn(10)) add("late");
    add(random.pick(weights));
  }
  return steps;
}

/** @param notes What each step did, if known. */
export function formatScript(steps: readonly Step[], notes?: readonly string[]): string {
  return steps.map(({ name, seed }, index) =>
    `${name} ${seed.toString(16).padStart(8, "0")}  ${notes?.[index] ?? ""}`.trimEnd()
  ).join("\n");
}

/** @throws {Error} When a line is no step. */
export function parseScript(text: string): Step[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").map((line) => {
    const [word, seed] = line.split(/\s+/);
    const name = STEP_NAMES.find((one) => one === word);
    if (name === undefined || seed === undefined || !/^[0-9a-f]{1,8}$/.test(seed)) {
      throw new Error(`Expected a step and its seed, as in "kernel 1a2b3c4d", not "${line}"`);
    }
    return { name, seed: parseInt(seed, 16) };
  });
}
