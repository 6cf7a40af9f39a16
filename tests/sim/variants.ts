/**
 * What is simulated: each variant is about something, and must hold for any seed.
 *
 * @module
 */
import { SIM_DEFAULTS, type SimOptions } from "./options.ts";

export const VARIANTS: Readonly<Record<string, Partial<SimOptions>>> = {
  "in the order of time: off by what is in flight, never by more": {},
  "while others go on during each call": { interleaves: true },
  "with a sweep each 150 ms, while others go on": { sweepEveryNs: 1.5e8, interleaves: true },
  "by events alone, without a sweep": { sweeps: false, hardPages: 1e6 },
  "on four CPUs": { cpus: 4 },
  "with a ring of four records": { ringRecords: 4 },
  "with events of one CPU that come late": { skew: true },
  "with two readers": { readers: 2, cpus: 4, skew: true },
  "with processes from before": { before: 60, interleaves: true },
  "with logins that nobody announces": { logins: true, before: 10, interleaves: true },
  "with changes of user": { changesUsers: true, before: 30, interleaves: true },
  "with strangers that write": { foreign: true, before: 20, interleaves: true },
  "with lost events": { loses: true, before: 20, interleaves: true },
  "with roles that throw, and their successors": { dies: true, before: 20, interleaves: true },
  "with roles that hang, and a process that starts over": {
    hangs: true,
    before: 20,
    interleaves: true,
  },
  "with calls of the kernel that fail": { fails: true, dies: true, before: 20, interleaves: true },
  "with roles that stand still": { stalls: true },
  "with numbers of processes that come back at once": { pids: 100, interleaves: true },
  "with mms that have one id": { collides: true, before: 20, interleaves: true },
  "with pages that are shared and copied": { shares: true, interleaves: true },
  "with shared pages and two readers": { shares: true, readers: 2, cpus: 4, skew: true },
  "with settings that change": { changesSettings: true, before: 20, interleaves: true },
  "with settings that change while roles throw": {
    changesSettings: true,
    dies: true,
    before: 20,
    interleaves: true,
  },
  "with limits that are lowered with a grace": {
    changesSettings: true,
    lowerGraceMs: 300,
    before: 20,
    interleaves: true,
  },
  "with limits that are lowered with a grace, while roles throw": {
    changesSettings: true,
    lowerGraceMs: 300,
    dies: true,
    before: 20,
    interleaves: true,
  },
  "with somebody who tampers with the instances": { tampers: true, before: 20, interleaves: true },
  "with too little memory for all": { machinePages: 1100, before: 20, interleaves: true },
  "with the brake": { brakes: true, interleaves: true },
  "with the brake, and roles that throw and hang": {
    brakes: true,
    before: 20,
    logins: true,
    changesUsers: true,
    fails: true,
    dies: true,
    hangs: true,
    pids: 100,
    interleaves: true,
  },
  "with the brake, beside programs that ask": { brakes: true, asks: true, interleaves: true },
  "with processes that are asked to end first": { planUnit: "process", interleaves: true },
  "with process groups that are asked to end first, while roles throw and hang": {
    planUnit: "group",
    before: 20,
    changesUsers: true,
    dies: true,
    hangs: true,
    fails: true,
    pids: 100,
    interleaves: true,
  },
  "with too little memory for all, and processes that are asked to end": {
    planUnit: "process",
    machinePages: 1100,
    before: 20,
    interleaves: true,
  },
  "with programs that ask": { asks: true, interleaves: true },
  "with programs that ask, and others that lie": {
    asks: true,
    lies: true,
    dies: true,
    interleaves: true,
  },
  "with everything at once": {
    before: 40,
    cpus: 3,
    readers: 2,
    skew: true,
    logins: true,
    loses: true,
    dies: true,
    hangs: true,
    fails: true,
    stalls: true,
    changesUsers: true,
    foreign: true,
    shares: true,
    asks: true,
    lies: true,
    interleaves: true,
    pids: 400,
  },
};

/** The options of a run. */
export function optionsOf(variant: Partial<SimOptions>, seed: number): SimOptions {
  return { ...SIM_DEFAULTS, ...variant, seed };
}
