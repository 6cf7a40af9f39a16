/**
 * Processes of scratch users that do what the end-to-end tests need (workload.py), and what /proc
 * says of a user.
 *
 * @module
 */
import { ProcReader } from "../../kernel/proc/proc.ts";
import { sharesMm } from "../../kernel/proc/kcmp.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import { pageBytes } from "../../kernel/ffi/libc.ts";
import { hasFile, hasTracefs } from "./real_kernel.ts";

/** Undefined where there is none. */
export const PYTHON = ["/usr/bin/python3", "/usr/local/bin/python3"].find(hasFile);

/** Whether the end-to-end tests can run here, and what they need. */
export const E2E_POSSIBLE = hasTracefs() && PYTHON !== undefined;
export const E2E_NEEDS = "root, tracefs with rss_stat, and python3";

// Handed over as text: the project may lie where a scratch user cannot read.
const SCRIPT = Deno.readTextFileSync(new URL("./workload.py", import.meta.url));
const RUN_SCRIPT = "import os; exec(os.environ['TOOM_WORKLOAD'])";

/** A process that says lines when it is where it wants to be, and goes on at a line of its input. */
export class ScratchProcess implements AsyncDisposable {
  private readonly child: Deno.ChildProcess;
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;
  private readonly reading: Promise<void>;
  private readonly said: string[] = [];
  private status: Deno.CommandStatus | undefined;
  private closed = false;

  /** @param uid 0, or a scratch user. */
  constructor(uid: number, path: string, args: readonly string[], env: Record<string, string>) {
    this.child = new Deno.Command(path, {
      args: [...args],
      ...(uid === 0 ? {} : { uid, gid: uid }),
      cwd: "/",
      clearEnv: true,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.input = this.child.stdin.getWriter();
    this.reading = this.read();
    void this.child.status.then((status) => this.status = status);
  }

  private async read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      this.said.push(...lines);
    }
  }

  /** Numbers that it has said after a word. */
  numbers(word: string): number[] {
    return this.said.filter((line) => line.startsWith(`${word} `))
      .map((line) => Number(line.slice(word.length + 1)));
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Waits until it has said a word. */
  async until(word: string, timeoutMs = 30_000): Promise<this> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!this.said.includes(word)) {
      if (this.status !== undefined && this.said.length === 0) {
        throw new Error(`workload ended before it said ${word}: ${JSON.stringify(this.status)}`);
      }
      if (performance.now() > deadlineMs) throw new Error(`workload never said ${word}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this;
  }

  /** The first line that it says, as JSON. */
  async saidJson<Value>(timeoutMs = 30_000): Promise<Value> {
    const deadlineMs = performance.now() + timeoutMs;
    while (this.said.length === 0) {
      if (performance.now() > deadlineMs) throw new Error("the process never said anything");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return JSON.parse(this.said[0]!);
  }

  /** Lets it go on. */
  async go(): Promise<this> {
    await this.input.write(new TextEncoder().encode("go\n"));
    return this;
  }

  /** Whether it lives. */
  get alive(): boolean {
    return this.status === undefined;
  }

  /** Waits for its end. @throws {Error} When it lives on. */
  async end(timeoutMs = 30_000): Promise<Deno.CommandStatus> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`workload ${this.pid} lives on`)), timeoutMs);
    });
    try {
      return await Promise.race([this.child.status, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it gently: the end of its input. */
  async close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      await this.input.close().catch(() => {});
    }
    await this.child.status;
    await this.reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.close();
  }
}

/** A process of workload.py. */
export class Workload extends ScratchProcess {
  /** @param uid 0, or a scratch user. */
  constructor(uid: number, mode: string, ...args: (string | number)[]) {
    const words = ["-S", "-E", "-c", RUN_SCRIPT, mode, ...args.map(String)];
    super(uid, PYTHON!, words, { TOOM_WORKLOAD: SCRIPT });
  }
}

/** A process of a user, as /proc has it. */
export interface TrueProcess {
  readonly pid: number;
  readonly anonPages: number;
  readonly swapPages: number;
  readonly shmemPages: number;
}

/** What /proc says of a user's processes; those that share an mm count once. */
export function trueProcesses(uid: number): TrueProcess[] {
  const proc = new ProcReader();
  const status = new ProcStatus();
  const pids = new Int32Array(65536);
  const count = proc.listPids(pids);
  const kibPerPage = pageBytes() / 1024;
  const found: TrueProcess[] = [];
  for (const pid of pids.subarray(0, count)) {
    if (!proc.readStatus(pid, status) || status.realUid !== uid || !status.hasMemory) continue;
    if (found.some((other) => sharesMm(other.pid, pid))) continue;
    found.push({
      pid,
      anonPages: status.rssAnonKib / kibPerPage,
      swapPages: status.vmSwapKib / kibPerPage,
      shmemPages: status.rssShmemKib / kibPerPage,
    });
  }
  return found;
}

/** Anon, swap and shmem of a user, in pages, as /proc has it. */
export function truePages(uid: number): number {
  return trueProcesses(uid).reduce(
    (sum, { anonPages, swapPages, shmemPages }) => sum + anonPages + swapPages + shmemPages,
    0,
  );
}
