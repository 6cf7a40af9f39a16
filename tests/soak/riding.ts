/**
 * A user that rides the line between near and far: it grows until it is near and shrinks until it is far,
 * again and again, and now and then one of its processes goes for all that there is.
 *
 *     deno run -A --no-check tests/soak/riding.ts [--minutes 10]
 *
 * Prints what was seen as JSON. Exit code 0: whoever went past the limit was killed, nobody else was, nobody
 * came near twice within a second, and toom's descriptors and memory are what they were.
 *
 * Needs root, tracefs, python3, a kernel with BPF, and 12 GiB of memory.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { Toom } from "../_support/toom.ts";
import { Workload } from "../_support/workload.ts";
import { sleep } from "./wait.ts";

const UID = 60_450;
const LIMIT = "8GiB";
const HOG_MIB = 9000;
const STEP_MIB = 256;
const STEP_MS = 150;
const HOG_EVERY_MS = 15_000;
const FLAP_MS_MIN = 1000;
const GROWTH_MAX = 1.15;
const WARM_MS = 30_000;

const minutes = Number(parseArgs(Deno.args, { string: ["minutes"] }).minutes ?? 10);

function ownKib(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Private_Dirty:\s+(\d+)/m.exec(text)![1]);
}
const descriptors = (pid: number): number => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;

await using toom = await Toom.start([
  `--limit=${UID}=${LIMIT}`,
  "--source=bpf",
  "--victim=newest",
]);
await using parts = new AsyncDisposableStack();
const held: Workload[] = [];
const turns: { readonly atMs: number; readonly isNear: boolean }[] = [];
const overshootBytes: number[] = [];
const problems: string[] = [];
let isNear = (await toom.status()).near!.isNear;
let hogMs = performance.now() + HOG_EVERY_MS;
const beganMs = performance.now();
let before: { kib: number; fds: number } | undefined;

/** One that goes past the limit: it is the newest, and nobody else has to go. */
async function hog(): Promise<void> {
  await using one = new Workload(UID, "hold", HOG_MIB);
  const { signal } = await one.end();
  if (signal !== "SIGKILL") problems.push(`one that went past the limit ended with ${signal}`);
  const kill = await toom.waitFor("kill", ({ pid }) => pid === one.pid);
  overshootBytes.push(Number(kill["overshootBytes"]));
}

while (performance.now() < beganMs + minutes * 60_000) {
  const now = (await toom.status()).near!.isNear;
  if (now !== isNear) turns.push({ atMs: performance.now(), isNear: now });
  isNear = now;
  if (isNear && held.length > 0) await held.pop()![Symbol.asyncDispose]();
  else if (!isNear) {
    const one = parts.use(new Workload(UID, "hold", STEP_MIB));
    held.push(await one.until("held"));
  }
  if (performance.now() > hogMs) {
    hogMs += HOG_EVERY_MS;
    await hog();
  }
  if (held.some(({ alive }) => !alive)) {
    problems.push("one that went past nothing was killed");
    break;
  }
  if (before === undefined && performance.now() > beganMs + WARM_MS) {
    before = { kib: ownKib(toom.pid), fds: descriptors(toom.pid) };
  }
  await sleep(STEP_MS);
}

const comings = turns.filter((turn) => turn.isNear).map(({ atMs }) => atMs);
const gapsMs = comings.slice(1).map((atMs, index) => atMs - comings[index]!);
const after = { kib: ownKib(toom.pid), fds: descriptors(toom.pid) };
if (comings.length < minutes) problems.push("it hardly ever came near: the ride is wrong");
if (gapsMs.some((ms) => ms < FLAP_MS_MIN)) problems.push("it came near twice within a second");
if (before !== undefined && after.kib > before.kib * GROWTH_MAX) problems.push("memory has grown");
if (before !== undefined && after.fds > before.fds + 2) problems.push("descriptors are left");
console.log(JSON.stringify(
  {
    isGood: problems.length === 0,
    problems,
    minutes,
    cameNear: comings.length,
    leastGapMs: Math.round(Math.min(...gapsMs)),
    kills: toom.of("kill").length,
    overshootBytes: overshootBytes.toSorted((a, b) => a - b),
    before,
    after,
    near: (await toom.status()).near,
  },
  null,
  2,
));
Deno.exitCode = problems.length === 0 ? 0 : 1;
