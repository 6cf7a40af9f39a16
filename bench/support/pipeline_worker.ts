/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * One end of the pipeline in a thread of its own: the reader's, fed from memory instead of a pipe,
 * or accounting's. They publish, ring and sleep as the real workers do.
 *
 * @module
 */
import { attachMemory, type Memory } from "../../pipeline/memory/memory.ts";
import { attachRole, BellSleeper, Doorbell } from "../../pipeline/memory/doorbell.ts";
import { Role, RoleWord } from "../../pipeline/memory/layout.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RingProducer } from "../../pipeline/memory/ring.ts";
import { InputParser, type PipelineInput } from "./pipeline_input.ts";
import { FreshAccounting } from "./pipeline_run.ts";

export interface PipelineJob {
  readonly memory: SharedArrayBuffer;
  /** {@link ControlWord} */
  readonly control: SharedArrayBuffer;
  /** What the reader reads; accounting has none. */
  readonly input: PipelineInput | undefined;
}

/** Words that the threads agree through. `go`: number of the run; -1 ends. */
export const ControlWord = { go: 0, ready: 1, parsed: 2, done: 3, events: 4 } as const;

const WAIT_MS = 1000;

function waitForRun(control: Int32Array, run: number): boolean {
  Atomics.add(control, ControlWord.ready, 1);
  Atomics.notify(control, ControlWord.ready);
  for (;;) {
    const go = Atomics.load(control, ControlWord.go);
    if (go < 0) return false;
    if (go > run) return true;
    Atomics.wait(control, ControlWord.go, go, WAIT_MS);
  }
}

function read(memory: Memory, control: Int32Array, input: PipelineInput): void {
  const ring = new RingProducer(memory.buffer, memory.plan.readerRings[0]!);
  const accounting = new Doorbell(memory, Role.accounting);
  const publish = (): void => {
    if (ring.publish() > 0) accounting.ring();
  };
  const writer = new RecordWriter(ring, () => {
    publish();
    ring.waitForRoom(WAIT_MS);
  });
  const parser = new InputParser(input, writer, publish);
  for (let run = 0; waitForRun(control, run); run++) {
    Atomics.store(control, ControlWord.events, parser.run());
    Atomics.store(control, ControlWord.parsed, run + 1);
    accounting.ring();
  }
}

function account(memory: Memory, control: Int32Array): void {
  const bell = new BellSleeper(memory, Role.accounting);
  const words = attachRole(memory, Role.accounting);
  for (let run = 0;; run++) {
    const fresh = new FreshAccounting(memory);
    if (!waitForRun(control, run)) return;
    for (;;) {
      bell.listen();
      const isParsed = Atomics.load(control, ControlWord.parsed) > run;
      if (fresh.accounting.step(0) > 0) Atomics.add(words, RoleWord.heartbeat, 1);
      else if (isParsed) break;
      else if (!fresh.accounting.ready) bell.sleep(WAIT_MS);
    }
    Atomics.store(control, ControlWord.done, run + 1);
    Atomics.notify(control, ControlWord.done);
  }
}

self.onmessage = ({ data }: MessageEvent<PipelineJob>): void => {
  const memory = attachMemory(data.memory);
  const control = new Int32Array(data.control);
  if (data.input === undefined) account(memory, control);
  else read(memory, control, data.input);
  self.close();
};
