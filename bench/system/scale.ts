/**
 * What an event costs, however many processes and users there are; who of the workers pays for it;
 * and how many events a second can be held without a loss.
 *
 * @module
 */
import { Toom } from "../../tests/_support/toom.ts";
import { AccountingRun } from "../support/accounting_run.ts";
import type { Plan } from "./plan.ts";
import { median, summarize, type Summary } from "./stats.ts";
import { BENCH_UID, type Program, sleep, type Toolbox } from "./toolbox.ts";
import { threadTimes } from "./threads.ts";

const SIZES = [
  { processes: 1, users: 1 },
  { processes: 10, users: 1 },
  { processes: 100, users: 1 },
  { processes: 1000, users: 1 },
  { processes: 10_000, users: 1 },
  { processes: 1000, users: 100 },
  { processes: 10_000, users: 5000 },
] as const;
const RING_RECORDS = 65_536;
/** Events in a row of one process, less than a time slice of one that grows. */
const TURN = 256;
const FILLS = 4;
const WARM_FILLS = 12;

const LIMIT = `${BENCH_UID}=8GiB`;
const KNOWN_MS = 300;
const QUIET_MS = 300;
/** Pages that two processes ask to touch a second, together; 0: all they can. */
const RATES = [100_000, 200_000, 400_000, 800_000, 0] as const;
const SOURCES = ["raw", "text"] as const;

export interface CostPoint {
  readonly processes: number;
  readonly users: number;
  readonly nsPerEvent: Summary;
  /** To the smallest size of the same round. */
  readonly ratio: number;
}

export interface WorkerCpu {
  readonly source: "raw" | "text";
  readonly events: number;
  readonly lost: number;
  /** CPU seconds of a thread for a million events, by its name. */
  readonly secondsPerMillion: Readonly<Record<string, number>>;
}

export interface LossPoint {
  readonly source: "raw" | "text";
  readonly bufferKib: number;
  /** Asked for, a second; 0: as many as two processes can. */
  readonly askedPerSecond: number;
  readonly eventsPerSecond: number;
  readonly lost: number;
}

export interface ScaleResult {
  readonly cost: readonly CostPoint[];
  readonly cpu: readonly WorkerCpu[];
  readonly loss: readonly LossPoint[];
}

export async function runScale(
  toolbox: Toolbox,
  plan: Plan,
  tell: (what: string) => void = () => {},
): Promise<ScaleResult> {
  tell("cost of an event");
  const cost = eventCost(plan.costRounds);
  const cpu: WorkerCpu[] = [];
  for (const source of SOURCES) {
    tell(`CPU of the workers, ${source}`);
    cpu.push(await workerCpu(toolbox, source, plan.cpuPages));
  }
  const loss: LossPoint[] = [];
  for (const source of SOURCES) {
    for (const bufferKib of plan.lossBuffersKib) {
      tell(`events without a loss, ${source}, ${bufferKib} KiB`);
      loss.push(...await lossOf(toolbox, source, bufferKib, plan.lossMs));
    }
  }
  return { cost, cpu, loss };
}

/** The accounting agent alone, from a ring that is full; all sizes in each round. */
export function eventCost(rounds: number): CostPoint[] {
  const nsPerEvent: number[][] = SIZES.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < SIZES.length; i++) {
      const index = (i + round) % SIZES.length;
      nsPerEvent[index]!.push(costOf(SIZES[index]!.processes, SIZES[index]!.users));
    }
  }
  return SIZES.map((size, i) => ({
    ...size,
    nsPerEvent: summarize(nsPerEvent[i]!)!,
    ratio: median(nsPerEvent[i]!.map((ns, round) => ns / nsPerEvent[0]![round]!)),
  }));
}

function costOf(processes: number, users: number): number {
  const run = new AccountingRun({
    processes,
    users,
    aboveSoft: false,
    run: TURN,
    ringRecords: RING_RECORDS,
  });
  for (let i = 0; i < WARM_FILLS; i++) {
    run.fill();
    run.drain();
  }
  const costs: number[] = [];
  for (let i = 0; i < FILLS; i++) {
    run.fill();
    const startMs = performance.now();
    run.drain();
    costs.push((performance.now() - startMs) * 1e6 / RING_RECORDS);
  }
  return median(costs);
}

/** CPU time of toom's threads while one limited process touches pages at full speed. */
async function workerCpu(
  toolbox: Toolbox,
  source: "raw" | "text",
  pages: number,
): Promise<WorkerCpu> {
  await using toom = await Toom.start([`--limit=${LIMIT}`, `--source=${source}`]);
  const areaPages = 2048;
  const areas = Math.max(1, Math.round(pages / areaPages));
  await using program = toolbox.run("touch", ["speed", areaPages, areas, -1], BENCH_UID);
  await program.until("ready");
  await sleep(KNOWN_MS);
  const before = threadTimes(toom.pid);
  const start = (await toom.status()).events;
  await program.say("go");
  await program.until("end");
  await sleep(QUIET_MS);
  const end = (await toom.status()).events;
  const after = threadTimes(toom.pid);
  const events = end.total - start.total;
  const secondsPerMillion: Record<string, number> = {};
  for (const [name, seconds] of after) {
    if (!name.startsWith("toom-")) continue;
    secondsPerMillion[name.slice(5)] = (seconds - (before.get(name) ?? 0)) / events * 1e6;
  }
  return { source, events, lost: end.lost - start.lost, secondsPerMillion };
}

/** Rates one after the other, until events are lost. */
async function lossOf(
  toolbox: Toolbox,
  source: "raw" | "text",
  bufferKib: number,
  ms: number,
): Promise<LossPoint[]> {
  await using toom = await Toom.start([
    `--limit=${LIMIT}`,
    `--source=${source}`,
    `--buffer-kib=${bufferKib}`,
  ]);
  const points: LossPoint[] = [];
  for (const askedPerSecond of RATES) {
    const programs: Program[] = [];
    try {
      for (let i = 0; i < 2; i++) {
        const args = ["rate", askedPerSecond / 2, ms, -1];
        programs.push(toolbox.run("touch", args, BENCH_UID));
        await programs[i]!.until("ready");
      }
      await sleep(KNOWN_MS);
      const before = (await toom.status()).events;
      for (const program of programs) await program.say("go");
      let perSecond = 0;
      for (const program of programs) {
        const [pages, ns] = (await program.line()).split(" ").map(Number) as [number, number];
        perSecond += pages / (ns / 1e9);
      }
      await sleep(QUIET_MS);
      const after = (await toom.status()).events;
      const lost = after.lost - before.lost;
      points.push({ source, bufferKib, askedPerSecond, eventsPerSecond: perSecond, lost });
      if (lost > 0) break;
    } finally {
      for (const program of programs) await program[Symbol.asyncDispose]();
    }
  }
  return points;
}

/** The highest rate of a source and a buffer that was held without a loss; 0: none was. */
export function highestLossless(
  points: readonly LossPoint[],
  source: string,
  bufferKib: number,
): LossPoint | undefined {
  const held = points.filter((point) =>
    point.source === source && point.bufferKib === bufferKib && point.lost === 0
  );
  return held.toSorted((a, b) => b.eventsPerSecond - a.eventsPerSecond)[0];
}
