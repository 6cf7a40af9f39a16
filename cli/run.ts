/**
 * `toom run`: the daemon.
 *
 * @module
 */
import { Errno, KernelError } from "../kernel/ffi/errno.ts";
import { pageBytes as machinePageBytes } from "../kernel/ffi/libc.ts";
import { readMemInfo } from "../kernel/proc/mem_info.ts";
import { ensureFlags, RUN_FLAGS } from "../kernel/process/relaunch.ts";
import { ControlSocketError } from "../service/control/control_server.ts";
import { StartError } from "../service/lifecycle/errors.ts";
import { type Handover, takeHandover } from "../service/lifecycle/handover.ts";
import { LineSink } from "../service/journal/line_sink.ts";
import { Journal } from "../service/journal/journal.ts";
import { Log } from "../service/journal/log.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { Supervisor } from "../service/supervisor.ts";
import { VERSION } from "../version.ts";
import { helpText } from "./args.ts";
import { type CommandIo, ExitCode, FailedError, guard, UnsupportedError } from "./errors.ts";
import { memberNames } from "./option_values.ts";
import { parseRunOptions, type RunOptions } from "./run_options.ts";
import { RUN_COMMAND } from "./run_command.ts";
import { systemUsers } from "./users.ts";

const FLUSH_MS_MAX = 200;

/**
 * Runs until a signal ends it.
 *
 * @param args The words behind `toom run`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function runCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const handover = Deno.uid() === 0 ? takeHandover(VERSION) : undefined;
    if (handover !== undefined) {
      // As this same version has read them: names need not be looked up again.
      await serve(handover.options as RunOptions, machinePageBytes(), handover);
      return ExitCode.done;
    }
    const host = {
      ...await systemUsers(),
      totalMemoryBytes: readMemInfo().totalBytes,
      pageBytes: machinePageBytes(),
    };
    const options = parseRunOptions(args, host);
    if (options === undefined) {
      io.out(helpText(RUN_COMMAND));
      return ExitCode.done;
    }
    requireRoot();
    ensureFlags(RUN_FLAGS);
    await serve(options, host.pageBytes, undefined);
    return ExitCode.done;
  });
}

/** @throws {UnsupportedError} */
function requireRoot(): void {
  if (Deno.uid() === 0) return;
  throw new UnsupportedError(
    "toom run must be root: it traces and ends other users' processes",
    "run it with sudo, or as a system service",
  );
}

/** @param handover What this process was before, if it has started over. */
async function serve(
  options: RunOptions,
  pageBytes: number,
  handover: Handover | undefined,
): Promise<void> {
  const sink = new LineSink(Deno.stdout);
  const now = (): Date => new Date();
  const log = new Log(options.logFormat, (line) => sink.write(line), now);
  const clock = new MonotonicClock();
  const journal = new Journal({ nowNs: () => clock.nowNs(), now }, handover?.lastNumber);
  journal.subscribe(log);
  const end = Promise.withResolvers<string>();
  const onInterrupt = (): void => end.resolve("SIGINT");
  const onTerminate = (): void => end.resolve("SIGTERM");
  Deno.addSignalListener("SIGINT", onInterrupt);
  Deno.addSignalListener("SIGTERM", onTerminate);
  try {
    const supervisor = await Supervisor.start(
      {
        ...options,
        version: VERSION,
        memberNames: memberNames(options.memberMask) + (options.creditsShares ? "" : "+sum"),
        pageBytes,
      },
      {
        journal,
        logLosses: () => ({
          cut: log.shedTotal,
          unwritten: log.failedTotal + sink.shed + (handover?.linesShed ?? 0),
        }),
        tellShed: (all) => log.flush(all),
        flushLog: (timeoutMs) => sink.flush(timeoutMs),
        handover,
      },
    );
    await supervisor.stop(await end.promise);
  } catch (error) {
    throw startProblem(error);
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
    Deno.removeSignalListener("SIGTERM", onTerminate);
    await sink.flush(FLUSH_MS_MAX);
  }
}

/** What keeps toom from starting, as an error with the right exit code. */
function startProblem(error: unknown): unknown {
  if (error instanceof StartError) {
    return new UnsupportedError(error.message, error.mend, { cause: error });
  }
  if (error instanceof ControlSocketError) return new FailedError(error.message, { cause: error });
  if (error instanceof KernelError) {
    const denied = error.errno === Errno.EPERM || error.errno === Errno.EACCES;
    if (denied) {
      return new UnsupportedError(error.message, "see toom doctor for what is missing", {
        cause: error,
      });
    }
    return new FailedError(`${error.message} (see toom doctor)`, { cause: error });
  }
  return error;
}
