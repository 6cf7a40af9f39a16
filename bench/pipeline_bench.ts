/**
 * The whole way of an event, from a trace in memory: parser, ring, accounting.
 *
 * `captures`: the captured ones, one after the other; short lives, many forks and execs.
 * `growth`: processes on two CPUs that do nothing but grow: the load that toom is there for.
 *
 * @module
 */
import { captureInput, growthInput, type PipelineInput } from "./support/pipeline_input.ts";
import { OneThread } from "./support/pipeline_run.ts";
import { TwoThreads } from "./support/two_threads.ts";

const INPUTS: readonly [string, () => PipelineInput][] = [
  ["text, captures", () => captureInput("text", 30)],
  ["text, growth", () => growthInput("text", 200_000)],
  ["raw, captures", () => captureInput("raw", 60)],
  ["raw, growth", () => growthInput("raw", 400_000)],
];

/** Events of one measurement, at least: an input is gone through over and over. */
const EVENTS_MIN = 5_000_000;
/** Measurements are long, so few are enough. */
const ROUNDS = { n: 5, warmup: 1 };

for (const [group, makeInput] of INPUTS) {
  const input = makeInput();
  const oneThread = new OneThread(input);
  const once = oneThread.run();
  const passes = Math.ceil(EVENTS_MIN / once);
  Deno.bench({
    ...ROUNDS,
    name: `one thread, ${once * passes} events`,
    group,
    baseline: true,
    fn: () => {
      for (let pass = 0; pass < passes; pass++) {
        oneThread.prepare();
        oneThread.run();
      }
    },
  });
  let twoThreads: TwoThreads | undefined;
  globalThis.addEventListener("unload", () => twoThreads?.[Symbol.dispose]());
  Deno.bench({
    ...ROUNDS,
    name: `reader and accounting in threads of their own, ${once * passes} events`,
    group,
    fn: () => {
      twoThreads ??= new TwoThreads(input);
      for (let pass = 0; pass < passes; pass++) {
        twoThreads.prepare();
        twoThreads.run();
      }
    },
  });
}
