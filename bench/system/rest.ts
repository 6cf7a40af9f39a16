/**
 * What toom costs while nothing happens: CPU of its threads with many users and processes, all of which
 * sleep far from their limits, and what one look at all of them takes.
 *
 * @module
 */
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { threadTimes } from "./threads.ts";
import { sleep, type Toolbox } from "./toolbox.ts";

const FIRST_UID = 62_000;
const LIMIT = "1TiB";
/** Until everybody is known, and nobody has been near for long enough. */
const SETTLE_MS_MAX = 60_000;
const POLL_MS = 500;
const SIZES = [
  { processes: 100, users: 10 },
  { processes: 1000, users: 100 },
  { processes: 10_000, users: 1000 },
] as const;

export interface RestPoint {
  readonly source: "bpf" | "raw";
  readonly processes: number;
  readonly users: number;
  readonly seconds: number;
  /** Of all threads, part of one CPU. */
  readonly cpuShare: number;
  /** Of the threads with the most, by name. */
  readonly threads: Readonly<Record<string, number>>;
  /** One look at all processes, microseconds, and looks a second; bpf alone. */
  readonly lookUs?: number;
  readonly looksPerSecond?: number;
}

export interface RestResult {
  readonly points: readonly RestPoint[];
  /** Sizes that this machine has no room for. */
  readonly skipped: readonly string[];
}

export async function runRest(
  toolbox: Toolbox,
  plan: Plan,
  tell: (what: string) => void = () => {},
): Promise<RestResult> {
  const points: RestPoint[] = [];
  const skipped: string[] = [];
  for (const size of SIZES.slice(0, plan.restSizes)) {
    const { processes, users } = size;
    await using crowd = toolbox.run("load", ["users", processes, FIRST_UID, users]);
    try {
      await crowd.until("ready");
    } catch {
      skipped.push(`${processes} processes: this machine cannot have so many`);
      continue;
    }
    for (const source of ["bpf", "raw"] as const) {
      tell(`${processes} processes of ${users} users at rest, ${source}`);
      points.push(await atRest(source, size, plan.restMs));
    }
  }
  return { points, skipped };
}

async function atRest(
  source: "bpf" | "raw",
  { processes, users }: typeof SIZES[number],
  ms: number,
): Promise<RestPoint> {
  const range = `${FIRST_UID}-${FIRST_UID + users - 1}`;
  await using toom = await Toom.start([
    `--limit=${range}=${LIMIT}`,
    `--source=${source}`,
    "--max-processes=32768",
  ]);
  await settled(toom, users);
  const before = await toom.status();
  const timesBefore = threadTimes(toom.pid);
  const startMs = performance.now();
  await sleep(ms);
  const times = threadTimes(toom.pid);
  const seconds = (performance.now() - startMs) / 1000;
  const after = await toom.status();
  const shares = [...times].map(([name, spent]) =>
    [name, (spent - (timesBefore.get(name) ?? 0)) / seconds] as const
  );
  const most = shares.toSorted((a, b) => b[1] - a[1]).slice(0, 4);
  const looks = (after.near?.looks ?? 0) - (before.near?.looks ?? 0);
  const lookMs = (after.near?.lookMs ?? 0) - (before.near?.lookMs ?? 0);
  return {
    source,
    processes,
    users,
    seconds,
    cpuShare: shares.reduce((sum, [, share]) => sum + share, 0),
    threads: Object.fromEntries(most),
    ...(looks === 0 ? {} : { lookUs: lookMs * 1000 / looks, looksPerSecond: looks / seconds }),
  };
}

/** Waits until toom knows all users, and none of them is near. */
async function settled(toom: Toom, users: number): Promise<void> {
  const untilMs = performance.now() + SETTLE_MS_MAX;
  while (performance.now() < untilMs) {
    const status = await toom.status();
    const known = status.users.filter(({ processes }) => processes > 0).length;
    if (known >= users && status.near?.isNear !== true) return;
    await sleep(POLL_MS);
  }
}
