/**
 * A churn of scratch users under a toom, with an independent witness beside it:
 *
 *     deno task churn --minutes 30 [--checkout DIR] [--seed N] [--active N] [--no-faults]
 *                       [--report FILE]
 *
 * Users 60100 to 60109 never hold more than nine tenths of their limit, 60110 to 60129 do whatever
 * ends in a kill, 60130 to 60139 have no limit. What they do is in churn_worker.c, what is checked in
 * truth.c. Meanwhile threads of toom are stopped as by a debugger, workers fail on purpose, buffers
 * are so small that events are lost, and programs start in namespaces of their own.
 *
 * Prints a report as JSON. Exit code 0 when no kill was wrong or needless, nobody was over its limit
 * for longer than --over-ms, and toom was there until the end.
 *
 * Needs root, tracefs, a C compiler and unshare. Uses none of toom's modules, as they are judged.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";

const FIRST_UID = 60100;
const GOOD_LAST_UID = 60109;
const LIMITED_LAST_UID = 60129;
const LAST_UID = 60139;
const MIB = 2 ** 20;
const HARD_BYTES = 48 * MIB;
const RATE_BYTES = 150 * MIB;
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;
/** Where a stop of a thread must be noticed; 1.5 s is what the longest takes. */
const STOPS_MS = [100, 600, 1500] as const;
const GOOD_ROLES = [
  "good-single",
  "good-family",
  "good-shared",
  "good-lazy",
  "good-spawner",
  "good-threads",
] as const;
const BAD_ROLES = [
  "hog",
  "login-hog",
  "hogs",
  "copying-family",
  "sharers",
  "storm",
  "shared-hog",
  "good-family",
] as const;
const WORKERS = ["reader0", "accounting", "killer", "coordinator", "sweeper"] as const;
const DEFAULT_CHECKOUT = new URL("../../", import.meta.url).pathname;

interface Options {
  readonly minutes: number;
  readonly checkout: string;
  readonly seed: number;
  readonly faults: boolean;
  readonly overMsMax: number;
  /** Users that do something at the same time. */
  readonly activeMax: number;
  readonly report: string | undefined;
  readonly toomArgs: readonly string[];
}

function readOptions(args: string[]): Options {
  const parsed = parseArgs(args, {
    string: ["minutes", "checkout", "seed", "report", "over-ms", "active", "toom"],
    boolean: ["faults"],
    negatable: ["faults"],
    collect: ["toom"],
    default: { faults: true, minutes: "1", "over-ms": "3000", active: "14" },
    unknown: (word: string): never => {
      throw new Error(`churn: unknown ${word}; see the head of tests/soak/churn.ts`);
    },
  });
  const number = (name: "minutes" | "seed" | "over-ms" | "active", fallback: number): number => {
    const value = Number(parsed[name] ?? fallback);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`churn: expected a positive number for --${name}, not "${parsed[name]}"`);
  };
  return {
    minutes: number("minutes", 1),
    checkout: (parsed.checkout ?? DEFAULT_CHECKOUT).replace(/\/$/, ""),
    seed: number("seed", Date.now() % 1_000_000 + 1),
    faults: parsed.faults,
    overMsMax: number("over-ms", 3000),
    activeMax: number("active", 14),
    report: parsed.report,
    toomArgs: (parsed.toom as string[] | undefined) ?? [],
  };
}

/** Chance from a seed: mulberry32. */
class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  below(limit: number): number {
    this.state = this.state + 0x6d2b79f5 >>> 0;
    let t = Math.imul(this.state ^ this.state >>> 15, this.state | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return Math.floor(((t ^ t >>> 14) >>> 0) / 2 ** 32 * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function compile(dir: string): Promise<void> {
  for (const path of ["./truth", "./churn_worker", "../_support/stop_thread"]) {
    const name = path.split("/").at(-1)!;
    const source = new URL(`${path}.c`, import.meta.url).pathname;
    const args = ["-O2", "-pthread", "-o", `${dir}/${name}`, source];
    const { success, stderr } = await new Deno.Command("cc", { args }).output();
    if (!success) throw new Error(`cannot compile ${name}.c: ${new TextDecoder().decode(stderr)}`);
    await Deno.chmod(`${dir}/${name}`, 0o755);
  }
}

/** The toom that is judged: its log goes to a file, which the witness reads too. */
class Judged {
  readonly logPath: string;
  hasEnded = false;
  private readonly socketPath: string;
  private readonly child: Deno.ChildProcess;

  constructor(dir: string, options: Options) {
    this.logPath = `${dir}/log`;
    this.socketPath = `${dir}/control.sock`;
    const words = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      `${options.checkout}/mod.ts`,
      "run",
      "--log-format=json",
      "--config=none",
      `--limit=${FIRST_UID}-${LIMITED_LAST_UID}=${HARD_BYTES / MIB}MiB`,
      // Each kill is a line of its own, which the witness reads.
      "--storm-kills=0",
      `--control-socket=${this.socketPath}`,
      `--tmalloc-socket=${dir}/tmalloc.sock`,
      `--state-dir=${dir}/state`,
      ...(options.faults ? ["--debug-faults", "--buffer-kib=64"] : []),
      ...options.toomArgs,
    ];
    this.child = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", this.logPath, ...words],
      stdin: "null",
    }).spawn();
    void this.child.status.then(() => this.hasEnded = true);
  }

  get pid(): number {
    return this.child.pid;
  }

  async lines(event: string): Promise<number> {
    const text = await Deno.readTextFile(this.logPath).catch(() => "");
    return text.split(`"event":"${event}"`).length - 1;
  }

  async untilReady(): Promise<void> {
    const deadlineMs = performance.now() + START_MS_MAX;
    while (await this.lines("ready") === 0) {
      if (this.hasEnded || performance.now() > deadlineMs) {
        throw new Error(`toom does not start: ${await Deno.readTextFile(this.logPath)}`);
      }
      await sleep(50);
    }
  }

  async ask(path: string, body?: unknown): Promise<unknown> {
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.socketPath } });
    const response = await fetch(`http://localhost${path}`, {
      client,
      signal: AbortSignal.timeout(10_000),
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  async stop(): Promise<boolean> {
    const wasThere = !this.hasEnded;
    if (wasThere) this.child.kill("SIGTERM");
    const ended = await Promise.race([this.child.status, sleep(STOP_MS_MAX)]);
    if (ended === undefined) this.child.kill("SIGKILL");
    await this.child.status;
    return wasThere;
  }
}

/** Users that come, do something, and go. */
class Crowd {
  readonly started: Record<string, number> = {};
  private readonly dir: string;
  private readonly dice: Dice;
  private readonly activeMax: number;
  private readonly active = new Map<number, Promise<unknown>>();

  constructor(dir: string, dice: Dice, activeMax: number) {
    this.dir = dir;
    this.dice = dice;
    this.activeMax = activeMax;
  }

  /** Has one more user do something, if there is room. */
  more(): void {
    if (this.active.size >= this.activeMax) return;
    const { dice } = this;
    const uid = FIRST_UID + dice.below(LAST_UID - FIRST_UID + 1);
    if (this.active.has(uid)) return;
    const role = dice.pick<string>(uid <= GOOD_LAST_UID ? GOOD_ROLES : BAD_ROLES);
    // Who has no limit ends by itself, or fills the machine.
    if (uid > LIMITED_LAST_UID && !role.startsWith("good") && role !== "storm") return;
    const inContainer = dice.below(6) === 0 && role !== "login-hog";
    const name = inContainer ? `${role} in a container` : role;
    this.started[name] = (this.started[name] ?? 0) + 1;
    const words = [
      ...(inContainer
        ? ["unshare", "--pid", "--mount", "--ipc", "--net", "--fork", "--kill-child"]
        : []),
      `${this.dir}/churn_worker`,
      `${uid}`,
      role,
      `${HARD_BYTES}`,
      `${RATE_BYTES}`,
      `${1 + dice.below(1e9)}`,
    ];
    const child = new Deno.Command(words[0]!, {
      args: words.slice(1),
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const end = child.status.then(async () => {
      // What it started may outlive it by a moment.
      await endAll(uid, uid);
      this.active.delete(uid);
    });
    this.active.set(uid, end);
  }

  /** Ends all. */
  async end(): Promise<void> {
    await endAll(FIRST_UID, LAST_UID);
    await Promise.race([Promise.all(this.active.values()), sleep(STOP_MS_MAX)]);
    await endAll(FIRST_UID, LAST_UID);
  }
}

/** Ends all processes of scratch users. */
async function endAll(firstUid: number, lastUid: number): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(() => "");
    const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1] ?? -1);
    if (uid < firstUid || uid > lastUid) continue;
    try {
      Deno.kill(Number(name), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

/** Faults of toom, one after the other. */
class Faults {
  readonly done: Record<string, number> = {};
  private readonly dir: string;
  private readonly toom: Judged;
  private readonly dice: Dice;

  constructor(dir: string, toom: Judged, dice: Dice) {
    this.dir = dir;
    this.toom = toom;
    this.dice = dice;
  }

  async next(): Promise<void> {
    const { dice } = this;
    const name = dice.below(3) === 0 ? await this.failing() : await this.stopping();
    this.done[name] = (this.done[name] ?? 0) + 1;
  }

  private async failing(): Promise<string> {
    const role = this.dice.pick(WORKERS);
    await this.toom.ask("/v1/debug/fault", { role, kind: "throw" });
    return `${role} throws`;
  }

  private async stopping(): Promise<string> {
    const { dice } = this;
    const threads = new Map<string, string[]>();
    for await (const { name: tid } of Deno.readDir(`/proc/${this.toom.pid}/task`)) {
      const comm = await Deno.readTextFile(`/proc/${this.toom.pid}/task/${tid}/comm`)
        .catch(() => "gone");
      threads.set(comm.trim(), [...threads.get(comm.trim()) ?? [], tid]);
    }
    // Deno and V8 have many threads of one name: each name gets the same share.
    const comm = dice.pick([...threads.keys()]);
    const tid = dice.pick(threads.get(comm)!);
    const ms = dice.pick(STOPS_MS);
    // One in four tracers is deaf: then the kernel lets toom start over only when the stop ends.
    const how = dice.below(4) === 0 ? ["deaf"] : [];
    await new Deno.Command(`${this.dir}/stop_thread`, {
      args: [tid, `${ms}`, ...how],
      stderr: "null",
    }).output();
    return [comm, "stopped for", `${ms} ms`, ...how].join(" ");
  }
}

interface Verdict {
  readonly wrong: number;
  readonly foreign: number;
  readonly needlessSecond: number;
  readonly longestOverMs: number;
  readonly kills: number;
  /** Beyond HARD_BYTES, it is the churn that is wrong, or its witness. */
  readonly goodMostBytes: number;
}

async function churn(options: Options): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "toom-churn-" });
  await Deno.chmod(dir, 0o755);
  await compile(dir);
  const dice = new Dice(options.seed);
  const toom = new Judged(dir, options);
  const crowd = new Crowd(dir, dice, options.activeMax);
  const faults = new Faults(dir, toom, dice);
  const problems: string[] = [];
  /** Faults that could not be provoked: a thread had ended, or toom was just starting over. */
  const failures: string[] = [];
  try {
    await toom.untilReady();
    const witness = new Deno.Command(`${dir}/truth`, {
      args: [
        toom.logPath,
        `${FIRST_UID}`,
        `${LIMITED_LAST_UID}`,
        `${HARD_BYTES}`,
        `${RATE_BYTES}`,
        `${GOOD_LAST_UID}`,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const told = witness.output();
    const endMs = performance.now() + options.minutes * 60_000;
    let faultMs = performance.now() + 3000;
    let isFailing = false;
    while (performance.now() < endMs && !toom.hasEnded) {
      crowd.more();
      if (options.faults && !isFailing && performance.now() > faultMs) {
        isFailing = true;
        faultMs = performance.now() + 4000 + dice.below(6000);
        // Not waited for: the churn goes on meanwhile.
        void faults.next().catch((error) => failures.push(String(error)))
          .finally(() => isFailing = false);
      }
      await sleep(20 + dice.below(100));
    }
    const status = await toom.ask("/v1/status").catch((error) => ({ error: String(error) }));
    await crowd.end();
    await sleep(300);
    await witness.stdin.close();
    const verdict: Verdict = JSON.parse(new TextDecoder().decode((await told).stdout));
    if (verdict.goodMostBytes > HARD_BYTES) problems.push("a well-behaved user was over its limit");
    const restarts = await toom.lines("worker-restart");
    const survived = await toom.stop();
    const isGood = survived && verdict.wrong === 0 && verdict.foreign === 0 &&
      verdict.needlessSecond === 0 && verdict.longestOverMs <= options.overMsMax &&
      verdict.kills > 0 && problems.length === 0;
    const report = {
      isGood,
      minutes: options.minutes,
      seed: options.seed,
      checkout: options.checkout,
      survived,
      ...verdict,
      workerRestarts: restarts,
      started: crowd.started,
      faults: faults.done,
      faultsInVain: failures.length,
      problems,
      status,
    };
    console.log(JSON.stringify(report));
    if (options.report !== undefined) {
      await Deno.writeTextFile(options.report, `${JSON.stringify(report, null, 2)}\n`);
      await Deno.copyFile(toom.logPath, `${options.report}.log`);
    }
    return isGood ? 0 : 1;
  } finally {
    await crowd.end();
    await toom.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await churn(readOptions(Deno.args)));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exit(2);
  }
}
