/**
 * The files of toom's trace instances that nobody else may change: what they must say, whether they do,
 * and how they are put right. When to look, and what to tell, is pipeline/discovery/instance_guard.ts.
 *
 * @module
 */
import type { GuardedInstance, TraceCounts } from "../../pipeline/ports.ts";
import { Errno, errnoName, KernelError } from "../ffi/errno.ts";
import { OpenFlag, preadFd, writeTextFile } from "../ffi/fd.ts";
import { isSetOption } from "./trace_options.ts";
import { parseTraceStats } from "./trace_stats.ts";
import { SENTINEL_PID, type TraceInstance } from "./trace_instance.ts";

/** A file of an instance, and what it must say. Plain data: the supervisor opens, the sweeper looks. */
export interface GuardedFile {
  readonly path: string;
  /** For reading. */
  readonly fd: number;
  /** For the log: the purpose of the instance and the file's name in it. */
  readonly name: string;
  /** All of its text; undefined: a list of tasks, of which {@link SENTINEL_PID} must be one. */
  readonly text: string | undefined;
  /** What to write to have it again, one write each; of triggers, nothing: there must be none. */
  readonly mend: readonly string[];
  /** Flags of open(2) for that. */
  readonly mendFlags: number;
}

/** More of a list of tasks is not read: then it must only not be empty. */
const READ_BYTES_MAX = 16 * 1024;
/** A list of pids of so many bytes may go on in the next read: the kernel gives a page at a time. */
const PIDS_PAGE_BYTES = 2048;
/** For the log. */
const SHOWN_BYTES_MAX = 40;
const OPTIONS = "/trace_options";
const TRIGGER = "/trigger";

/**
 * The files that matter, as they are now: to be called when the instance records as it should.
 *
 * @param open Opens a file for reading, and closes it before the instance is removed.
 * @param events Those that are on, each with its filter; none: `"0"`.
 */
export function guardedFiles(
  instance: TraceInstance,
  purpose: string,
  events: readonly { readonly system: string; readonly event: string; readonly filter: string }[],
  hasPids: boolean,
  open: (path: string) => number,
): GuardedFile[] {
  const files: GuardedFile[] = [];
  const add = (file: string, mend: (text: string) => readonly string[]): void => {
    const path = `${instance.path}/${file}`;
    const text = readWhole(path);
    // Not every kernel has every file.
    if (text === undefined) return;
    const name = `${purpose}/${file}`;
    files.push({ path, fd: open(path), name, text, mend: mend(text), mendFlags: 0 });
  };
  const same = (text: string): string[] => [text.trim()];
  add("tracing_on", same);
  for (const { system, event, filter } of events) {
    const folder = `events/${system}/${event}`;
    add(`${folder}/enable`, same);
    add(`${folder}/filter`, () => [filter]);
    add(`${folder}/trigger`, () => []);
  }
  add("buffer_size_kb", same);
  add("buffer_subbuf_size_kb", same);
  add("buffer_percent", same);
  add("tracing_cpumask", same);
  add("current_tracer", same);
  add("trace_clock", (text) => [/\[(.*)\]/.exec(text)?.[1] ?? "mono"]);
  add("trace_options", (text) => text.trim().split("\n"));
  if (hasPids) {
    const path = `${instance.path}/set_event_pid`;
    files.push({
      path,
      fd: open(path),
      name: `${purpose}/set_event_pid`,
      text: undefined,
      mend: [`${SENTINEL_PID}\n`],
      mendFlags: OpenFlag.O_APPEND,
    });
  }
  return files;
}

interface Watched extends GuardedFile {
  readonly expected: Uint8Array | undefined;
}

/** {@link guardedFiles}, opened. */
export class InstanceFiles implements GuardedInstance {
  readonly names: readonly string[];
  private readonly files: readonly Watched[];
  private readonly buffer = new Uint8Array(new ArrayBuffer(READ_BYTES_MAX));
  private readonly tail = new TextEncoder().encode(`${SENTINEL_PID}\n`);

  constructor(files: readonly GuardedFile[]) {
    this.names = files.map(({ name }) => name);
    this.files = files.map((file) => {
      const expected = file.text === undefined ? undefined : new TextEncoder().encode(file.text);
      return { ...file, expected };
    });
  }

  look(index: number): string | undefined {
    const file = this.files[index]!;
    const length = preadFd(file.fd, this.buffer, 0);
    return length === -Errno.EINTR || this.isRight(file, length)
      ? undefined
      : this.shown(file, length);
  }

  mend(index: number): string | undefined {
    return mend(this.files[index]!);
  }

  private isRight(file: Watched, length: number): boolean {
    const { expected } = file;
    if (length < 0) return false;
    if (expected === undefined) return this.hasSentinel(length);
    if (this.equals(expected, length)) return true;
    return file.name.endsWith(OPTIONS) &&
      wrongOptions(file.text!, this.textOf(length)).length === 0;
  }

  private equals(expected: Uint8Array, length: number): boolean {
    if (length !== expected.length) return false;
    for (let i = 0; i < length; i++) if (this.buffer[i] !== expected[i]) return false;
    return true;
  }

  private textOf(length: number): string {
    return new TextDecoder().decode(this.buffer.subarray(0, length));
  }

  /**
   * The list is sorted, and no pid is higher. A long list is not read to its end here: sweeps do.
   */
  private hasSentinel(length: number): boolean {
    const { buffer, tail } = this;
    if (length < tail.length) return false;
    if (buffer.subarray(length - tail.length, length).every((byte, i) => byte === tail[i])) {
      return true;
    }
    return length >= PIDS_PAGE_BYTES;
  }

  private shown(file: Watched, length: number): string {
    if (length < 0) return errnoName(-length);
    const text = this.textOf(length);
    if (file.text === undefined) return text === "" ? "empty" : "written anew";
    const shown = file.name.endsWith(OPTIONS)
      ? wrongOptions(file.text, text).join(" ")
      : text.trim();
    return JSON.stringify(shown.slice(0, SHOWN_BYTES_MAX));
  }
}

/** The options that differ and matter, as they were found. */
function wrongOptions(wanted: string, found: string): string[] {
  const right = new Set(wanted.split("\n"));
  return found.split("\n").filter((option) => !right.has(option) && isSetOption(option));
}

/** @returns Why it could not be mended. */
function mend(file: Watched): string | undefined {
  let texts = file.mend;
  const lines = (): string[] => (readWhole(file.path) ?? "").split("\n");
  if (file.name.endsWith(OPTIONS)) {
    const now = new Set(lines());
    texts = texts.filter((option) => !now.has(option) && isSetOption(option));
  } else if (file.name.endsWith(TRIGGER)) {
    // Each is taken away by its name. Documentation/trace/events.rst, "Event triggers"
    texts = lines().filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => `!${line.replace(/:(unlimited|count=\d+)/, "")}`);
  }
  try {
    for (const text of texts) writeTextFile(file.path, text, file.mendFlags);
    return undefined;
  } catch (error) {
    return error instanceof KernelError ? `cannot be put right: ${error.errnoName}` : String(error);
  }
}

function readWhole(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** What the kernel counts of the pipes of pages, by `per_cpu/cpuN/stats` of each CPU. */
export class StatsFiles implements TraceCounts {
  private readonly fds: readonly number[];
  private readonly buffer = new Uint8Array(new ArrayBuffer(1024));
  private readonly text = new TextDecoder();

  /** @param fds Of the files, open for reading. */
  constructor(fds: readonly number[]) {
    this.fds = fds;
  }

  eventsRead(): number {
    let read = 0;
    for (const fd of this.fds) {
      const length = preadFd(fd, this.buffer, 0);
      if (length < 0) return length;
      read += parseTraceStats(this.text.decode(this.buffer.subarray(0, length))).read;
    }
    return read;
  }
}
