/**
 * What tests of the real kernel share: what is possible here, and processes to try things on.
 *
 * @module
 */
import { openLibc } from "../../kernel/ffi/libc.ts";
import { errno } from "../../kernel/ffi/errno.ts";
import { setFifo, setOrdinary } from "../../kernel/process/self_protection.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";

// Opened here, not in the first test that needs it, where the sanitizer would call it a leak.
openLibc();
errno();

/** Whether tests run as root: processes of other users, tracing, and self-protection need it. */
export function isRoot(): boolean {
  return Deno.uid() === 0;
}

/** Whether tests run with a capability, by its bit of capabilities(7): root may lack some. */
export function hasCapability(bit: number): boolean {
  const hex = /^CapEff:\s+([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
  return hex !== undefined && (BigInt(`0x${hex}`) >> BigInt(bit) & 1n) === 1n;
}

/** Whether SCHED_FIFO is allowed. */
export function mayBeRealTime(): boolean {
  const { ok } = setFifo(1);
  if (ok) setOrdinary();
  return ok;
}

/** How a thread is scheduled. */
export interface Thread {
  readonly name: string;
  readonly priority: number;
  readonly policy: number;
  /** As the kernel writes it: "0-2,5". */
  readonly cpus: string;
}

/** Name and scheduling of each thread of a process. proc_pid_stat(5), proc_pid_status(5) */
export function threadsOf(pid: number): Thread[] {
  const threads: Thread[] = [];
  for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${tid}`;
    if (!hasFile(path)) continue; // It has ended meanwhile.
    const stat = Deno.readTextFileSync(`${path}/stat`);
    const [, cpus] = /^Cpus_allowed_list:\s*(.*)$/m.exec(Deno.readTextFileSync(`${path}/status`))!;
    const end = stat.lastIndexOf(")");
    const fields = stat.slice(end + 2).split(" ");
    threads.push({
      name: stat.slice(stat.indexOf("(") + 1, end),
      priority: Number(fields[37]),
      policy: Number(fields[38]),
      cpus: cpus!,
    });
  }
  return threads;
}

/** Whether the real tracefs with the event that toom lives on can be used. */
export function hasTracefs(): boolean {
  if (!isRoot()) return false;
  try {
    Deno.statSync(`${findTracefs()}/events/kmem/rss_stat/format`);
    return true;
  } catch {
    return false;
  }
}

/** Whether a file exists, e.g. one of /proc that a kernel may lack. */
export function hasFile(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Name and `ignore` of a test that needs something: the reason is in the name when it is skipped.
 *
 * @param possible Whether it can run.
 * @param needs What it needs, e.g. `"root"`.
 */
export function needing(
  possible: boolean,
  needs: string,
  name: string,
): { name: string; ignore: boolean } {
  return possible
    ? { name, ignore: false }
    : { name: `${name} [skipped: needs ${needs}]`, ignore: true };
}

/** A process that ends with the test. */
export interface TestProcess extends AsyncDisposable {
  readonly pid: number;
  readonly child: Deno.ChildProcess;
  /** Kills it if it lives, and waits for its end. */
  end(): Promise<Deno.CommandStatus>;
}

/**
 * Starts a process of a user; `await using` it.
 *
 * @param uid 60000 and up in tests, the gid too; 0 for root. Others than one's own need root.
 * @param command Program and arguments.
 */
export function spawnAs(uid: number, command: readonly string[]): TestProcess {
  const [program, ...args] = command;
  const own = uid === Deno.uid();
  const child = new Deno.Command(program!, {
    args,
    ...(own ? {} : { uid, gid: uid }),
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const end = async (): Promise<Deno.CommandStatus> => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    return await child.status;
  };
  return {
    pid: child.pid,
    child,
    end,
    async [Symbol.asyncDispose](): Promise<void> {
      await end();
    },
  };
}

/** Waits until a condition holds, looking every 2 ms. @throws {Error} After `timeoutMs`. */
export async function waitUntil(
  condition: () => boolean,
  what: string,
  timeoutMs = 5000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Runs a piece of TypeScript in a Deno of its own and returns what it printed. */
export async function runDeno(code: string): Promise<string> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["eval", code],
    cwd: new URL("../..", import.meta.url).pathname,
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!output.success) throw new Error(`deno eval failed:\n${decoder.decode(output.stderr)}`);
  return decoder.decode(output.stdout);
}

/** URL of a module of `kernel/`, for {@link runDeno}. */
export function kernelModule(file: string): string {
  return new URL(`../../kernel/${file}`, import.meta.url).href;
}
