/**
 * Kill latency and overshoot on the real kernel: `toom run` with a limit on a scratch user, and hogs
 * of that user that grow at full speed, one after the other.
 *
 *     deno run -A bench/kills.ts [--kills N] [--json FILE]
 *
 * Needs root, tracefs, and a C compiler or python3; says so and succeeds where one is missing.
 * Latency is the log's: from the time stamp of the event that crossed the line to the return of the
 * signal call. Overshoot: "known" is the log's, what was past the line in the books at the kill;
 * "at death" is by the hog's own count, with what it still got before the signal reached it.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { pageBytes } from "../kernel/ffi/libc.ts";
import { hasTracefs } from "../tests/_support/real_kernel.ts";
import { Toom } from "../tests/_support/toom.ts";
import { freshLogins, HogProgram, type HogSpawner, tracedShell } from "./support/hogs.ts";
import { type Distribution, distribution, markdownTable } from "./support/numbers.ts";

const UID = 60_090;
const LIMIT_MIB = 64;
/** What a hog takes if nobody stops it. */
const HOG_MIB = 512;
const KILLS = 50;

/** Numbers of one source and one way to start hogs. */
export interface KillSeries {
  readonly source: "bpf" | "raw" | "text";
  readonly spawn: "fresh login" | "traced shell";
  readonly kills: number;
  /** Hogs that toom did not kill. */
  readonly survived: number;
  readonly latencyUs: Distribution;
  readonly knownOvershootKib: Distribution;
  readonly overshootKib: Distribution;
  readonly exitUs: Distribution;
}

async function measure(
  toom: Toom,
  spawner: HogSpawner,
  kills: number,
  names: Pick<KillSeries, "source" | "spawn">,
): Promise<KillSeries> {
  const latencyUs: number[] = [];
  const knownKib: number[] = [];
  const overshootKib: number[] = [];
  const exitUs: number[] = [];
  let survived = 0;
  for (let i = 0; i < kills; i++) {
    const hog = await spawner.run();
    if (!hog.isKilled) {
      survived++;
      continue;
    }
    // Numbers may come back: the newest line is meant.
    const killed = await toom.waitFor("killed", (line) => line["pid"] === hog.pid);
    const kill = toom.of("kill").findLast((line) => line["pid"] === hog.pid)!;
    const othersBytes = (Number(kill["usagePages"]) - Number(kill["victimPages"])) * pageBytes();
    latencyUs.push(Number(kill["latencyUs"]));
    knownKib.push(Number(kill["overshootBytes"]) / 1024);
    overshootKib.push((othersBytes + hog.bytes) / 1024 - LIMIT_MIB * 1024);
    exitUs.push(Number(killed["exitUs"]));
  }
  return {
    ...names,
    kills: latencyUs.length,
    survived,
    latencyUs: distribution(latencyUs),
    knownOvershootKib: distribution(knownKib),
    overshootKib: distribution(overshootKib),
    exitUs: distribution(exitUs),
  };
}

async function measureSource(
  source: "bpf" | "raw" | "text",
  program: HogProgram,
  kills: number,
): Promise<KillSeries[]> {
  await using toom = await Toom.start([
    `--limit=${UID}=${LIMIT_MIB}MiB`,
    `--source=${source}`,
    "--storm-kills=0",
  ]);
  const series: KillSeries[] = [];
  {
    await using logins = freshLogins(program, UID, HOG_MIB);
    series.push(await measure(toom, logins, kills, { source, spawn: "fresh login" }));
  }
  await using shell = tracedShell(program, UID, HOG_MIB);
  series.push(await measure(toom, shell, kills, { source, spawn: "traced shell" }));
  return series;
}

/** What the numbers were measured on. */
export function machine(): string {
  const model = /^model name\s*:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const gib = (Deno.systemMemoryInfo().total / 2 ** 30).toFixed(1);
  return `Linux ${Deno.osRelease()} ${Deno.build.arch}, ${navigator.hardwareConcurrency} CPUs ` +
    `(${model ?? "unknown"}), ${gib} GiB, Deno ${Deno.version.deno}`;
}

function table(series: readonly KillSeries[]): string {
  const whole = (value: number): string => value.toFixed(0);
  return markdownTable(
    [
      "source",
      "spawn",
      "kills",
      "latency µs: first",
      "median",
      "p90",
      "p99",
      "max",
      "overshoot at death KiB: median",
      "p90",
      "p99",
      "max",
      "known at the kill: median",
      "exit µs: median",
    ],
    series.map(({ source, spawn, kills, survived, ...numbers }) => {
      const { latencyUs, overshootKib, knownOvershootKib, exitUs } = numbers;
      return [
        source,
        spawn,
        survived === 0 ? `${kills}` : `${kills} (${survived} survived)`,
        ...[latencyUs.first, latencyUs.median, latencyUs.p90, latencyUs.p99, latencyUs.max].map(
          whole,
        ),
        ...[overshootKib.median, overshootKib.p90, overshootKib.p99, overshootKib.max].map(whole),
        whole(knownOvershootKib.median),
        whole(exitUs.median),
      ];
    }),
  );
}

async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, { string: ["json", "kills"], default: { kills: String(KILLS) } });
  const kills = Number(options.kills);
  if (!Number.isInteger(kills) || kills < 1) {
    console.error(`--kills must be a number from 1, not "${options.kills}"`);
    return 2;
  }
  if (!hasTracefs()) {
    console.log("kills: skipped: needs root, and a tracefs with kmem:rss_stat");
    return 0;
  }
  let program: HogProgram;
  try {
    program = new HogProgram(UID);
  } catch (error) {
    console.log(`kills: skipped: ${error instanceof Error ? error.message : error}`);
    return 0;
  }
  using _program = program;
  const series: KillSeries[] = [];
  try {
    for (const source of ["bpf", "raw", "text"] as const) {
      series.push(...await measureSource(source, program, kills));
    }
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("another toom"))) throw error;
    console.log(`kills: skipped: ${error.message}`);
    return 0;
  }
  console.log(
    `\nKills: limit ${LIMIT_MIB} MiB, hogs in ${program.language} that touch page after page\n` +
      `${machine()}\n\n${table(series)}`,
  );
  if (options.json !== undefined) {
    const report = { machine: machine(), limitMib: LIMIT_MIB, hogs: program.language, series };
    await Deno.writeTextFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  return series.some(({ survived }) => survived > 0) ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
