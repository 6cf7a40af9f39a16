/**
 * Programs of scratch users that are braked, and what the kernel says of their limits.
 *
 * @module
 */
import { HELPER_COMM } from "../../kernel/process/helper_comm.ts";
import { ProcReader } from "../../kernel/proc/proc.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import { hasFile } from "./real_kernel.ts";

const COMPILER = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].find(hasFile);
const SOURCE = new URL("./brake_program.c", import.meta.url).pathname;

export const CAN_COMPILE = COMPILER !== undefined;

/** The program, compiled where every user can run it; remove its folder afterwards. */
export async function buildBrakeProgram(): Promise<
  { readonly dir: string; readonly path: string }
> {
  const dir = await Deno.makeTempDir({ prefix: "toom-brake-" });
  await Deno.chmod(dir, 0o755);
  const path = `${dir}/brake-program`;
  const args = ["-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", path, SOURCE];
  const { success, stderr } = await new Deno.Command(COMPILER!, { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  await Deno.chmod(path, 0o755);
  return { dir, path };
}

/** One of the program's processes, or any that says lines and takes some. */
export class BrakeProcess implements AsyncDisposable {
  readonly said: string[] = [];
  status: Deno.CommandStatus | undefined;
  private readonly child: Deno.ChildProcess;
  private readonly input: WritableStreamDefaultWriter<Uint8Array>;
  private readonly reading: Promise<void>;
  private isClosed = false;

  constructor(uid: number, command: readonly string[]) {
    const [program, ...args] = command;
    this.child = new Deno.Command(program!, {
      args,
      ...(uid === 0 ? {} : { uid, gid: uid }),
      cwd: "/",
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
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

  get pid(): number {
    return this.child.pid;
  }

  /** Waits until it has said a word. @returns The number behind it, if any. */
  async until(word: string, timeoutMs = 30_000): Promise<number> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const line = this.said.find((one) => one === word || one.startsWith(`${word} `));
      if (line !== undefined) return Number(line.slice(word.length + 1));
      if (this.status !== undefined || performance.now() > deadlineMs) {
        throw new Error(
          `${this.pid} never said ${word}, but ${this.said}; ${JSON.stringify(this.status)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Lets it go on. */
  async go(): Promise<void> {
    await this.input.write(new TextEncoder().encode("go\n"));
  }

  async end(): Promise<Deno.CommandStatus> {
    const status = await this.child.status;
    await this.reading;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.end();
    if (this.isClosed) return;
    this.isClosed = true;
    await this.input.close().catch(() => {});
  }
}

/** Pids of a user's processes, but for toom's helpers. */
export function pidsOf(uid: number): number[] {
  const proc = new ProcReader();
  const status = new ProcStatus();
  const pids = new Int32Array(65536);
  const count = proc.listPids(pids);
  return [...pids.subarray(0, count)].filter((pid) =>
    proc.readStatus(pid, status) && status.realUid === uid && status.hasMemory &&
    proc.readComm(pid) !== HELPER_COMM
  );
}

/** Soft and hard RLIMIT_DATA of a process, as the kernel shows them; undefined: it is gone. */
export function dataLimits(pid: number): readonly [string, string] | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/limits`);
    const [, soft, hard] = /^Max data size +(\w+) +(\w+)/m.exec(text)!;
    return [soft!, hard!];
  } catch {
    return undefined;
  }
}

/** Processes of a user whose soft limit is not the wanted one. */
export function loweredOf(uid: number, wanted = "unlimited"): string[] {
  return pidsOf(uid).flatMap((pid) => {
    const limits = dataLimits(pid);
    return limits === undefined || limits[0] === wanted ? [] : [`${pid}: ${limits[0]}`];
  });
}
