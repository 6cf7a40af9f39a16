/**
 * The whole way of an event with a thread for the parser and one for accounting.
 *
 * @module
 */
import { attachMemory, type Memory } from "../../pipeline/memory/memory.ts";
import { invariant } from "../../pipeline/memory/invariant.ts";
import type { PipelineInput } from "./pipeline_input.ts";
import { pipelineMemory } from "./pipeline_run.ts";
import { ControlWord, type PipelineJob } from "./pipeline_worker.ts";

const THREADS = 2;
const TIMEOUT_MS = 20_000;

export class TwoThreads implements Disposable {
  readonly memory: Memory;
  private readonly control = new Int32Array(new SharedArrayBuffer(64));
  private runs = 0;

  constructor(input: PipelineInput) {
    const memory = pipelineMemory();
    this.memory = attachMemory(memory);
    const control = this.control.buffer as SharedArrayBuffer;
    for (const role of [undefined, input]) {
      const url = new URL("./pipeline_worker.ts", import.meta.url);
      const worker = new Worker(url, { type: "module" });
      worker.postMessage({ memory, control, input: role } satisfies PipelineJob);
    }
  }

  /** Before each {@link run}: waits until both are. */
  prepare(): void {
    this.wait(ControlWord.ready, (this.runs + 1) * THREADS);
  }

  /** @returns Events that went all the way. */
  run(): number {
    const { control } = this;
    this.runs++;
    Atomics.store(control, ControlWord.go, this.runs);
    Atomics.notify(control, ControlWord.go);
    this.wait(ControlWord.done, this.runs);
    return Atomics.load(control, ControlWord.events);
  }

  private wait(word: number, value: number): void {
    const deadlineMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const seen = Atomics.load(this.control, word);
      if (seen >= value) return;
      invariant(performance.now() < deadlineMs, `two threads: word ${word} stays at ${seen}`);
      Atomics.wait(this.control, word, seen, TIMEOUT_MS);
    }
  }

  /** Ends the threads. */
  [Symbol.dispose](): void {
    Atomics.store(this.control, ControlWord.go, -1);
    Atomics.notify(this.control, ControlWord.go);
  }
}
