/**
 * What the supervisor and the recorder's thread say to each other.
 *
 * @module
 */
import type { RecordedKill, RecordingHead } from "../pipeline/recording/format.ts";

/** The last seconds before each kill, written into a folder. */
export interface FlightSpec {
  readonly seconds: number;
  readonly dirPath: string;
  /** Files that are kept, the newest. */
  readonly filesMax: number;
}

export interface RecorderInit {
  readonly memory: SharedArrayBuffer;
  readonly head: RecordingHead;
  /** It runs on these CPUs; empty: any. */
  readonly cpus: readonly number[];
  readonly flight: FlightSpec | undefined;
}

export type ToRecorder =
  | { readonly is: "begin"; readonly id: number }
  /** A client has got so many bytes. */
  | { readonly is: "taken"; readonly id: number; readonly bytes: number }
  | { readonly is: "kills"; readonly kills: readonly RecordedKill[] }
  /** @property isWanted Somebody takes the end of it. */
  | { readonly is: "end"; readonly id: number; readonly isWanted: boolean }
  | { readonly is: "stop" };

export type FromRecorder =
  | { readonly is: "chunk"; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly is: "ended"; readonly id: number }
  | { readonly is: "told"; readonly message: string };
