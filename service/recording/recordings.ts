/**
 * Recordings of what the daemon does: a stream for each client, and the flight recorder. A thread of its
 * own makes them, which lives while there is one. Nothing of it can delay or prevent a kill.
 *
 * @module
 */
import { onlineCpus } from "../../kernel/process/online_cpus.ts";
import { marginPages } from "../../pipeline/limits/urgency.ts";
import { HeaderWord } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { RecordedKill, RecordingHead } from "../../pipeline/recording/format.ts";
import type {
  FlightSpec,
  FromRecorder,
  RecorderInit,
  ToRecorder,
} from "../../workers/recorder_protocol.ts";
import type { OpenRecording } from "../control/control_api.ts";
import type { Journal, JournalEntry, Subscriber } from "../journal/journal.ts";

/** Clients at one time. */
export const RECORDINGS_MAX = 8;
/** A thread without anybody to record for ends after this. */
const IDLE_MS = 1000;

export interface RecordingsOptions {
  readonly memory: Memory;
  readonly toomVersion: string;
  readonly source: RecordingHead["source"];
  readonly flight: FlightSpec | undefined;
  /** CPUs of threads that are not on the path of an event; empty: any. */
  readonly otherCpus: readonly number[];
  readonly journal: Journal;
}

interface Client {
  readonly controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  /** Chunks that the client has not asked for yet. */
  readonly waiting: Uint8Array<ArrayBuffer>[];
  isEnding: boolean;
  isDone: boolean;
}

export class Recordings implements Subscriber {
  readonly name = "recordings";
  private readonly options: RecordingsOptions;
  private readonly clients = new Map<number, Client>();
  private worker: Worker | undefined;
  private lastId = 0;
  /** Of HeaderWord.recording: raised with each recording. */
  private number = 0;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RecordingsOptions) {
    this.options = options;
  }

  /** Starts the flight recorder, if there is to be one. */
  start(): void {
    if (this.options.flight === undefined) return;
    this.mark();
    this.spawn();
  }

  /** Kills go into recordings as they were told of. */
  take({ event, monotonicNs }: JournalEntry): void {
    if (event.event !== "kill" || this.worker === undefined) return;
    const { id, uid, pid, comm, trigger, usagePages, hardPages, victimPages, dryRun } = event;
    const kill: RecordedKill = {
      id,
      tsNs: monotonicNs,
      uid,
      pid,
      comm,
      trigger,
      usagePages,
      hardPages,
      victimPages,
      dryRun,
    };
    this.send({ is: "kills", kills: [kill] });
  }

  /** Begins a recording; undefined when there are too many. */
  begin(): OpenRecording | undefined {
    if (this.clients.size >= RECORDINGS_MAX) return undefined;
    const id = ++this.lastId;
    this.mark();
    const worker = this.worker ?? this.spawn();
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.clients.set(id, { controller, waiting: [], isEnding: false, isDone: false });
      },
      pull: () => this.give(id),
      cancel: () => this.drop(id),
    }, { highWaterMark: 1 });
    post(worker, { is: "begin", id });
    return { id, stream };
  }

  /** Ends a recording: its stream ends with the tail. @returns false: there is none of that number. */
  end(id: number): boolean {
    const client = this.clients.get(id);
    if (client === undefined) return false;
    if (!client.isEnding) this.send({ is: "end", id, isWanted: true });
    client.isEnding = true;
    return true;
  }

  /** Ends all; what was recorded is cut there. */
  close(): void {
    clearTimeout(this.idle);
    for (const [id, { controller }] of [...this.clients]) {
      this.clients.delete(id);
      closeStream(controller);
    }
    Atomics.store(this.options.memory.header, HeaderWord.recording, 0);
    this.send({ is: "stop" });
    this.worker = undefined;
  }

  /** Accounting and killer write down what they do from here on. */
  private mark(): void {
    clearTimeout(this.idle);
    this.number = (this.number + 1) | 0 || 1;
    Atomics.store(this.options.memory.header, HeaderWord.recording, this.number);
  }

  private spawn(): Worker {
    const { memory, otherCpus: cpus, flight } = this.options;
    // A literal, so that `deno compile` finds it.
    const worker = new Worker(new URL("../../workers/recorder.ts", import.meta.url), {
      type: "module",
      name: "recorder",
    });
    this.worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromRecorder>) => this.hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.worker === worker) this.failed(event.message);
    };
    const init: RecorderInit = { memory: memory.buffer, head: this.head(), cpus, flight };
    worker.postMessage(init);
    return worker;
  }

  private head(): RecordingHead {
    const { memory, toomVersion, source } = this.options;
    const { capacity } = memory.plan;
    return {
      toomVersion,
      startedAt: "",
      startedNs: 0,
      source,
      ...capacity,
      marginPages: marginPages(onlineCpus(), capacity.pageBytes),
      kernel: Deno.osRelease(),
    };
  }

  private send(message: ToRecorder): void {
    if (this.worker !== undefined) post(this.worker, message);
  }

  private hear(message: FromRecorder): void {
    switch (message.is) {
      case "chunk":
        this.clients.get(message.id)?.waiting.push(message.bytes);
        this.give(message.id);
        break;
      case "ended": {
        const client = this.clients.get(message.id);
        if (client !== undefined) client.isDone = true;
        this.give(message.id);
        break;
      }
      case "told":
        this.options.journal.publish({
          event: "error",
          where: "recording",
          message: message.message,
        });
        break;
    }
  }

  /** As much as the client wants. */
  private give(id: number): void {
    const client = this.clients.get(id);
    if (client === undefined) return;
    const { controller, waiting } = client;
    while (waiting.length > 0 && (controller.desiredSize ?? 0) > 0) {
      const bytes = waiting.shift()!;
      this.send({ is: "taken", id, bytes: bytes.length });
      controller.enqueue(bytes);
    }
    if (waiting.length > 0 || !client.isDone) return;
    this.clients.delete(id);
    closeStream(controller);
    this.rest();
  }

  /** The client has gone. */
  private drop(id: number): void {
    if (!this.clients.delete(id)) return;
    this.send({ is: "end", id, isWanted: false });
    this.rest();
  }

  /** Nobody may be left. */
  private rest(): void {
    if (this.clients.size > 0 || this.options.flight !== undefined) return;
    clearTimeout(this.idle);
    Atomics.store(this.options.memory.header, HeaderWord.recording, 0);
    this.idle = setTimeout(() => {
      this.send({ is: "stop" });
      this.worker = undefined;
    }, IDLE_MS);
  }

  private failed(reason: string): void {
    const message = `recordings end: ${reason}`;
    this.options.journal.publish({ event: "error", where: "recording", message });
    this.worker?.terminate();
    this.worker = undefined;
    for (const [id, { controller }] of [...this.clients]) {
      this.clients.delete(id);
      closeStream(controller);
    }
    Atomics.store(this.options.memory.header, HeaderWord.recording, 0);
  }
}

function post(worker: Worker, message: ToRecorder): void {
  worker.postMessage(message);
}

function closeStream(controller: ReadableStreamDefaultController): void {
  try {
    controller.close();
  } catch {
    // It is closed.
  }
}
