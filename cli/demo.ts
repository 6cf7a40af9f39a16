/**
 * `toom demo`: two hogs and a neighbour; one of the hogs has a limit. All of them, and the toom
 * that watches, are this same program, so that the compiled one needs nothing beside it.
 *
 * @module
 */
import { nameOf } from "../kernel/users/passwd.ts";
import { ProcReader } from "../kernel/proc/proc.ts";
import { ProcStatus } from "../pipeline/ports.ts";
import { findTracefs } from "../kernel/trace/tracefs.ts";
import { formatBytes } from "../pipeline/limits/units.ts";
import type { StatusReport, UserReport } from "../service/control/control_api.ts";
import type { JournalEvent, KilledEvent, KillEvent } from "../service/journal/events.ts";
import { type CommandSpec, helpText, parseCommand } from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { replayDemo } from "./demo_replay.ts";
import { type Actor, Stage } from "./demo_stage.ts";
import {
  type CommandIo,
  errorLine,
  ExitCode,
  FailedError,
  guard,
  UnsupportedError,
} from "./errors.ts";

const MIB = 2 ** 20;
const LIMIT_BYTES = 64 * MIB;
/** In all. Deno alone uses 10 to 26 MiB of them, and there must be room for the hog to be larger. */
const NEIGHBOUR_BYTES = 24 * MIB;
const HOG_BYTES = 1024 * MIB;
const FREE_HOG_BYTES = 256 * MIB;
const UID_FIRST = 60100;
const UID_LAST = 60999;
const PIDS_MAX = 1 << 17;
const POLL_MS = 20;
/** So much later than the kill a second one would have come. */
const AFTERMATH_MS = 100;

export const DEMO_COMMAND: CommandSpec = {
  name: "toom demo",
  summary: "See toom kill the right process: a hog that has a limit, and not its neighbours.",
  options: [],
  notes: ["Needs root and tracefs. Without them it replays a capture instead."],
};

/** Why toom cannot run here, though it could elsewhere. */
class CannotTraceError extends Error {}

/**
 * `toom demo`.
 *
 * @param args The words behind `toom demo`.
 * @returns The exit code: done when the hog and nothing else died. All errors have become lines of
 *   `io.err`.
 */
export async function demoCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    if (parseCommand(DEMO_COMMAND, args).help) {
      io.out(helpText(DEMO_COMMAND));
      return ExitCode.done;
    }
    try {
      checkTracing();
      await liveDemo(io.out);
    } catch (error) {
      if (!(error instanceof CannotTraceError)) throw error;
      io.out(`toom demo: ${errorLine(error)}; so this is the replay of a capture`);
      replayDemo(LIMIT_BYTES, io.out);
    }
    return ExitCode.done;
  });
}

/** @throws {CannotTraceError} */
function checkTracing(): void {
  if (Deno.uid() !== 0) {
    throw new CannotTraceError("only root can trace and kill others' processes (try sudo)");
  }
  let path: string;
  try {
    path = `${findTracefs()}/events/kmem/rss_stat`;
  } catch (error) {
    throw new CannotTraceError(`no tracefs here: ${errorLine(error)}`, { cause: error });
  }
  try {
    Deno.statSync(path);
  } catch (error) {
    throw new CannotTraceError(`no tracepoint kmem:rss_stat here (${path})`, { cause: error });
  }
}

async function liveDemo(out: (line: string) => void): Promise<void> {
  const startedMs = performance.now();
  const [limitedUid, freeUid] = scratchUids();
  const stage = new Stage();
  try {
    const daemon = await Daemon.start(stage, limitedUid);
    const cast = await Cast.start(stage, limitedUid, freeUid);
    await daemon.sees(cast);
    out(`toom watches: uid ${limitedUid} may use ${formatBytes(LIMIT_BYTES)}, others are free`);
    out(`  neighbour  ${cast.neighbour.label}  uses ${formatBytes(cast.neighbourBytes)}`);
    out(
      `  hog        ${cast.hog.label}  uses ${formatBytes(cast.hogBytes)}, ` +
        `takes up to ${formatBytes(HOG_BYTES)} at full speed`,
    );
    out(`  other hog  ${cast.freeHog.label}  uses ${formatBytes(cast.freeBytes)}, has no limit`);
    await cast.letLoose();
    const { kill, killed } = await daemon.kill();
    await stage.sleep(AFTERMATH_MS);
    const neighbourBytes = await cast.neighbour.tell();
    const freeBytes = await cast.freeHog.tell();
    const { kills, users, pageBytes } = await daemon.status();
    const peakBytes = (users.find(({ uid }) => uid === limitedUid)?.peakPages ?? 0) * pageBytes;

    out(
      `toom killed pid ${kill.pid} (${cast.nameOf(kill.pid)}) ` +
        `${Math.round(kill.latencyUs)} µs after the page that passed the limit`,
    );
    out(
      `  uid ${limitedUid} used ${formatBytes(kill.usagePages * pageBytes)} then, ` +
        `${formatBytes(kill.overshootBytes)} too much, and ${formatBytes(peakBytes)} at most`,
    );
    out(
      `  the victim used ${formatBytes(kill.victimPages * pageBytes)}; it was gone and ` +
        `${formatBytes(killed.freedBytes)} free ${(killed.exitUs / 1000).toFixed(1)} ms later`,
    );
    out(`  neighbour  ${fate(neighbourBytes)}`);
    out(`  other hog  ${fate(freeBytes)}`);
    if (
      kill.pid !== cast.hog.pid || kills.total !== 1 || neighbourBytes === undefined ||
      freeBytes === undefined
    ) {
      throw new FailedError("toom demo: the hog and nothing else should have died");
    }
  } finally {
    await stage.close();
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  out(`the hog died, and nothing else did; all is cleaned up after ${seconds} s`);
}

function fate(usedBytes: number | undefined): string {
  return usedBytes === undefined ? "DIED" : `lives, uses ${formatBytes(usedBytes)}`;
}

/** Two uids that nobody uses: no name, and no process. */
function scratchUids(): [number, number] {
  const proc = new ProcReader();
  const status = new ProcStatus();
  const pids = new Int32Array(PIDS_MAX);
  const count = proc.listPids(pids);
  const used = new Set<number>();
  for (let i = 0; i < count; i++) {
    if (proc.readStatus(pids[i]!, status)) used.add(status.realUid);
  }
  const found: number[] = [];
  for (let uid = UID_FIRST; uid <= UID_LAST && found.length < 2; uid++) {
    if (!used.has(uid) && nameOf(uid) === undefined) found.push(uid);
  }
  const [first, second] = found;
  if (first === undefined || second === undefined) {
    throw new FailedError(`toom demo: found no two unused uids from ${UID_FIRST} to ${UID_LAST}`);
  }
  return [first, second];
}

/** `toom run`. */
class Daemon {
  private readonly stage: Stage;
  private readonly actor: Actor;
  private readonly uid: number;
  private readonly socketPath: string;

  /**
   * @throws {CannotTraceError} When it cannot run here.
   * @throws {UnsupportedError} When there is another one.
   */
  static async start(stage: Stage, uid: number): Promise<Daemon> {
    const daemon = new Daemon(stage, uid);
    await daemon.event("ready");
    return daemon;
  }

  private constructor(stage: Stage, uid: number) {
    const { dirPath } = stage;
    this.stage = stage;
    this.uid = uid;
    this.socketPath = `${dirPath}/control.sock`;
    this.actor = stage.start([
      "run",
      // Not that of the machine: the demo is about two users.
      "--config=none",
      `--limit=${uid}=${LIMIT_BYTES}`,
      "--log-format=json",
      `--state-dir=${dirPath}/state`,
      `--control-socket=${this.socketPath}`,
    ], "SIGTERM");
  }

  /** The next log event of a kind; others are passed over. */
  private async event<Name extends JournalEvent["event"]>(
    name: Name,
  ): Promise<Extract<JournalEvent, { event: Name }>> {
    for (;;) {
      const line = await this.actor.line(`"${name}" in the log of toom run`);
      if (line === undefined) throw await this.ended();
      const event = JSON.parse(line) as JournalEvent;
      if (event.event === name) return event as Extract<JournalEvent, { event: Name }>;
    }
  }

  private async ended(): Promise<Error> {
    const { code } = await this.actor.status;
    const reason = await this.actor.complaint();
    if (code !== ExitCode.unsupported) {
      return new FailedError(`toom run ended (${code}): ${reason}`);
    }
    if (!reason.startsWith("another toom")) return new CannotTraceError(reason);
    return new UnsupportedError(reason.split(": ", 1)[0]!, "stop it first, then try again");
  }

  async status(): Promise<StatusReport> {
    using client = new ControlClient(this.socketPath);
    return await client.status();
  }

  /** Waits until toom knows of the user's processes and their memory. */
  async sees(cast: Cast): Promise<void> {
    const deadlineMs = performance.now() + 30_000;
    // What a garbage collector does meanwhile makes no difference.
    const leastBytes = 0.9 * (cast.neighbourBytes + cast.hogBytes);
    for (;;) {
      const { users, pageBytes, degraded } = await this.stage.within(this.status(), "toom status");
      const user = users.find(({ uid }) => uid === this.uid);
      if (!degraded && user?.processes === 2 && user.usagePages * pageBytes >= leastBytes) return;
      if (performance.now() > deadlineMs) throw notSeen(user, pageBytes, leastBytes);
      await this.stage.sleep(POLL_MS);
    }
  }

  /** The kill, and the end of who was killed. */
  async kill(): Promise<{ kill: KillEvent; killed: KilledEvent }> {
    const kill = await this.event("kill");
    for (;;) {
      const killed = await this.event("killed");
      if (killed.pid === kill.pid) return { kill, killed };
    }
  }
}

function notSeen(user: UserReport | undefined, pageBytes: number, leastBytes: number): FailedError {
  const seen = user === undefined
    ? "no process of it"
    : `${user.processes} processes with ${formatBytes(user.usagePages * pageBytes)}`;
  return new FailedError(
    `toom demo: the user's 2 processes use ${formatBytes(leastBytes)} at least, toom sees ${seen}`,
  );
}

/** `toom demo-process`. */
class DemoProcess {
  readonly name: string;
  readonly uid: number;
  private readonly actor: Actor;

  constructor(stage: Stage, name: string, uid: number) {
    this.name = name;
    this.uid = uid;
    this.actor = stage.start(["demo-process", String(uid)], "SIGKILL");
  }

  get pid(): number {
    return this.actor.pid;
  }

  get label(): string {
    return `pid ${this.pid} of uid ${this.uid}`;
  }

  /** Its next answer, in bytes; undefined when it has died. */
  async answer(): Promise<number | undefined> {
    const line = await this.actor.line(`the ${this.name} to answer`);
    return line === undefined ? undefined : Number(line.split(" ")[1]);
  }

  /** What it uses, once it has started. */
  async ready(): Promise<number> {
    return this.alive(await this.answer());
  }

  async use(bytes: number): Promise<number> {
    await this.actor.say(`use ${bytes}`);
    return this.alive(await this.answer());
  }

  async tell(): Promise<number | undefined> {
    await this.actor.say("tell");
    return await this.answer();
  }

  /** Makes it take so much, and waits for its death. */
  async useToDeath(bytes: number): Promise<void> {
    await this.actor.say(`use ${bytes}`);
    const used = await this.answer();
    if (used !== undefined) {
      throw new FailedError(`toom demo: toom let the ${this.name} use ${formatBytes(used)}`);
    }
    const { code, signal } = await this.actor.status;
    if (signal === "SIGKILL") return;
    throw new FailedError(`toom demo: the ${this.name} ended by itself (${signal ?? code})`);
  }

  private async alive(answer: number | undefined): Promise<number> {
    if (answer !== undefined) return answer;
    const { code, signal } = await this.actor.status;
    const reason = await this.actor.complaint();
    throw new FailedError(
      `toom demo: the ${this.name} died too early (${signal ?? code}) ${reason}`.trimEnd(),
    );
  }
}

/** The three that use memory. */
class Cast {
  readonly neighbour: DemoProcess;
  readonly hog: DemoProcess;
  readonly freeHog: DemoProcess;
  neighbourBytes = 0;
  hogBytes = 0;
  freeBytes = 0;

  /** @returns When all but the hog use what they are meant to. */
  static async start(stage: Stage, limitedUid: number, freeUid: number): Promise<Cast> {
    const cast = new Cast(stage, limitedUid, freeUid);
    const { neighbour, hog, freeHog } = cast;
    cast.hogBytes = await hog.ready();
    await neighbour.ready();
    await freeHog.ready();
    cast.neighbourBytes = await neighbour.use(NEIGHBOUR_BYTES);
    cast.freeBytes = await freeHog.use(FREE_HOG_BYTES);
    return cast;
  }

  private constructor(stage: Stage, limitedUid: number, freeUid: number) {
    this.neighbour = new DemoProcess(stage, "neighbour", limitedUid);
    this.hog = new DemoProcess(stage, "hog", limitedUid);
    this.freeHog = new DemoProcess(stage, "other hog", freeUid);
  }

  async letLoose(): Promise<void> {
    await this.hog.useToDeath(HOG_BYTES);
  }

  nameOf(pid: number): string {
    const all = [this.neighbour, this.hog, this.freeHog];
    return all.find((one) => one.pid === pid)?.name ?? "a stranger";
  }
}
