/**
 * Starting over: toom becomes itself once more, the same process with nothing but what is handed
 * over here. execve(2) ends all other threads before the new program begins, those included that
 * hang, spin or are stopped by a tracer; so nothing of before can write any more, and all
 * descriptors that are not handed over are closed. (Only one in uninterruptible sleep delays that.)
 *
 * @module
 */
import { pinThread } from "../../kernel/process/affinity.ts";
import { MonotonicClock } from "../../kernel/ffi/clock.ts";
import { execute } from "../../kernel/process/exec.ts";
import { closeFd, readFile } from "../../kernel/ffi/fd.ts";
import { programPath } from "../../kernel/process/program_path.ts";
import { keepText, setInherited, takeText } from "../../kernel/process/inherit.ts";
import { hurry } from "./start_priority.ts";
import type { HistoryHandover } from "../history/history.ts";
import type { CarriedGrace } from "../../pipeline/kill/carried_graces.ts";
import type { CarriedLowering } from "../../pipeline/limits/carried_lowerings.ts";
import type { LimitOverride } from "../limits/state_file.ts";

/** Names the descriptor that holds the note. */
const VARIABLE = "TOOM_HANDOVER";
const SELF = "/proc/self/exe";

/** Descriptors that stay open. */
export interface HandoverFds {
  readonly lock: number;
  /** Of the two trace instances: they must look owned until they are made anew. */
  readonly instances: readonly number[];
  /** undefined: it was not open yet. */
  readonly control: number | undefined;
  /** undefined: tmalloc is not served. */
  readonly tmalloc: { readonly listenFd: number; readonly streamListenFd: number } | undefined;
}

/** What the next program is told. Plain data. */
export interface Handover {
  /** Of toom: another one may not understand. */
  readonly version: string;
  /** Only for this process, not for one that it starts. */
  readonly pid: number;
  readonly role: string;
  readonly reason: string;
  /** CLOCK_MONOTONIC, nanoseconds: since when the role does not work, and now. */
  readonly sinceNs: number;
  readonly atNs: number;
  /** When the process began, as above. */
  readonly startedNs: number;
  /** Times that it has started over, this one included, and of those in a row without a rest. */
  readonly count: number;
  readonly inARow: number;
  /** What was asked for, so that no name must be looked up again. */
  readonly options: unknown;
  /** Limits that were set while running, written down or not. */
  readonly overrides: readonly LimitOverride[];
  readonly fds: HandoverFds;
  /** Who was asked to end and has a grace, each with a descriptor of its own. */
  readonly graces: readonly CarriedGrace[];
  /** Who has a grace because its limit was lowered. */
  readonly lowerings: readonly CarriedLowering[];
  /** Restarts of each worker, by role. */
  readonly restarts: Readonly<Record<string, number>>;
  readonly kills: number;
  /** What was not written down yet. */
  readonly history: HistoryHandover;
  /** Log lines that found no reader in time. */
  readonly linesShed: number;
  /** Number of the journal's last entry. */
  readonly lastNumber: number;
}

/** Not more often than this. */
const EVERY_MS_MIN = 1000;
/** Who starts over within so long of the last time waits twice as long, up to a bound. */
const REST_MS = 10_000;
const EVERY_MS_MAX = 8000;

/** How long after the last start-over the next may be, milliseconds. */
export function startOverPauseMs(inARow: number): number {
  return Math.min(EVERY_MS_MAX, EVERY_MS_MIN * 2 ** Math.max(0, inARow - 1));
}

/** The number in a row of one that begins now. */
export function nextInARow(before: Handover | undefined, nowNs: number): number {
  if (before === undefined || (nowNs - before.atNs) / 1e6 > REST_MS) return 1;
  return before.inARow + 1;
}

/** What the program before has handed over; undefined: there was none. To be called once. */
export function takeHandover(version: string): Handover | undefined {
  const word = Deno.env.get(VARIABLE);
  if (word === undefined) return undefined;
  Deno.env.delete(VARIABLE);
  if (!/^\d{1,7}$/.test(word)) return undefined;
  try {
    const handover = JSON.parse(takeText(Number(word))) as Handover;
    if (handover.pid !== Deno.pid) return undefined;
    const fds = descriptorsOf(handover);
    for (const fd of fds) setInherited(fd, false);
    if (handover.version === version) return handover;
    // The files were replaced by those of another version: it starts as ever.
    for (const fd of fds) closeFd(fd);
    return undefined;
  } catch {
    return undefined; // It was meant for somebody else; toom starts as ever.
  }
}

/**
 * Becomes the same program once more.
 *
 * @param cpus That this thread may run on; it was restricted for the sake of the workers.
 * @returns Never, when it works.
 * @throws {KernelError} When it does not.
 */
export function handOver(note: Handover, cpus: readonly number[]): never {
  for (const fd of descriptorsOf(note)) setInherited(fd, true);
  const fd = keepText("toom-handover", JSON.stringify(note));
  const environment = { ...Deno.env.toObject(), [VARIABLE]: String(fd) };
  const words = new TextDecoder().decode(readFile("/proc/self/cmdline")).split("\0").slice(0, -1);
  if (cpus.length > 0) pinThread(cpus);
  hurry();
  try {
    execute(programPath(), words, environment);
  } catch {
    // The file was removed: what runs is still there.
    execute(SELF, words, environment);
  }
}

function descriptorsOf({ fds, graces }: Pick<Handover, "fds" | "graces">): number[] {
  const { lock, instances, control, tmalloc } = fds;
  return [
    lock,
    ...instances,
    ...(control === undefined ? [] : [control]),
    ...(tmalloc === undefined ? [] : [tmalloc.listenFd, tmalloc.streamListenFd]),
    ...graces.map(({ pidfd }) => pidfd),
  ].filter((fd) => fd >= 0);
}

/** CLOCK_MONOTONIC now, nanoseconds: unlike performance.now() it goes on over a handover. */
export function monotonicNs(): number {
  return new MonotonicClock().nowNs();
}
