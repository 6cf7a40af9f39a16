/**
 * `toom replay`: a recording or a capture run through a policy. What would have happened?
 *
 * Needs nothing but the file: no root, no foreign functions, no permission but to read. The file
 * is read piece by piece, and what `--dump` prints is written as it comes.
 *
 * @module
 */
import { Replay, REPLAY_CAPACITY } from "../pipeline/replay/replay.ts";
import { checkOptions, helpText, parseCommand, usageError } from "./args.ts";
import type { ByteSource } from "./capture_bytes.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import { replayRaw, replayText, requireEvents } from "./replay_capture.ts";
import { isRecordingFile } from "./recording_file.ts";
import { captureOf, readLimits, REPLAY_COMMAND, ReplayOptionsSchema } from "./replay_options.ts";
import { summaryLines } from "./replay_summary.ts";
import { readableUsers } from "./users.ts";

/** Characters of `--dump` that are written with one call. */
const DUMP_BATCH_CHARACTERS = 16 * 1024;

/** Options that a capture has no use for. */
const RECORDING_ONLY = ["config", "compare", "svg"] as const;

/** What the command depends on; tests bring their own. */
export interface ReplayDependencies {
  readonly stdin?: ByteSource;
}

/**
 * `toom replay`.
 *
 * @param args The words behind `toom replay`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function replayCommand(
  args: string[],
  io: CommandIo,
  dependencies: ReplayDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    try {
      return await run(args, io, dependencies);
    } catch (error) {
      // Who read the output has seen enough, as `head` does: no reason to complain.
      if (error instanceof Deno.errors.BrokenPipe) return ExitCode.failed;
      throw error;
    }
  });
}

/** All at one pace: a slow reader of the output holds up the reading of the capture. */
async function run(
  args: string[],
  io: CommandIo,
  { stdin }: ReplayDependencies,
): Promise<ExitCode> {
  const parsed = parseCommand(REPLAY_COMMAND, args);
  if (parsed.help) {
    io.out(helpText(REPLAY_COMMAND));
    return ExitCode.done;
  }
  const options = checkOptions(REPLAY_COMMAND, ReplayOptionsSchema, parsed.options);
  const path = parsed.positionals[0];
  if (path !== undefined && options.raw === undefined && isRecordingFile(path)) {
    const { replayRecording } = await import("./replay_recording.ts");
    return await replayRecording(path, options, parsed.given, io);
  }
  for (const name of RECORDING_ONLY) {
    if (parsed.given.has(name)) {
      throw usageError(REPLAY_COMMAND, `--${name} is for what toom record has made`);
    }
  }
  const capture = captureOf(path, options);
  const batch = new DumpBatch(io);
  const replay = new Replay({
    capacity: { ...REPLAY_CAPACITY, pageBytes: options["page-bytes"] },
    countMask: options.count,
    policy: options.policy ?? options.victim,
    limits: readLimits(options, await readableUsers()),
    assumeUid: options["assume-uid"],
    dump: options.dump ? (line) => batch.add(line) : undefined,
  });
  const counts = capture.kind === "text"
    ? await replayText(replay, capture.path, options["page-bytes"], stdin ?? Deno.stdin)
    : await replayRaw(replay, capture, options["page-bytes"]);
  batch.flush();
  requireEvents(capture, counts);
  const summary = replay.summary(counts);
  if (options.json) io.out(JSON.stringify(summary));
  else if (!options.dump) {
    for (const line of summaryLines(summary, options["page-bytes"])) io.out(line);
  }
  return ExitCode.done;
}

/** Writes many lines with one call. */
class DumpBatch {
  private readonly io: CommandIo;
  private text = "";

  constructor(io: CommandIo) {
    this.io = io;
  }

  add(line: string): void {
    this.text += this.text === "" ? line : `\n${line}`;
    if (this.text.length >= DUMP_BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.text !== "") this.io.out(this.text);
    this.text = "";
  }
}
