/**
 * The daemon's end of the process that writes the history: started when there is something to write,
 * ended when there was nothing for a while, killed when it does not answer.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import type { HistoryBatch } from "./batch.ts";
import type { WriterAnswer, WriterInit } from "./protocol.ts";

/** A process that takes lines and answers with lines. */
export interface WriterProcess {
  /** Resolves when the line is on its way; rejects when the process is gone. */
  readonly send: (line: string) => Promise<void>;
  /** The next line of its answers; undefined: it has ended. */
  readonly next: () => Promise<string | undefined>;
  /** Ends its input: it writes what it has and ends. */
  readonly finish: () => void;
  readonly kill: () => void;
  /** Never rejects. */
  readonly ended: Promise<void>;
}
export type SpawnWriter = () => WriterProcess;

/** A batch takes milliseconds; the first waits for the process to start, and to look the file over. */
const ANSWER_MS_MAX = 60_000;
/** Then the process ends, and its memory is free. */
const REST_MS = 2000;
/** What its end may take at the end of the daemon. */
const END_MS_MAX = 300;

export class WriterLink {
  private readonly spawn: SpawnWriter;
  private readonly init: WriterInit;
  private process: WriterProcess | undefined;
  private number = 0;
  private resting: ReturnType<typeof setTimeout> | undefined;

  constructor(spawn: SpawnWriter, init: WriterInit) {
    this.spawn = spawn;
    this.init = init;
  }

  /** Has a batch written; one at a time. Never rejects. */
  async write(batch: HistoryBatch): Promise<Omit<WriterAnswer, "number">> {
    clearTimeout(this.resting);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<WriterAnswer>((resolve) => {
      timer = setTimeout(() => {
        resolve({ number: 0, problem: `no answer within ${ANSWER_MS_MAX / 1000} s` });
      }, ANSWER_MS_MAX);
    });
    try {
      const answer = await Promise.race([this.ask(batch), silence]);
      if (answer.number === 0) this.drop();
      return answer;
    } catch (error) {
      this.drop();
      return { problem: messageOf(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  private async ask(batch: HistoryBatch): Promise<WriterAnswer> {
    const number = ++this.number;
    let process = this.process;
    if (process === undefined) {
      process = this.process = this.spawn();
      await process.send(JSON.stringify(this.init));
    }
    await process.send(JSON.stringify({ number, ...batch }));
    for (;;) {
      const line = await process.next();
      if (line === undefined) return { number: 0, problem: "the process that writes has ended" };
      const answer = JSON.parse(line) as WriterAnswer;
      if (answer.number === number) return answer;
    }
  }

  /** There is nothing to write for now. */
  rest(): void {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.process?.finish();
      this.process = undefined;
    }, REST_MS);
  }

  /** The process answers no more: another one takes its place the next time. */
  private drop(): void {
    this.process?.kill();
    this.process = undefined;
  }

  /** Ends the process, in {@link END_MS_MAX} at most. */
  async end(): Promise<void> {
    clearTimeout(this.resting);
    const { process } = this;
    if (process === undefined) return;
    this.process = undefined;
    process.finish();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, END_MS_MAX));
    await Promise.race([process.ended, timeout]);
    clearTimeout(timer);
  }
}
