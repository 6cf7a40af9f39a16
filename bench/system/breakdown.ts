/**
 * Where the time of a kill goes, from the page to the memory that is back. Seen from outside: the
 * kernel's own events of the scheduler and of signals, in an instance of the benchmark's, so that
 * toom's hot path has nothing to do for it but to be traced.
 *
 * @module
 */
import { killerNamed } from "./killers.ts";
import type { Plan } from "./plan.ts";
import { type KillNumbers, Stage } from "./stage.ts";
import { summarize, type Summary } from "./stats.ts";
import { BenchInstance } from "./subject.ts";
import { BENCH_UID, sleep, type Toolbox } from "./toolbox.ts";

const BUFFER_KIB = 8192;
const KNOWN_MS = 250;
const PAUSE_MS = 20;

const EVENTS = {
  "sched/sched_switch": 'next_comm ~ "toom-*"',
  "signal/signal_generate": "sig==9",
  "sched/sched_process_exit": 'comm == "zzhog"',
} as const;

export const STAGES = [
  ["reader", "page to reader on CPU"],
  ["accounting", "reader to accounting on CPU"],
  ["killer", "accounting to killer on CPU"],
  ["signal", "killer to signal"],
  ["exit", "signal to begin of exit"],
  ["back", "exit to all memory back"],
] as const;

export interface BreakdownResult {
  readonly kills: number;
  /** Kills whose way could not be followed through the events. */
  readonly lost: number;
  /** Microseconds. */
  readonly stages: readonly {
    readonly name: string;
    readonly label: string;
    readonly us: Summary;
  }[];
  /** From the page to the signal. */
  readonly signalUs: Summary;
}

/** One event of the trace. */
export interface WayEvent {
  readonly tsUs: number;
  readonly kind: "switch" | "signal" | "exit";
  /** Of a switch, who has the CPU now; of others the process. */
  readonly comm: string;
  readonly pid: number;
}

const LINE = /\s(\d+\.\d{6}): (sched_switch|signal_generate|sched_process_exit): (.*)$/;

/** Lines that are something else are left out. */
export function parseWay(text: string): WayEvent[] {
  const events: WayEvent[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, time, name, rest] = match as unknown as [string, string, string, string];
    const prefix = name === "sched_switch" ? "next_" : "";
    const who = new RegExp(`(?:^| )${prefix}comm=(.*?) ${prefix}pid=(\\d+)`).exec(rest);
    if (who === null) continue;
    events.push({
      tsUs: Number(time) * 1e6,
      kind: name === "sched_switch" ? "switch" : name === "signal_generate" ? "signal" : "exit",
      comm: who[1]!,
      pid: Number(who[2]),
    });
  }
  return events.sort((a, b) => a.tsUs - b.tsUs);
}

/**
 * The way of one kill.
 * @returns Microseconds of each of {@link STAGES}; undefined when events of it are missing.
 */
export function followKill(
  events: readonly WayEvent[],
  pid: number,
  kill: Pick<KillNumbers, "crossedNs" | "deathNs">,
): number[] | undefined {
  const crossedUs = kill.crossedNs / 1000;
  // Pids come back: the one that died at that time is meant.
  const deathUs = kill.deathNs / 1000;
  const last = (untilUs: number, matches: (event: WayEvent) => boolean): number | undefined =>
    events.findLast((event) => event.tsUs <= untilUs && matches(event))?.tsUs;
  const exit = last(deathUs, (event) => event.kind === "exit" && event.pid === pid);
  const signal = last(exit ?? 0, (event) => event.kind === "signal" && event.pid === pid);
  if (exit === undefined || signal === undefined) return undefined;
  const onCpu = (role: string, untilUs: number): number | undefined =>
    last(untilUs, (event) => event.kind === "switch" && event.comm.startsWith(`toom-${role}`));
  const killer = onCpu("killer", signal);
  const accounting = onCpu("accountin", killer ?? 0);
  const reader = onCpu("reader", accounting ?? 0);
  if (killer === undefined || accounting === undefined || reader === undefined) return undefined;
  // Who had the CPU before the page was touched was at hand: the step took no time.
  const times = [crossedUs, reader, accounting, killer, signal, exit, deathUs];
  for (let i = 1; i < times.length; i++) times[i] = Math.max(times[i]!, times[i - 1]!);
  return times.slice(1).map((time, i) => time - times[i]!);
}

export async function runBreakdown(toolbox: Toolbox, plan: Plan): Promise<BreakdownResult> {
  await using killer = await killerNamed("toom-raw").start(toolbox);
  using instance = new BenchInstance("bench-way", BUFFER_KIB, EVENTS);
  await using stage = await Stage.open(toolbox, BENCH_UID);
  await sleep(KNOWN_MS);
  const ways: number[][] = [];
  let lost = 0;
  for (let i = 0; i < plan.breakdownKills; i++) {
    instance.write("trace", "");
    const ending = await stage.raise({
      line: killer.line,
      processes: 1,
      mibPerSecond: 0,
      huge: false,
      capMib: 1024,
      delayUs: i * 97 % 5000,
      timeoutMs: 5000,
    });
    if (ending.kind !== "killed") continue;
    const way = followKill(parseWay(instance.read("trace")), ending.pid, ending);
    if (way === undefined) lost++;
    else ways.push(way);
    await sleep(PAUSE_MS);
  }
  if (ways.length === 0) throw new Error("no kill could be followed through the kernel's events");
  return {
    kills: ways.length,
    lost,
    stages: STAGES.map(([name, label], i) => ({
      name,
      label,
      us: summarize(ways.map((way) => way[i]!))!,
    })),
    signalUs: summarize(ways.map((way) => way.slice(0, 4).reduce((sum, us) => sum + us, 0)))!,
  };
}
