/**
 * Programs that are run as another user, bounded in time and output: no shell, no inherited environment,
 * a session of their own, of which everything that stayed in its process group goes at the end.
 *
 * Where setsid(1) and setpriv(1) of util-linux are, these make session and user: a process of this size
 * that forks holds up its other threads for milliseconds, and without them it would have to.
 *
 * @module
 */
import { messageOf } from "../ffi/thrown.ts";
import { openLibc } from "../ffi/libc.ts";
import { asBuffer, closeFd } from "../ffi/fd.ts";
import { Syscall } from "../ffi/symbols.ts";
import { killGroup, pidfdOpen } from "../kill/pidfd.ts";
import type { Account } from "../users/account.ts";

export interface AccountProgram {
  /** A path from / on, and arguments. */
  readonly command: readonly string[];
  readonly account: Account;
  readonly timeoutMs: number;
  /** All of its environment but PATH. */
  readonly env: Readonly<Record<string, string>>;
  /** What stands on its standard input. */
  readonly input: Uint8Array<ArrayBuffer>;
}

export interface ProgramEnd {
  /** `done`: with code 0. `late`: its time was over. */
  readonly kind: "done" | "failed" | "late" | "unstartable";
  /** One line: what it ended with, and the beginning of what it said. */
  readonly message: string;
}

export interface RunningProgram {
  readonly pid: number;
  /** Never rejects. */
  readonly ended: Promise<ProgramEnd>;
  /** Ends it and its process group at once. */
  kill(): void;
}

/** Of what it says so much is kept, of each of its two outputs. */
const KEPT_BYTES = 512;
/** Who says more than this finds nobody who listens. */
const OUTPUT_BYTES_MAX = 64 * 1024;
/** What it said last may take so long to arrive, when it has ended. */
const LAST_WORDS_MS = 50;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SETSID = "/usr/bin/setsid";
const SETPRIV = "/usr/bin/setpriv";
const PRIO_PROCESS = 0;
/** Of getrlimit(2): what the daemon may have and it may not. */
const RLIMIT_MEMLOCK = 8;
const RLIMIT_NICE = 13;
const RLIMIT_RTPRIO = 14;
/** Of a login, since Linux 5.16. */
const MEMLOCK_BYTES = 8n * 1024n * 1024n;
/** Behind the programs of users. */
const NICE = 10;

/** Starts a program. Takes a millisecond or two of this thread. Never throws. */
export function startProgram(wanted: AccountProgram): RunningProgram {
  let child: Deno.ChildProcess;
  try {
    child = spawn(wanted);
  } catch (error) {
    const message = messageOf(error);
    const ended = Promise.resolve<ProgramEnd>({ kind: "unstartable", message });
    return { pid: 0, ended, kill: () => {} };
  }
  makeOrdinary(child.pid);
  const pidfd = pidfdOpen(child.pid);
  let isOver = false;
  const kill = (): void => {
    if (!isOver) killGroup(pidfd, child.pid);
  };
  const end = async (): Promise<ProgramEnd> => {
    try {
      return await follow(child, wanted, kill);
    } finally {
      isOver = true;
      if (pidfd >= 0) closeFd(pidfd);
    }
  };
  return { pid: child.pid, ended: end(), kill };
}

function spawn({ command, account, env }: AccountProgram): Deno.ChildProcess {
  const common = {
    cwd: "/",
    clearEnv: true,
    env: { PATH, ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  } as const;
  const [program, ...args] = command;
  const { uid, gid } = account;
  if (!hasUtilLinux()) {
    return new Deno.Command(program!, { ...common, args, uid, gid, detached: true }).spawn();
  }
  const become = ["--reuid", String(uid), "--regid", String(gid), "--init-groups"];
  const words = [SETPRIV, ...become, "--pdeathsig", "KILL", "--", ...command];
  return new Deno.Command(SETSID, { ...common, args: words }).spawn();
}

let isUtilLinux: boolean | undefined;

/** Not that of busybox, which cannot become another user. */
function hasUtilLinux(): boolean {
  isUtilLinux ??= [SETSID, SETPRIV].every((path) => {
    try {
      return !Deno.realPathSync(path).endsWith("/busybox");
    } catch {
      return false;
    }
  });
  return isUtilLinux;
}

/** The daemon's own protection is not its, nor the right to go before all others. */
function makeOrdinary(pid: number): void {
  const libc = openLibc();
  libc.setpriority(PRIO_PROCESS, pid, NICE);
  const limits = new BigUint64Array(new ArrayBuffer(128), 0, 2);
  const former = new BigUint64Array(new ArrayBuffer(128), 0, 2);
  const bounds = [[RLIMIT_RTPRIO, 0n], [RLIMIT_NICE, 0n], [RLIMIT_MEMLOCK, MEMLOCK_BYTES]] as const;
  for (const [resource, most] of bounds) {
    limits.fill(most);
    libc.prlimit64(Syscall.prlimit64, pid, resource, asBuffer(limits), asBuffer(former));
  }
  try {
    Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, "0");
  } catch {
    // It has ended.
  }
}

async function follow(
  child: Deno.ChildProcess,
  { input, timeoutMs, command }: AccountProgram,
  kill: () => void,
): Promise<ProgramEnd> {
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    kill();
  }, timeoutMs);
  const feeding = feed(child.stdin, input);
  const outputs = [new Output(child.stdout), new Output(child.stderr)];
  const { code, signal } = await child.status;
  clearTimeout(deadline);
  // What it has left behind, at once: the number is still the group's.
  kill();
  const timer = setTimeout(() => {
    for (const output of outputs) output.stop();
  }, LAST_WORDS_MS);
  const said = (await Promise.all(outputs.map((output) => output.text()))).join(" ").trim();
  clearTimeout(timer);
  await feeding;
  const told = said === "" ? "" : `: ${said}`;
  if (isLate) {
    return { kind: "late", message: `${command[0]} took longer than ${timeoutMs} ms${told}` };
  }
  const how = signal === null ? `code ${code}` : signal;
  return {
    kind: code === 0 && signal === null ? "done" : "failed",
    message: `${command[0]} ended with ${how}${told}`,
  };
}

/** Whether it reads it or not. */
async function feed(
  stdin: WritableStream<Uint8Array<ArrayBuffer>>,
  input: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch {
    // It has ended without reading it.
  }
}

/** One of its outputs: read so that it need not wait, up to a bound. */
class Output {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly reading: Promise<string>;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.reader = stream.getReader();
    this.reading = this.read();
  }

  private async read(): Promise<string> {
    const kept = new Uint8Array(KEPT_BYTES);
    let totalBytes = 0;
    try {
      while (totalBytes <= OUTPUT_BYTES_MAX) {
        const { value, done } = await this.reader.read();
        if (done) break;
        if (totalBytes < KEPT_BYTES) {
          kept.set(value.subarray(0, KEPT_BYTES - totalBytes), totalBytes);
        }
        totalBytes += value.length;
      }
      // From here on its writes fail with EPIPE.
      await this.reader.cancel();
    } catch {
      // It was ended in the middle of it.
    }
    return new TextDecoder().decode(kept.subarray(0, Math.min(totalBytes, KEPT_BYTES)));
  }

  stop(): void {
    void this.reader.cancel().catch(() => {});
  }

  text(): Promise<string> {
    return this.reading;
  }
}
