/**
 * tmalloc: what asking first costs. Round trips are measured by the protocol alone; what the
 * library saves, its own benchmark program tells. Left out where the library has not been built.
 *
 * @module
 */
import { hasFile } from "../../tests/_support/real_kernel.ts";
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { BENCH_UID, Program, sleep, type Toolbox } from "./toolbox.ts";

/** Made by `make -C tmalloc`. */
const BENCHMARK = new URL("../../tmalloc/build/benchmark", import.meta.url).pathname;
const CLIENTS = { full: [1, 10, 100, 1000], quick: [1, 10, 100], tiny: [1] } as const;
/** Round trips of all clients together, at most: a thousand clients need not ask as often each. */
const TRIPS_MAX = 2_000_000;
const KNOWN_MS = 250;

export interface Trips {
  readonly clients: number;
  readonly medianNs: number;
  readonly p99Ns: number;
  readonly maxNs: number;
  readonly perSecond: number;
  readonly refused: number;
}

export interface TmallocResult {
  readonly trips: readonly Trips[];
  /** What the library's own benchmark says, line by line: malloc against tmalloc, the lease. */
  readonly benchmark: readonly string[];
}

/** Why nothing can be measured; undefined when it can. */
export function tmallocProblem(): string | undefined {
  return hasFile(BENCHMARK)
    ? undefined
    : "tmalloc/build/benchmark is not there: make -C tmalloc builds it";
}

export async function runTmalloc(toolbox: Toolbox, plan: Plan): Promise<TmallocResult> {
  const dir = await Deno.makeTempDir({ prefix: "toom-bench-tmalloc-" });
  await Deno.chmod(dir, 0o755);
  const socketPath = `${dir}/tmalloc.sock`;
  try {
    await using _toom = await Toom.start([
      `--limit=${BENCH_UID}=1GiB`,
      `--tmalloc-socket=${socketPath}`,
    ]);
    const trips: Trips[] = [];
    for (const clients of CLIENTS[plan.mode]) {
      trips.push(await roundTrips(toolbox, socketPath, clients, plan.trips));
    }
    return { trips, benchmark: await ownBenchmark(socketPath) };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Round trips of many clients of the measured user, at the same time. */
export async function roundTrips(
  toolbox: Toolbox,
  socketPath: string,
  clients: number,
  requests: number,
): Promise<Trips> {
  const each = Math.max(10, Math.min(requests, Math.floor(TRIPS_MAX / clients)));
  await using program = toolbox.run("trips", [socketPath, clients, each], BENCH_UID);
  const [times, totals] = await program.until("end") as [string, string];
  const [medianNs, p99Ns, maxNs] = times.split(" ").map(Number) as [number, number, number];
  const [perSecond, refused] = totals.split(" ").map(Number) as [number, number];
  return { clients, medianNs, p99Ns, maxNs, perSecond, refused };
}

/** The program speaks for itself; it finds the daemon by its environment. */
async function ownBenchmark(socketPath: string): Promise<string[]> {
  await using program = new Program(BENCHMARK, [], {
    uid: BENCH_UID,
    env: { TMALLOC_SOCKET: socketPath },
  });
  await sleep(KNOWN_MS);
  const lines: string[] = [];
  for (;;) {
    try {
      lines.push(await program.line());
    } catch {
      return lines;
    }
  }
}
