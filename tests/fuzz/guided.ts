/**
 * Damaged input for every parser, guided by what it reaches:
 *
 *     deno task fuzz:guided [--seconds 600] [--target NAME] [--seed N] [--save]
 *
 * As `fuzz.ts`, but an input that runs a statement or a branch which none has run before it, or runs it
 * twice as often as any, is kept and damaged further. With --save the kept inputs that reach something
 * of their own, the shortest first, go to `corpus/`, from where `fuzz.ts` begins as well.
 *
 * A finding prints the input in whole, which belongs into `corpus/` then.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { Random } from "../_support/random.ts";
import { saveCorpus } from "./corpus.ts";
import { instrument, type Places } from "./instrument.ts";
import { damaged, INPUT_BYTES_MAX } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

/** Of two inputs one is damaged that is among the newest so many. */
const NEWEST = 16;
const KEPT_MAX = 4096;
const BATCH = 64;
/** Of a saved corpus, of one target. */
const SAVED_MAX = 64;
const SAVED_BYTES_MAX = 16_384;

/** What inputs have reached so far: of each place the powers of two of how often it ran in one. */
class Reached {
  private readonly powers: Uint32Array;
  private readonly places: Places;
  count = 0;

  constructor(places: Places) {
    this.places = places;
    this.powers = new Uint32Array(places.size);
  }

  /** Takes what the last input has reached. @returns Whether some of it is new. */
  take(): boolean {
    let isNew = false;
    this.places.forEach((place, power) => {
      if ((this.powers[place]! & 1 << power) !== 0) return;
      if (this.powers[place] === 0) this.count++;
      this.powers[place]! |= 1 << power;
      isNew = true;
    });
    this.places.forget();
    return isNew;
  }
}

/** A target, and the inputs of it that are worth more damage. */
class Guided {
  readonly kept: Uint8Array<ArrayBuffer>[] = [];
  readonly reached: Reached;
  inputs = 0;
  private readonly target: FuzzTarget;
  private readonly places: Places;
  private readonly random: Random;

  constructor(target: FuzzTarget, places: Places, seed: number) {
    this.target = target;
    this.places = places;
    this.random = new Random(seed);
    this.reached = new Reached(places);
  }

  /** Takes what the corpus reaches. */
  async begin(): Promise<void> {
    for (const bytes of this.target.corpus) {
      await this.take(Uint8Array.from(bytes.subarray(0, INPUT_BYTES_MAX)));
    }
  }

  async batch(): Promise<void> {
    const { random, kept } = this;
    for (let number = 0; number < BATCH; number++) {
      const from = kept.length > NEWEST && random.below(2) === 0 ? kept.slice(-NEWEST) : kept;
      await this.take(damaged(random, from.length === 0 ? this.target.corpus : from));
    }
  }

  private async take(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const given = bytes.slice();
    try {
      const done = this.target.take(bytes);
      if (done !== undefined) await done;
    } catch (error) {
      const why = error instanceof Error ? error.stack : String(error);
      throw new Error(
        `target ${this.target.name}, ${given.length} bytes:\n${given.toHex()}\n${why}`,
      );
    }
    this.inputs++;
    if (this.reached.take() && this.kept.length < KEPT_MAX) this.kept.push(given);
  }

  /** @returns Few short inputs that reach together what all kept ones reach, as far as there is room. */
  async minimised(): Promise<Uint8Array[]> {
    const reached = new Reached(this.places);
    const chosen: Uint8Array[] = [];
    let bytesLeft = SAVED_BYTES_MAX;
    for (const bytes of this.kept.toSorted((a, b) => a.length - b.length)) {
      const done = this.target.take(bytes.slice());
      if (done !== undefined) await done;
      if (!reached.take() || bytes.length > bytesLeft || chosen.length === SAVED_MAX) continue;
      bytesLeft -= bytes.length;
      chosen.push(bytes);
    }
    return chosen;
  }
}

async function main(args: string[]): Promise<number> {
  const options = parseArgs(args, {
    string: ["seconds", "target", "seed"],
    boolean: ["save"],
    default: { seconds: "600", seed: `${Date.now() % 1e9}` },
    unknown: (word: string): never => {
      throw new Error(`fuzz:guided: unknown ${word}; see the head of tests/fuzz/guided.ts`);
    },
  });
  const dirPath = await Deno.makeTempDir({ prefix: "toom-fuzz-" });
  try {
    const { entry, places } = await instrument(`${dirPath}/copy`);
    const { allTargets } = await import(entry) as typeof import("./fuzz.ts");
    const targets = allTargets(dirPath).filter(({ name }) => (options.target ?? name) === name);
    if (targets.length === 0) throw new Error("fuzz:guided: expected the name of a target");
    const shareMs = Number(options.seconds) * 1000 / targets.length;
    let total = 0;
    for (const target of targets) {
      const guided = new Guided(target, places, Number(options.seed));
      places.forget();
      await guided.begin();
      const { count } = guided.reached;
      const endMs = performance.now() + shareMs;
      while (performance.now() < endMs) await guided.batch();
      total += guided.inputs;
      console.log(
        `${target.name.padEnd(10)} ${guided.inputs} inputs, ${guided.kept.length} kept; ` +
          `places reached: ${count} by the corpus, then ${guided.reached.count}`,
      );
      if (options.save) await saveCorpus(target.name, await guided.minimised());
    }
    console.log(`${total} inputs, none shows a mistake; seed ${options.seed}`);
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
