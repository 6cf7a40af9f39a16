/**
 * Garbage collections while millions of events go all the way, by V8's own trace. The hot workers
 * allocate nothing after their start, so nothing is to be collected in them.
 *
 * @module
 */
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { BENCH_UID, sleep, type Toolbox } from "./toolbox.ts";

/** Start-up has been forgotten by then: toom drops its code after 5 s. */
const SETTLED_MS = { full: 7000, quick: 6500, tiny: 500 } as const;
const AREA_PAGES = 2048;
const QUIET_MS = 300;

export interface SteadyResult {
  readonly events: number;
  readonly lost: number;
  readonly seconds: number;
  /** Collections of each V8 heap during the events, most first; the main thread's apart. */
  readonly mainCollections: number;
  readonly workerCollections: readonly number[];
  /** Heaps that showed a collection at any time, from the start on. */
  readonly heaps: number;
}

const COLLECTION = /^\[\d+:(0x[0-9a-f]+)\]\s+\d+ ms: (?:Scavenge|Mark-Compact|Minor)/;

/** The heap that a line of `--trace-gc` tells of; undefined when it is another line. */
export function heapOf(line: string): string | undefined {
  return COLLECTION.exec(line)?.[1];
}

export async function runSteady(toolbox: Toolbox, plan: Plan): Promise<SteadyResult> {
  await using toom = await Toom.start([`--limit=${BENCH_UID}=8GiB`, "--source=raw"], {
    denoArgs: ["--v8-flags=--trace-gc"],
  });
  await using program = toolbox.run(
    "touch",
    ["speed", AREA_PAGES, Math.ceil(plan.steadyEvents / AREA_PAGES), -1],
    BENCH_UID,
  );
  await program.until("ready");
  await sleep(SETTLED_MS[plan.mode]);
  const heaps = (): string[] => toom.errors.map(heapOf).filter((heap) => heap !== undefined);
  // The main thread is the first to have anything to collect.
  const before = heaps();
  const main = before[0];
  const start = (await toom.status()).events;
  const startMs = performance.now();
  await program.say("go");
  await program.until("end");
  await sleep(QUIET_MS);
  const seconds = (performance.now() - startMs - QUIET_MS) / 1000;
  const end = (await toom.status()).events;
  const during = heaps().slice(before.length);
  const counts = new Map<string, number>();
  for (const heap of during) counts.set(heap, (counts.get(heap) ?? 0) + 1);
  const mainCollections = main === undefined ? 0 : counts.get(main) ?? 0;
  if (main !== undefined) counts.delete(main);
  return {
    events: end.total - start.total,
    lost: end.lost - start.lost,
    seconds,
    mainCollections,
    workerCollections: [...counts.values()].sort((a, b) => b - a),
    heaps: new Set(heaps()).size,
  };
}
