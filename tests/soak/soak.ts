/**
 * A soak: the churn for a long time, with all that goes on around a toom on a busy machine:
 *
 *     deno task soak --minutes 90 --report DIR [--seed N] [--active N] [--restart-minutes N]
 *                    [--no-faults]
 *
 * Beside the churn (see churn.ts) a browser shows the page, a program asks tmalloc for all that it takes,
 * metrics are scraped each second, limits are set and removed, the configuration is read again,
 * commands ask for status, kills and an audit of the books, and every ten minutes toom is
 * stopped and started upon its state, after all users have gone and their books must be empty.
 *
 * Writes DIR/soak.json, DIR/soak.svg and DIR/soak.md. Exit code 0: no kill was wrong or needless, nobody
 * who asks was killed, books were empty whenever they had to be, and memory and descriptors stayed flat.
 * Of times it tells; they decide nothing.
 *
 * Needs root, tracefs, a C compiler, make and unshare; a browser only where there is one.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { linkPath, readLink } from "../../cli/web/link.ts";
import { Browser, CHROMIUM, type Tab } from "../_support/browser.ts";
import { TmallocBuild } from "../_support/tmalloc_build.ts";
import { Crowd, FIRST_UID, HARD_BYTES, LAST_UID } from "./crowd.ts";
import { Dice } from "./dice.ts";
import { Faults } from "./faults.ts";
import { Judged } from "./judged.ts";
import { type Sample, takeSample } from "./samples.ts";
import { reportSoak } from "./soak_report.ts";
import { sleep } from "./wait.ts";
import { buildPrograms, Witness } from "./witness.ts";

const CHECKOUT = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");
/** Who asks tmalloc, and must live. */
const ASKER_UID = 60140;
const ASKER_LIMIT = "64MiB";
/** Whose limit is set and removed. */
const SETTING_UID = 60141;
const SAMPLE_EVERY_MS = 5000;
const SCRAPE_EVERY_MS = 1000;
const ACT_EVERY_MS = 10_000;
const EMPTY_MS_MAX = 5000;
const ROWS_EMPTY_MS_MAX = 60_000;
const PAGE_TRIES = 100;
const PAGE_AGAIN_MS = 200;

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly activeMax: number;
  readonly restartMinutes: number;
  readonly faults: boolean;
  readonly report: string;
}

function readOptions(args: string[]): Options {
  const parsed = parseArgs(args, {
    string: ["minutes", "seed", "active", "report", "restart-minutes"],
    boolean: ["faults"],
    negatable: ["faults"],
    default: { faults: true, minutes: "90", active: "24", "restart-minutes": "10" },
    unknown: (word: string): never => {
      throw new Error(`soak: unknown ${word}; see the head of tests/soak/soak.ts`);
    },
  });
  const number = (name: "minutes" | "seed" | "active" | "restart-minutes"): number => {
    const value = Number(parsed[name] ?? Date.now() % 1_000_000 + 1);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`soak: expected a positive number for --${name}, not "${parsed[name]}"`);
  };
  if (parsed.report === undefined) throw new Error("soak: expected --report DIR");
  return {
    minutes: number("minutes"),
    seed: number("seed"),
    activeMax: number("active"),
    restartMinutes: number("restart-minutes"),
    faults: parsed.faults,
    report: parsed.report,
  };
}

/** What happened around the churn. */
interface Done {
  readonly counts: Record<string, number>;
  /** What was refused or did not answer, as while toom starts over. */
  readonly refused: Record<string, number>;
  readonly problems: string[];
}

/** Calls something again and again until it is told to stop. */
class Repeating {
  private isStopped = false;
  private readonly ended: Promise<void>;

  constructor(everyMs: number, call: () => Promise<void>) {
    this.ended = (async (): Promise<void> => {
      while (!this.isStopped) {
        await call();
        await sleep(everyMs);
      }
    })();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ended;
  }
}

/** Those who ask toom and change its settings, one after the other. */
class Administrators {
  private readonly toom: Judged;
  private readonly dice: Dice;
  private readonly done: Done;

  constructor(toom: Judged, dice: Dice, done: Done) {
    this.toom = toom;
    this.dice = dice;
    this.done = done;
  }

  async act(): Promise<void> {
    const { toom } = this;
    const name = this.dice.pick(["reload", "limit", "status", "kills", "audit", "me"] as const);
    if (name === "reload") return await this.note(name, () => Promise.resolve(toom.reload()));
    if (name === "limit") {
      const words = this.dice.below(2) === 0
        ? ["limit", "set", `${SETTING_UID}`, `${16 + this.dice.below(64)}MiB`]
        : ["limit", "list"];
      return await this.note(name, () => this.command(...words));
    }
    if (name === "audit") return await this.note(name, () => this.command("doctor", "--audit"));
    await this.note(name, () => this.command(name === "me" ? "status" : name));
  }

  async scrape(): Promise<void> {
    await this.note("scrape", async () => {
      const text = await this.toom.askText("/metrics");
      if (!text.endsWith("\n") || !text.includes("toom_build_info")) {
        throw new Error("an exposition that is cut off");
      }
    });
  }

  private async command(...words: string[]): Promise<void> {
    const { code, out } = await this.toom.command(...words);
    if (code === 0) return;
    const unexplained = out.split("\n").filter((line) => line.startsWith("not explained"));
    const why = unexplained.length > 0 ? unexplained.join("; ") : out.slice(-400);
    throw new Error(`${words.slice(0, 2).join(" ")} ${code}: ${why}`);
  }

  async note(name: string, act: () => Promise<void>): Promise<void> {
    try {
      await act();
      this.done.counts[name] = (this.done.counts[name] ?? 0) + 1;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const what = `${name}: ${text.replaceAll(/\d+/g, "N").slice(0, 200)}`;
      this.done.refused[what] = (this.done.refused[what] ?? 0) + 1;
    }
  }
}

/** A user that asks before it takes: nobody of it may die. */
async function askOnce(program: string, socket: string, seed: number, done: Done): Promise<void> {
  const { code, stderr } = await new Deno.Command("setpriv", {
    args: [
      "--reuid",
      `${ASKER_UID}`,
      "--regid",
      `${ASKER_UID}`,
      "--clear-groups",
      program,
      "20",
      "8",
      `${seed}`,
    ],
    cwd: "/",
    stdin: "null",
    stdout: "null",
    env: { TMALLOC_SOCKET: socket },
  }).output();
  done.counts["tmalloc run"] = (done.counts["tmalloc run"] ?? 0) + 1;
  if (code !== 0) {
    done.problems.push(`who asks tmalloc ended with ${code}: ${new TextDecoder().decode(stderr)}`);
  }
}

/** A page in a browser, opened again after a restart. */
class Watching implements AsyncDisposable {
  private readonly browser: Browser | undefined;
  private readonly socketPath: string;
  private tab: Tab | undefined;

  private constructor(browser: Browser | undefined, socketPath: string) {
    this.browser = browser;
    this.socketPath = socketPath;
  }

  static async start(socketPath: string): Promise<Watching> {
    return new Watching(CHROMIUM === undefined ? undefined : await Browser.start(), socketPath);
  }

  /** The page is there a moment after the daemon is ready, by a link of its own. */
  async open(): Promise<void> {
    if (this.browser === undefined) return;
    this.tab ??= await this.browser.open({ width: 1280, height: 860 });
    for (let tries = 1;; tries++) {
      try {
        const link = readLink(linkPath(this.socketPath));
        if (link === undefined) throw new Error("toom serves no page");
        return await this.tab.go(link);
      } catch (error) {
        if (tries === PAGE_TRIES) throw error;
        await sleep(PAGE_AGAIN_MS);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser?.[Symbol.asyncDispose]();
  }
}

/** @returns A port that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return (listener.addr as Deno.NetAddr).port;
}

/**
 * All have gone: their memory is booked off within a moment, and their rows are given back when
 * the next sweep finds that an end was not heard of, or it is told.
 */
async function checkEmpty(toom: Judged, done: Done): Promise<void> {
  const beganMs = performance.now();
  for (;;) {
    const { users } = await toom.ask("/v1/status") as {
      users: readonly { uid: number; usagePages: number; processes: number }[];
    };
    const ours = users.filter(({ uid }) => uid >= FIRST_UID && uid <= LAST_UID);
    const pages = ours.reduce((sum, { usagePages }) => sum + usagePages, 0);
    const processes = ours.reduce((sum, user) => sum + user.processes, 0);
    const passedMs = performance.now() - beganMs;
    if (pages === 0 && processes === 0) break;
    if (pages > 0 && passedMs > EMPTY_MS_MAX || passedMs > ROWS_EMPTY_MS_MAX) {
      done.problems.push(`nobody is there, and books hold ${pages} pages, ${processes} processes`);
      return;
    }
    await sleep(100);
  }
  done.counts["books empty"] = (done.counts["books empty"] ?? 0) + 1;
}

async function soak(options: Options): Promise<number> {
  await Deno.mkdir(options.report, { recursive: true });
  const dir = await Deno.makeTempDir({ prefix: "toom-soak-" });
  await Deno.chmod(dir, 0o755);
  await buildPrograms(dir);
  await using build = await TmallocBuild.make();
  const asker = await build.compile("tmalloc_storm.c");
  const dice = new Dice(options.seed);
  const done: Done = { counts: {}, refused: {}, problems: [] };
  const samples: Sample[] = [];
  const toom = new Judged(dir, {
    checkout: CHECKOUT,
    faults: options.faults,
    toomArgs: [`--limit=${ASKER_UID}=${ASKER_LIMIT}`, `--web=${freePort()}`],
  });
  const faults = new Faults(dir, toom, dice);
  const administrators = new Administrators(toom, dice, done);
  let crowd = new Crowd(dir, dice, options.activeMax);
  const started: Record<string, number> = {};
  const beganMs = performance.now();
  const passed = (): number => (performance.now() - beganMs) / 1000;
  const restartTimes: number[] = [];
  await using watching = await Watching.start(`${dir}/control.sock`);
  try {
    await toom.untilReady();
    const startedAt = Date.now();
    const witness = new Witness(dir, toom.logPath);
    const endSeconds = passed() + options.minutes * 60;
    while (passed() < endSeconds && !toom.hasEnded) {
      await administrators.note("page opened", () => watching.open());
      const sampling = new Repeating(
        SAMPLE_EVERY_MS,
        () =>
          administrators.note("sample", async () => {
            samples.push(await takeSample(toom, passed()));
          }),
      );
      const around = [
        sampling,
        new Repeating(SCRAPE_EVERY_MS, () => administrators.scrape()),
        new Repeating(ACT_EVERY_MS, () => administrators.act()),
        new Repeating(1000, () => askOnce(asker, `${dir}/tmalloc.sock`, 1 + dice.below(1e6), done)),
      ];
      if (options.faults) {
        around.push(
          new Repeating(
            4000 + dice.below(6000),
            () => administrators.note("fault", () => faults.next()),
          ),
        );
      }
      const roundEnd = Math.min(endSeconds, passed() + options.restartMinutes * 60);
      while (passed() < roundEnd && !toom.hasEnded) {
        crowd.more();
        await sleep(20 + dice.below(100));
      }
      await Promise.all(around.map((one) => one.stop()));
      await crowd.end();
      for (const [role, count] of Object.entries(crowd.started)) {
        started[role] = (started[role] ?? 0) + count;
      }
      crowd = new Crowd(dir, dice, options.activeMax);
      if (toom.hasEnded) break;
      await checkEmpty(toom, done);
      if (passed() >= endSeconds) break;
      restartTimes.push(passed());
      await toom.restart();
    }
    await sleep(300);
    const verdict = await witness.verdict();
    const log = await toom.log();
    const survived = await toom.stop();
    if (!survived) done.problems.push("toom has ended by itself");
    if (verdict.goodMostBytes > HARD_BYTES) {
      done.problems.push("a well-behaved user was over its limit: the churn is wrong");
    }
    const isGood = await reportSoak(options.report, {
      options,
      startedAt,
      restartTimes,
      verdict,
      samples,
      log,
      done,
      faults: faults.done,
      started,
      askerUid: ASKER_UID,
    });
    return isGood ? 0 : 1;
  } finally {
    await crowd.end();
    await toom.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await soak(readOptions(Deno.args)));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exit(2);
  }
}
