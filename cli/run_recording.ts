/**
 * A recording run from its beginning to its end.
 *
 * @module
 */
import { RecordingReplay, type WhatIf } from "../pipeline/replay/recording_replay.ts";
import { Progress } from "./progress.ts";
import { RecordingFile } from "./recording_file.ts";

/** Others may run after so long. */
const TURN_MS = 40;

/** A recording run to its end, or to where it is damaged. */
export interface ReplayedRecording {
  readonly replay: RecordingReplay;
  /** Of the format of the file. */
  readonly version: number;
  /** Why it could not be read to its end. */
  readonly damage: string | undefined;
}

/** Told about every 40 ms how far it is, 0 to 1; throws what is to end it. */
export type OnTurn = (share: number) => void;

/**
 * @param whatIf Other settings, by the page size of the recording; undefined: its own.
 * @param onTurn Left out: a bar on standard error, where that is a terminal.
 * @throws {FailedError} When the file is no recording.
 */
export async function runRecording(
  path: string,
  whatIf: (pageBytes: number) => Promise<WhatIf> | WhatIf | undefined,
  onTurn?: OnTurn,
): Promise<ReplayedRecording> {
  using file = new RecordingFile(path);
  const replay = new RecordingReplay(file.head, await whatIf(file.head.pageBytes));
  const progress = new Progress("replaying");
  let damage: string | undefined;
  let turnMs = performance.now();
  try {
    for (let chunk = file.next(); chunk !== undefined; chunk = file.next()) {
      try {
        replay.take(chunk);
      } catch (error) {
        // Its checksum is right: another toom has made it, or it was forged.
        damage = `${(error as Error).message}, before byte ${file.readBytes} of ${file.totalBytes}`;
        break;
      }
      if (performance.now() - turnMs < TURN_MS) continue;
      const share = file.readBytes / file.totalBytes;
      if (onTurn === undefined) progress.show(share);
      else onTurn(share);
      await new Promise((resolve) => setTimeout(resolve, 0));
      turnMs = performance.now();
    }
  } finally {
    progress.end();
  }
  replay.end();
  return { replay, version: file.version, damage: damage ?? file.damage };
}
