/**
 * `toom history-writer`: the process that writes the history; see ../service/history/writer.ts. Only for
 * `toom run` to call.
 *
 * @module
 */
import { writeHistory } from "../service/history/writer.ts";
import { beOrdinary } from "./be_ordinary.ts";
import { type CommandIo, ExitCode, guard, UsageError } from "./errors.ts";
import { linesOf } from "./spawn_history_writer.ts";

/**
 * `toom history-writer`.
 *
 * @param args The words behind `toom history-writer`: none.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function historyWriterCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    if (args.length > 0) {
      throw new UsageError(
        "toom history-writer: expected no words; it is only for toom run to call",
      );
    }
    beOrdinary();
    const lines = linesOf(Deno.stdin.readable);
    await writeHistory(lines, io.out);
    return ExitCode.done;
  });
}
