/**
 * A churn of scratch users under a toom, with an independent witness beside it:
 *
 *     deno task churn --minutes 30 [--checkout DIR] [--seed N] [--active N] [--no-faults]
 *                       [--report FILE]
 *
 * Who the users are, says crowd.ts; what they do, churn_worker.c; what is checked, truth.c. Meanwhile
 * threads of toom are stopped as by a debugger, workers fail on purpose, buffers are so small that
 * events are lost, and programs start in namespaces of their own.
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
import { Crowd, HARD_BYTES } from "./crowd.ts";
import { Dice } from "./dice.ts";
import { Faults } from "./faults.ts";
import { Judged } from "./judged.ts";
import { sleep } from "./wait.ts";
import { buildPrograms, Witness } from "./witness.ts";

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

async function churn(options: Options): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "toom-churn-" });
  await Deno.chmod(dir, 0o755);
  await buildPrograms(dir);
  const dice = new Dice(options.seed);
  const toom = new Judged(dir, options);
  const crowd = new Crowd(dir, dice, options.activeMax);
  const faults = new Faults(dir, toom, dice);
  const problems: string[] = [];
  /** Faults that could not be provoked: a thread had ended, or toom was just starting over. */
  const failures: string[] = [];
  try {
    await toom.untilReady();
    const witness = new Witness(dir, toom.logPath);
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
    const verdict = await witness.verdict();
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
