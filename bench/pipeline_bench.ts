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

for (const [group, makeInput] of INPUTS) {
  const input = makeInput();
  const oneThread = new OneThread(input);
  const events = oneThread.run();
  Deno.bench({
    name: `one thread, ${events} events`,
    group,
    baseline: true,
    fn: (b) => {
      oneThread.prepare();
      b.start();
      oneThread.run();
      b.end();
    },
  });
  let twoThreads: TwoThreads | undefined;
  globalThis.addEventListener("unload", () => twoThreads?.[Symbol.dispose]());
  Deno.bench({
    name: `reader and accounting in threads of their own, ${events} events`,
    group,
    fn: (b) => {
      twoThreads ??= new TwoThreads(input);
      twoThreads.prepare();
      b.start();
      twoThreads.run();
      b.end();
    },
  });
}
