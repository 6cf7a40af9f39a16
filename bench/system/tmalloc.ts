/**
 * tmalloc: what asking first costs. Round trips are measured by the protocol alone; then what the
 * library makes of it, beside plain malloc. Left out where the library has not been built.
 *
 * @module
 */
import { hasFile } from "../../tests/_support/real_kernel.ts";
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { BENCH_UID, Program, type Toolbox } from "./toolbox.ts";

/** Made by `make -C tmalloc`. */
const FOLDER = new URL("../../tmalloc/", import.meta.url).pathname;
const BENCHMARK = `${FOLDER}build/benchmark`;
const LIBRARY = `${FOLDER}build/libtmalloc.a`;
/** Processes, bytes, epochs. */
const WHOLE = ["4", "400000000", "1"] as const;
const WHOLE_ROUNDS_MAX = 15;
const CLIENTS = { full: [1, 10, 100, 1000], quick: [1, 10, 100], tiny: [1] } as const;
/** tmalloc/link.c */
const LIBRARY_LOOKS = 96;
/** Round trips of all clients together, at most: a thousand clients need not ask as often each. */
const TRIPS_MAX = 2_000_000;

export interface Trips {
  readonly clients: number;
  /** How often a client looks for its answer before it sleeps. */
  readonly looks: number;
  readonly medianNs: number;
  readonly p99Ns: number;
  readonly maxNs: number;
  readonly perSecond: number;
  readonly refused: number;
}

/** One way to allocate. */
export interface Allocator {
  readonly name: string;
  /** An allocation of 64 bytes and its end. */
  readonly pairNs: number;
  /** A page of 4 KiB, allocated in blocks of 8 KiB, touched and freed. */
  readonly pageNs: number;
}

/** The original's benchmark: four processes, each with its share of 400 MB, which fit. */
export interface Whole {
  readonly name: string;
  /** Of each run, fastest first. */
  readonly seconds: readonly number[];
}

export interface TmallocResult {
  readonly trips: readonly Trips[];
  readonly allocators: readonly Allocator[];
  readonly wholes: readonly Whole[];
}

/** Why nothing can be measured; undefined when it can. */
export function tmallocProblem(): string | undefined {
  return hasFile(BENCHMARK) && hasFile(LIBRARY)
    ? undefined
    : "tmalloc/build/benchmark is not there: make -C tmalloc builds it";
}

export async function runTmalloc(toolbox: Toolbox, plan: Plan): Promise<TmallocResult> {
  await using toom = await Toom.start([`--limit=${BENCH_UID}=1GiB`]);
  const trips: Trips[] = [];
  for (const clients of CLIENTS[plan.mode]) {
    for (const looks of [LIBRARY_LOOKS, 0]) {
      trips.push(await roundTrips(toolbox, toom.tmallocPath, clients, plan.trips, looks));
    }
  }
  const allocators = await allocate(toolbox, toom.tmallocPath, plan.leaseRounds);
  return { trips, allocators, wholes: await wholes(toolbox, toom.tmallocPath, plan.leaseRounds) };
}

/** Round trips of many clients of the measured user, at the same time. */
export async function roundTrips(
  toolbox: Toolbox,
  socketPath: string,
  clients: number,
  requests: number,
  looks = LIBRARY_LOOKS,
): Promise<Trips> {
  const each = Math.max(10, Math.min(requests, Math.floor(TRIPS_MAX / clients)));
  await using program = toolbox.run("trips", [socketPath, clients, each, looks], BENCH_UID);
  const [times, totals] = await program.until("end") as [string, string];
  const [medianNs, p99Ns, maxNs] = times.split(" ").map(Number) as [number, number, number];
  const [perSecond, refused] = totals.split(" ").map(Number) as [number, number];
  return { clients, looks, medianNs, p99Ns, maxNs, perSecond, refused };
}

/** What allocations cost in one process, by allocator. */
async function allocate(
  toolbox: Toolbox,
  socketPath: string,
  rounds: number,
): Promise<Allocator[]> {
  const path = toolbox.compile("lease", [`-I${FOLDER}`, LIBRARY, "-pthread"]);
  await using program = new Program(path, [String(rounds)], {
    uid: BENCH_UID,
    env: { TMALLOC_SOCKET: socketPath, TMALLOC_FALLBACK: "fail" },
  });
  const lines = await program.until("end");
  const allocators: Allocator[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [pairNs, pageNs] = lines[at + 1]!.split(" ").map(Number) as [number, number];
    allocators.push({ name: lines[at]!, pairNs, pageNs });
  }
  return allocators;
}

/** The original's benchmark with either allocator, in turns. */
async function wholes(toolbox: Toolbox, socketPath: string, rounds: number): Promise<Whole[]> {
  // It may lie where the measured user cannot read.
  const path = `${toolbox.dirPath}/benchmark`;
  await Deno.copyFile(BENCHMARK, path);
  await Deno.chmod(path, 0o755);
  const seconds = { tmalloc: [] as number[], malloc: [] as number[] };
  for (let round = 0; round < Math.min(rounds, WHOLE_ROUNDS_MAX); round++) {
    for (const name of ["tmalloc", "malloc"] as const) {
      const startMs = performance.now();
      const { success } = await new Deno.Command(path, {
        args: [...WHOLE],
        uid: BENCH_UID,
        gid: BENCH_UID,
        clearEnv: true,
        env: {
          TMALLOC_SOCKET: socketPath,
          ...(name === "malloc" ? { BENCHMARK_MALLOC: "1" } : {}),
        },
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).output();
      if (!success) throw new Error(`the benchmark of tmalloc failed with ${name}`);
      seconds[name].push((performance.now() - startMs) / 1000);
    }
  }
  return Object.entries(seconds).map(([name, values]) => ({
    name,
    seconds: values.sort((a, b) => a - b),
  }));
}
