/**
 * `toom run`: the daemon.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import { Errno, KernelError } from "../kernel/ffi/errno.ts";
import { pageBytes as machinePageBytes } from "../kernel/ffi/libc.ts";
import { readMemInfo } from "../kernel/proc/mem_info.ts";
import { ensureFlags, RUN_FLAGS } from "../kernel/process/relaunch.ts";
import type { LimitSpec } from "../service/config/limit_spec.ts";
import type { LoadedOptions } from "../service/lifecycle/start_over.ts";
import type { SupervisorOptions } from "../service/lifecycle/options.ts";
import type { SizeHost } from "../service/config/schema.ts";
import { ControlSocketError } from "../service/control/control_server.ts";
import { StartError } from "../service/lifecycle/errors.ts";
import { type Handover, takeHandover } from "../service/lifecycle/handover.ts";
import { History } from "../service/history/history.ts";
import { LineSink } from "../service/journal/line_sink.ts";
import { Journal } from "../service/journal/journal.ts";
import { isJournalStream, Journald } from "../service/journal/journald.ts";
import { Log } from "../service/journal/log.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { serviceManager } from "../service/lifecycle/service_manager.ts";
import { WebProcess } from "../service/lifecycle/web_process.ts";
import { Supervisor } from "../service/supervisor.ts";
import { VERSION } from "../version.ts";
import { helpText } from "./args.ts";
import {
  type CommandIo,
  errorLine,
  ExitCode,
  FailedError,
  guard,
  ProblemsError,
  UnsupportedError,
} from "./errors.ts";
import { spawnHistoryWriter } from "./spawn_history_writer.ts";
import { spawnWeb } from "./spawn_web.ts";
import { memberNames } from "../service/config/option_values.ts";
import { parseRunFlags, type RunOptions } from "./run_options.ts";
import { loadRunOptions } from "./run_config.ts";
import { RUN_COMMAND } from "./run_command.ts";
import { systemUsers } from "./users.ts";

const FLUSH_MS_MAX = 200;
/** What the last kills may take to be written down, at the end. */
const HISTORY_MS_MAX = 1000;

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
      await serve(args, handover.options as RunOptions, machineSizes(), handover);
      return ExitCode.done;
    }
    const sizes = machineSizes();
    const flags = parseRunFlags(args, { ...await systemUsers(), ...sizes });
    if (flags === undefined) {
      io.out(helpText(RUN_COMMAND));
      return ExitCode.done;
    }
    const options = await loadRunOptions(flags, sizes, true);
    requireRoot();
    ensureFlags(RUN_FLAGS);
    await serve(args, options, sizes, undefined);
    return ExitCode.done;
  });
}

function machineSizes(): SizeHost {
  return { totalMemoryBytes: readMemInfo().totalBytes, pageBytes: machinePageBytes() };
}

/** @throws {UnsupportedError} */
function requireRoot(): void {
  if (Deno.uid() === 0) return;
  throw new UnsupportedError(
    "toom run must be root: it traces and ends other users' processes",
    "run it with sudo, or as a system service",
  );
}

/**
 * @param args The words behind `toom run`, for reloads.
 * @param handover What this process was before, if it has started over.
 */
async function serve(
  args: readonly string[],
  options: RunOptions,
  sizes: SizeHost,
  handover: Handover | undefined,
): Promise<void> {
  const sink = new LineSink(Deno.stdout);
  const now = (): Date => new Date();
  const journald = systemJournal();
  const log = new Log(options.logFormat, (line, event) => {
    if (journald?.send(event, line) !== true) sink.write(line);
  }, now);
  const clock = new MonotonicClock();
  const journal = new Journal({ nowNs: () => clock.nowNs(), now }, handover?.lastNumber);
  journal.subscribe(log);
  const history = new History({
    path: options.historyPath,
    pageBytes: sizes.pageBytes,
    spawn: spawnHistoryWriter,
    tell: (message) => journal.publish({ event: "config", message }),
    nowNs: () => clock.nowNs(),
    former: handover?.history,
  });
  journal.subscribe(history);
  const end = Promise.withResolvers<string>();
  const onInterrupt = (): void => end.resolve("SIGINT");
  const onTerminate = (): void => end.resolve("SIGTERM");
  // A signal during the start counts once it is over.
  let isReloadWanted = false;
  let supervisor: Supervisor | undefined;
  let web: WebProcess | undefined;
  const onHangUp = (): void => {
    isReloadWanted = supervisor === undefined;
    void supervisor?.reload();
  };
  Deno.addSignalListener("SIGINT", onInterrupt);
  Deno.addSignalListener("SIGTERM", onTerminate);
  Deno.addSignalListener("SIGHUP", onHangUp);
  // Deno would end the process, and with it enforcement, for what nobody has waited for.
  const onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    journal.publish({ event: "error", where: "supervisor", message: messageOf(event.reason) });
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  try {
    supervisor = await Supervisor.start(
      supervisorOptions(options, sizes),
      {
        journal,
        logLosses: () => ({
          cut: log.shedTotal,
          unwritten: log.failedTotal + sink.shed + (handover?.linesShed ?? 0),
        }),
        tellShed: (all) => log.flush(all),
        flushLog: (timeoutMs) => sink.flush(timeoutMs),
        loadOptions: () => reloadedOptions(args, options.flagLimits, sizes),
        history,
        manager: serviceManager(Deno.env.toObject(), Deno.pid),
        handover,
      },
    );
    if (isReloadWanted) void supervisor.reload();
    web = webProcess(options, journal);
    await supervisor.stop(await end.promise);
  } catch (error) {
    throw startProblem(error);
  } finally {
    const webEnd = web?.stop();
    Deno.removeSignalListener("SIGINT", onInterrupt);
    Deno.removeSignalListener("SIGTERM", onTerminate);
    Deno.removeSignalListener("SIGHUP", onHangUp);
    globalThis.removeEventListener("unhandledrejection", onRejection);
    await history.stop(HISTORY_MS_MAX);
    await webEnd;
    journald?.close();
    await sink.flush(FLUSH_MS_MAX);
  }
}

/** The page, if it is wanted: started when limits are enforced. */
function webProcess(
  { webAddress: address, controlSocketPath }: RunOptions,
  journal: Journal,
): WebProcess | undefined {
  if (address === undefined) return undefined;
  const web = new WebProcess({
    address,
    controlSocketPath,
    spawn: spawnWeb,
    tell: (message) => journal.publish({ event: "config", message }),
    complain: (message) => journal.publish({ event: "error", where: "web", message }),
  });
  web.start();
  return web;
}

function supervisorOptions(options: RunOptions, { pageBytes }: SizeHost): SupervisorOptions {
  const memberText = memberNames(options.memberMask) + (options.creditsShares ? "" : "+sum");
  return { ...options, version: VERSION, memberNames: memberText, pageBytes };
}

/** What is asked for now. Never throws. */
async function reloadedOptions(
  args: readonly string[],
  limits: readonly LimitSpec[],
  sizes: SizeHost,
): Promise<LoadedOptions> {
  try {
    // Who the limits of the command line are about is known since the start.
    const flags = parseRunFlags(args, { uidOf: () => undefined, ...sizes }, limits)!;
    return { options: supervisorOptions(await loadRunOptions(flags, sizes, false), sizes) };
  } catch (error) {
    return { problems: error instanceof ProblemsError ? error.lines : [errorLine(error)] };
  }
}

/** systemd's journal, where standard output goes there; undefined: it does not. */
function systemJournal(): Journald | undefined {
  try {
    const isJournal = isJournalStream(Deno.env.toObject(), Deno.statSync("/proc/self/fd/1"));
    return isJournal ? new Journald(() => performance.now()) : undefined;
  } catch {
    return undefined; // Nobody has the other end.
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
