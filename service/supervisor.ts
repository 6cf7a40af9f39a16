/**
 * The supervisor: starts the daemon's parts (parts.ts), watches over them, starts all over when a
 * worker hangs, and stops. Nothing here is on the path from an event to a kill.
 *
 * @module
 */
import { CounterIndex, Role, roleName } from "../pipeline/memory/layout.ts";
import { attachCounters } from "../pipeline/memory/memory.ts";
import { WATCH_TURN_MS } from "../pipeline/memory/timing.ts";
import { trimHeap } from "../kernel/process/heap.ts";
import type { HeldLock } from "../kernel/process/lock.ts";
import { readMemInfo } from "../kernel/proc/mem_info.ts";
import type { StatusReport } from "./control/control_api.ts";
import { ControlServer } from "./control/control_server.ts";
import { controlBackend } from "./control_backend.ts";
import { keepOff } from "./lifecycle/cpu_choice.ts";
import { messageOf } from "./lifecycle/errors.ts";
import { holdMachineLock } from "./lifecycle/machine_lock.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { Periodic } from "./lifecycle/periodic.ts";
import { dropStart, lockInMemory } from "./lifecycle/protection.ts";
import { firstSweep } from "./lifecycle/shared_memory.ts";
import type { StartOverState, SupervisorHost } from "./lifecycle/start_over.ts";
import { calm, hurryAlone } from "./lifecycle/start_priority.ts";
import type { OnHang } from "./lifecycle/worker_watch.ts";
import { LimitState } from "./limits/state_file.ts";
import { openParts, type Parts } from "./parts.ts";
import { daemonStatus } from "./status/daemon_status.ts";
import { EventRate } from "./status/event_rate.ts";
import { limitedUids } from "./status/memory_report.ts";

const LOOK_EVERY_MS = 1000;
/** Memory that was freed goes back to the kernel this often. */
const TRIM_EVERY_MS = 10_000;
const PING_MS_MAX = 2000;
const REHEARSE_MS_MAX = 5000;
/** By then all that only the start needs has run. */
const SETTLED_MS = 5000;
/** All must have stopped within a second. */
const STOP_MS_MAX = 600;

export class Supervisor {
  private readonly options: SupervisorOptions;
  private readonly host: SupervisorHost;
  private readonly lock: HeldLock;
  /** Closes what is open, the newest first. */
  private readonly open: AsyncDisposableStack;
  private readonly parts: Parts;
  private readonly rate = new EventRate();
  private readonly periodic: Periodic;
  private readonly startedMs = performance.now();
  private control: ControlServer | undefined;
  private isClosed = false;

  /**
   * Starts toom. When this returns, limits are enforced.
   *
   * @throws {StartError} When it cannot run here, with the mend.
   */
  static async start(options: SupervisorOptions, host: SupervisorHost): Promise<Supervisor> {
    const { handover, journal } = host;
    const lock = holdMachineLock(handover?.fds.lock);
    const open = new AsyncDisposableStack();
    try {
      if (lock.mended !== undefined) journal.publish({ event: "config", message: lock.mended });
      const state = await LimitState.open({
        dirPath: options.stateDirPath,
        base: options.limits,
        pageBytes: options.pageBytes,
        now: () => new Date(),
        ...(handover === undefined ? {} : { overrides: handover.overrides }),
      });
      const hangs: OnHang = (...args) => supervisor.startAnew(...args);
      const parts = openParts(options, host, state, open, hangs);
      const supervisor = new Supervisor(options, host, lock, open, parts);
      open.defer(() => supervisor.close());
      await supervisor.run();
      return supervisor;
    } catch (error) {
      await open.disposeAsync();
      lock.release();
      throw error;
    }
  }

  private constructor(
    options: SupervisorOptions,
    host: SupervisorHost,
    lock: HeldLock,
    open: AsyncDisposableStack,
    parts: Parts,
  ) {
    this.options = options;
    this.host = host;
    this.lock = lock;
    this.open = open;
    this.parts = parts;
    const { watch, reports, limits } = parts;
    this.periodic = new Periodic([
      { everyMs: 0, run: () => watch.check() },
      { everyMs: 0, run: () => reports.drain() },
      { everyMs: 0, run: (nowMs) => limits.tick(nowMs) },
      { everyMs: LOOK_EVERY_MS, run: (nowMs) => this.look(nowMs) },
      { everyMs: TRIM_EVERY_MS, run: trimHeap },
    ], () => performance.now());
  }

  private async run(): Promise<void> {
    const { host: { handover }, options, parts } = this;
    const { limits, watch, tracing, reports, memory, startOver, config } = parts;
    const isFirst = handover === undefined;
    limits.begin(performance.now());
    tracing.announce(this.host.journal);
    if (isFirst) limits.announce();
    else void limits.announceAgain();
    await watch.startAll();
    keepOff(config);
    if (!isFirst) hurryAlone();
    await watch.ping(Role.coordinator, PING_MS_MAX);
    this.periodic.start(WATCH_TURN_MS);
    void reports.follow();
    await firstSweep(memory);
    startOver.tell();
    this.control = await this.openControl();
    await this.settle(!isFirst);
    if (!isFirst) calm();
    const settling = setTimeout(() => {
      void this.settle(false, true);
    }, SETTLED_MS);
    this.open.defer(() => clearTimeout(settling));
    this.host.journal.publish({
      event: "ready",
      version: options.version,
      pid: Deno.pid,
      source: tracing.source,
      readers: options.readerCount,
      limits: limits.list().length,
      counted: options.memberNames,
      victim: options.victim,
      dryRun: options.dryRun,
      controlSocket: options.controlSocketPath,
      tmallocSocket: this.tmallocSocketPath,
      startMs: Math.round(performance.now() - this.startedMs),
    });
  }

  private async openControl(): Promise<ControlServer> {
    const { options, parts: { limits, watch }, host: { journal, handover } } = this;
    const controlOptions = {
      socketPath: options.controlSocketPath,
      backend: controlBackend(limits, watch, () => this.status()),
      totalMemoryBytes: readMemInfo().totalBytes,
      pageBytes: options.pageBytes,
      softDefault: options.softDefault,
      debugFaults: options.debugFaults,
      onError: (error: unknown) =>
        journal.publish({ event: "error", where: "control", message: messageOf(error) }),
    };
    const former = handover?.fds.control;
    return former === undefined
      ? await ControlServer.start(controlOptions)
      : await ControlServer.adopt(former, controlOptions);
  }

  /** Small, and with the way to a kill at hand. Once more when the start is really over. */
  private async settle(isUrgent: boolean, isLast = false): Promise<void> {
    dropStart(isUrgent);
    if (isLast) lockInMemory(this.parts.memory, this.parts.tell);
    await this.parts.watch.rehearse(REHEARSE_MS_MAX);
  }

  /** Once a second. */
  private look(nowMs: number): void {
    this.rate.update(
      nowMs,
      attachCounters(this.parts.memory, Role.accounting)[CounterIndex.events]!,
    );
    // So that a kill finds the name: it does not wait for one.
    this.parts.names.expect(limitedUids(this.parts.memory));
    this.parts.shed.check(nowMs);
    this.host.tellShed(false);
  }

  private status(): StatusReport {
    const { options, rate, parts } = this;
    return daemonStatus({
      options,
      source: parts.tracing.source,
      tmallocSocketPath: this.tmallocSocketPath,
      memory: parts.memory,
      limits: parts.limits,
      names: parts.names,
      rate,
      watch: parts.watch,
      startOver: parts.startOver,
      shed: parts.shed,
      journal: this.host.journal,
    });
  }

  /** null: not served. */
  private get tmallocSocketPath(): string | null {
    return this.parts.tmalloc === undefined ? null : this.options.tmallocSocketPath!;
  }

  private kills(): number {
    const counters = attachCounters(this.parts.memory, Role.killer);
    return this.parts.startOver.formerKills + counters[CounterIndex.kills]!;
  }

  // ------------------------------------------------------------------------------ start over, stop

  private startAnew(role: string, reason: string, silentMs: number): void {
    const prepare = (): void => {
      this.parts.reports.drain();
      this.host.tellShed(true);
    };
    void this.parts.startOver.begin(role, reason, silentMs, prepare, () => this.startOverState());
  }

  /** What the next program is told; undefined when there is to be none. */
  private startOverState(): StartOverState | undefined {
    const { options, parts: { tracing, tmalloc, watch, limits } } = this;
    if (this.isClosed) return undefined;
    return {
      version: options.version,
      options,
      overrides: limits.listOverrides(),
      controlSocketPath: this.control === undefined ? undefined : options.controlSocketPath,
      fds: {
        lock: this.lock.fd,
        instances: [tracing.events.ownerFd, tracing.logins.ownerFd],
        tmalloc: tmalloc === undefined
          ? undefined
          : { listenFd: tmalloc.listenFd, streamListenFd: tmalloc.streamListenFd },
      },
      restarts: Object.fromEntries(
        watch.reports().map((one) => [roleName(one.role), one.restarts]),
      ),
      kills: this.kills(),
    };
  }

  /** Stops everything within a second. */
  async stop(reason: string): Promise<void> {
    await this.open.disposeAsync();
    this.host.journal.publish({
      event: "stop",
      reason,
      uptimeSeconds: Math.round(this.parts.startOver.uptimeMs() / 1000),
      kills: this.kills(),
    });
    this.host.tellShed(true);
    this.lock.release();
  }

  /** Ends what runs; descriptors are closed afterwards. */
  private async close(): Promise<void> {
    this.isClosed = true;
    this.periodic.stop();
    this.parts.reports.stop();
    await Promise.all([this.control?.stop(), this.parts.watch.stop(STOP_MS_MAX)]);
    this.parts.reports.drain();
    this.parts.shed.check(Infinity);
  }
}
