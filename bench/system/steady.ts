/**
 * Garbage collections while millions of events go all the way, by V8's own trace. The hot workers
 * allocate nothing once they are warm, so nothing is to be collected in them.
 *
 * @module
 */
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { BENCH_UID, type Program, sleep, type Toolbox } from "./toolbox.ts";

/** Before it counts, a tenth of the events goes the same way: V8 compiles what is called often. */
const WARM_SHARE = 0.1;
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

const COLLECTION =
  /\[\d+:(0x[0-9a-f]+)\]\s+(\d+) ms: (?:Incremental )?(?:Scavenge|Mark-Compact|Minor)/g;

/** A collection that `--trace-gc` told of. */
export interface Collection {
  readonly heap: string;
  /** Since the heap was made; all of toom's are, at its start. */
  readonly atMs: number;
}

/** Collections in the output of `--trace-gc`, wherever in a line, as others write there too. */
export function collectionsIn(text: string): Collection[] {
  return [...text.matchAll(COLLECTION)].map(([, heap, ms]) => ({ heap: heap!, atMs: Number(ms) }));
}

export async function runSteady(toolbox: Toolbox, plan: Plan): Promise<SteadyResult> {
  await using toom = await Toom.start([`--limit=${BENCH_UID}=8GiB`, "--source=raw"], {
    denoArgs: ["--v8-flags=--trace-gc"],
  });
  const touch = async (events: number): Promise<Program> => {
    const rounds = Math.ceil(events / AREA_PAGES);
    const program = toolbox.run("touch", ["speed", AREA_PAGES, rounds, -1], BENCH_UID);
    await program.until("ready");
    return program;
  };
  await sleep(SETTLED_MS[plan.mode]);
  await using warming = await touch(plan.steadyEvents * WARM_SHARE);
  await warming.say("go");
  await warming.until("end");
  await using program = await touch(plan.steadyEvents);
  await sleep(QUIET_MS);
  const start = await toom.status();
  await sleep(QUIET_MS);
  const goMs = performance.now();
  await program.say("go");
  await program.until("end");
  const seconds = (performance.now() - goMs) / 1000;
  await sleep(QUIET_MS);
  const end = await toom.status();
  // V8 writes into a buffer that is emptied when it is full, and at the end.
  await toom.stop();
  const all = collectionsIn(toom.errors.join("\n"));
  const counts = new Map<string, number>();
  for (const { heap, atMs } of all) {
    const isDuring = atMs >= start.uptimeSeconds * 1000 && atMs <= end.uptimeSeconds * 1000;
    if (isDuring) counts.set(heap, (counts.get(heap) ?? 0) + 1);
  }
  // The main thread is the first to have anything to collect.
  const main = all[0]?.heap ?? "";
  const mainCollections = counts.get(main) ?? 0;
  counts.delete(main);
  return {
    events: end.events.total - start.events.total,
    lost: end.events.lost - start.events.lost,
    seconds,
    mainCollections,
    workerCollections: [...counts.values()].sort((a, b) => b - a),
    heaps: new Set(all.map(({ heap }) => heap)).size,
  };
}
