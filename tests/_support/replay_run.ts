/**
 * `toom replay` run in this process, and an independent idea of what it should say.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { replayCommand, type ReplayDependencies } from "../../cli/replay.ts";
import type { ReplaySummary } from "../../pipeline/replay/replay_summary.ts";
import { CAPTURE_CPUS } from "./captures.ts";
// Names are looked up by libc where that is allowed; see there why it is opened beforehand.
import "./real_kernel.ts";

const CAPTURES_PATH = new URL("../fixtures/captures/", import.meta.url).pathname;

/** What a command left behind. */
export interface Ran {
  readonly code: number;
  /** Lines, without the newline. */
  readonly out: readonly string[];
  readonly err: readonly string[];
}

export async function runReplay(
  args: readonly string[],
  dependencies: ReplayDependencies = {},
): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    out: (text: string): void => void out.push(...text.split("\n")),
    err: (line: string): void => void err.push(line),
  };
  const code = await replayCommand([...args], io, dependencies);
  return { code, out, err };
}

/** The words that name a capture, as text or as raw pages. */
export function captureArgs(name: string, source: "trace" | "pipe" | "raw"): string[] {
  if (source !== "raw") return [`${CAPTURES_PATH}${name}.${source}.txt`];
  const files = CAPTURE_CPUS[name]!.map((cpu) => `${CAPTURES_PATH}${name}.cpu${cpu}.raw`);
  return ["--raw", files.join(","), "--formats", `${CAPTURES_PATH}formats`];
}

/** A line of `--dump` that is about an event. */
export interface DumpedEvent {
  readonly ts: number;
  readonly cpu: number;
  readonly tid: number;
  readonly mmId: number | null;
  readonly curr: 0 | 1;
  readonly member: number;
  readonly bytes: number;
}

/** What a replay with `--dump --json` said. */
export interface Replayed {
  readonly events: readonly DumpedEvent[];
  readonly losses: readonly { ts: number; cpu: number; lost: number | null }[];
  readonly summary: ReplaySummary;
}

/** @throws {Error} When the command failed. */
export async function replayAll(
  args: readonly string[],
  dependencies: ReplayDependencies = {},
): Promise<Replayed> {
  const ran = await runReplay([...args, "--dump", "--json"], dependencies);
  if (ran.code !== 0) throw new Error(`toom replay ${args.join(" ")}: ${ran.err.join("\n")}`);
  const lines = ran.out.map((line) => JSON.parse(line));
  return {
    events: lines.filter((line) => "member" in line && !("mms" in line)),
    losses: lines.filter((line) => "lost" in line && !("mms" in line)),
    summary: lines.at(-1),
  };
}

const MEMBER_NAMES = ["file", "anon", "swap", "shmem"] as const;

/** What each mm must hold at the end: the last size of each member. Knows nothing of owners. */
export function lastSizes(
  events: readonly DumpedEvent[],
  pageBytes: number,
): ReadonlyMap<number, ReplaySummary["mms"][number]["pages"]> {
  const mms = new Map<number, ReplaySummary["mms"][number]["pages"]>();
  for (const { mmId, member, bytes } of events) {
    if (mmId === null) continue;
    let pages = mms.get(mmId);
    if (pages === undefined) mms.set(mmId, pages = { file: 0, anon: 0, swap: 0, shmem: 0 });
    pages[MEMBER_NAMES[member]!] = bytes / pageBytes;
  }
  return mms;
}

/** Nothing but one line of error, and that exit code. */
export function assertFailed({ code, out, err }: Ran, expected: number, message: RegExp): void {
  assertEquals([code, out, err.length], [expected, [], 1], err.join("\n"));
  assertMatch(err[0]!, message);
}
