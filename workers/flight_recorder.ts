/**
 * The flight recorder: keeps the last seconds in memory, and writes them down with each kill.
 *
 * @module
 */
import type { Memory } from "../pipeline/memory/memory.ts";
import { FlightSegments } from "../pipeline/recording/flight.ts";
import {
  fileHead,
  type Packer,
  type RecordedKill,
  type RecordingHead,
} from "../pipeline/recording/format.ts";
import { Recorder } from "../pipeline/recording/recorder.ts";
import type { FlightSpec } from "./recorder_protocol.ts";

const NS = 1e9;
/** After a kill so much more is recorded: its victim's end, and whether another had to follow. */
const AFTER_NS = NS;
/** Segments that the seconds are divided into. */
const SEGMENTS = 4;
const BYTES_MAX = 32 * 1024 * 1024;
/** Names of its own files: others in the folder are left alone. */
const FILE_NAME = /^kill-[a-z0-9-]+\.toomrec$/;

export interface FlightOptions extends FlightSpec {
  readonly memory: Memory;
  readonly packer: Packer;
  readonly nowNs: () => number;
  /** Of a file that begins at a time. */
  readonly head: (startedNs: number) => RecordingHead;
  /** What is known of processes that live. */
  readonly facts: () => readonly unknown[];
  /** Told of what goes wrong, for the log. */
  readonly tell: (message: string) => void;
}

export class FlightRecorder {
  readonly recorder: Recorder;
  private readonly options: FlightOptions;
  private readonly segments: FlightSegments;
  private readonly segmentNs: number;
  private segmentSinceNs = 0;
  /** The first kill that has no file yet, and when it gets one. */
  private killId: string | undefined;
  private dueNs = Infinity;
  private hasFailed = false;

  constructor(options: FlightOptions) {
    this.options = options;
    const { seconds } = options;
    this.segmentNs = Math.max(NS, seconds * NS / SEGMENTS);
    this.segments = new FlightSegments(seconds * NS, BYTES_MAX);
    const { memory, packer } = options;
    this.recorder = new Recorder({
      memory,
      head: options.head(options.nowNs()),
      packer,
      put: (bytes) => this.segments.put(bytes),
      onKeyframe: () => {
        this.segmentSinceNs = options.nowNs();
        this.segments.begin(this.segmentSinceNs);
        this.recorder.noteFacts(options.facts());
      },
    });
  }

  /** A kill is to be written down, with what follows within a second. */
  noteKills(kills: readonly RecordedKill[]): void {
    const first = kills[0];
    if (first === undefined || this.killId !== undefined) return;
    this.killId = first.id;
    this.dueNs = this.options.nowNs() + AFTER_NS;
  }

  /** @returns Records that came. */
  step(): number {
    const nowNs = this.options.nowNs();
    const gathered = this.recorder.step(nowNs);
    if (nowNs >= this.dueNs) this.write(nowNs);
    else if (this.killId === undefined && nowNs - this.segmentSinceNs >= this.segmentNs) {
      this.recorder.renew();
    }
    return gathered;
  }

  /** Writes down a kill that waits. */
  end(): void {
    if (this.killId !== undefined) this.write(this.options.nowNs());
  }

  private write(nowNs: number): void {
    const { dirPath, filesMax, packer, head, tell } = this.options;
    const id = this.killId!;
    this.killId = undefined;
    this.dueNs = Infinity;
    this.recorder.flush();
    try {
      Deno.mkdirSync(dirPath, { recursive: true, mode: 0o700 });
      const name = `kill-${id.replace(/[^a-z0-9-]/g, "-")}.toomrec`;
      // Nobody is to find half of a file under its name.
      const temporary = `${dirPath}/.${name}`;
      const file = Deno.openSync(temporary, {
        write: true,
        create: true,
        truncate: true,
        mode: 0o600,
      });
      try {
        for (const bytes of [fileHead(), ...this.segments.file(head, packer, nowNs)]) {
          for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
        }
      } finally {
        file.close();
      }
      Deno.renameSync(temporary, `${dirPath}/${name}`);
      this.removeOldest(dirPath, filesMax);
      this.hasFailed = false;
    } catch (error) {
      // Once, until it works again.
      if (!this.hasFailed) tell(`no recording in ${dirPath}: ${(error as Error).message}`);
      this.hasFailed = true;
    }
  }

  private removeOldest(dirPath: string, filesMax: number): void {
    const files = [...Deno.readDirSync(dirPath)]
      .filter(({ name, isFile }) => isFile && FILE_NAME.test(name))
      .map(({ name }) => `${dirPath}/${name}`)
      .map((path) => ({ path, ms: Deno.statSync(path).mtime?.getTime() ?? 0 }))
      .sort((a, b) => b.ms - a.ms || (a.path < b.path ? 1 : -1));
    for (const { path } of files.slice(filesMax)) Deno.removeSync(path);
  }
}
