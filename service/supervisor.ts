/**
 * The supervisor puts the daemon together: shared memory, trace instances, workers, limits, control
 * socket, journal. Each part is in a file of its own. Nothing here is on the way from an event to a
 * kill.
 *
 * @module
 */
import { WATCH_TURN_MS } from "../pipeline/memory/timing.ts";
import { CounterIndex, Role, roleName } from "../pipeline/memory/layout.ts";
import { attachCounters, type Memory } from "../pipeline/memory/memory.ts";
import { allowedCpus } from "../kernel/process/affinity.ts";
import { trimHeap } from "../kernel/process/heap.ts";
import type { HeldLock } from "../kernel/process/lock.ts";
import { readMemInfo } from "../kernel/proc/proc.ts";
import type { TmallocPlace, WorkerConfig } from "../workers/protocol.ts";
import type { StatusReport } from "./control/control_api.ts";
import { ControlServer } from "./control/control_server.ts";
import { controlBackend } from "./control_backend.ts";
import { ReportEvents } from "./journal/report_events.ts";
import { ReportPump } from "./journal/report_pump.ts";
import { ShedWatch } from "./journal/shed_watch.ts";
import { keepOff } from "./lifecycle/cpu_choice.ts";
import { messageOf } from "./lifecycle/errors.ts";
import { holdMachineLock } from "./lifecycle/machine_lock.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { Periodic } from "./lifecycle/periodic.ts";
import {
  dropStart,
  lockInMemory,
  protectProcess,
  type TellProtection,
  tellRefused,
} from "./lifecycle/protection.ts";
import { settingsOf } from "./lifecycle/settings.ts";
import { firstSweep, makeMemory } from "./lifecycle/shared_memory.ts";
import { StartOver, type StartOverState, type SupervisorHost } from "./lifecycle/start_over.ts";
import { calm, hurryAlone } from "./lifecycle/start_priority.ts";
import { serveTmalloc } from "./lifecycle/tmalloc_place.ts";
import { Tracing } from "./lifecycle/tracing.ts";
import { workerConfig } from "./lifecycle/worker_config.ts";
import { WorkerWakes } from "./lifecycle/worker_wakes.ts";
import { WorkerWatch } from "./lifecycle/worker_watch.ts";
import { LimitControl } from "./limits/limit_control.ts";
import { LimitState } from "./limits/state_file.ts";
import { systemNames, type UserNames } from "./limits/user_names.ts";
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
  private readonly tell: TellProtection;
  private readonly startOver: StartOver;
  private readonly memory: Memory;
  private readonly names: UserNames;
  private readonly reports: ReportPump;
  private readonly shed: ShedWatch;
  private readonly tracing: Tracing;
  private readonly limits: LimitControl;
  private readonly tmalloc: TmallocPlace | undefined;
  private readonly config: WorkerConfig;
  private readonly watch: WorkerWatch;
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
      const supervisor = new Supervisor(options, host, lock, open, state);
      await supervisor.run();
      return supervisor;
    } catch (error) {
      await open.disposeAsync();
      lock.release();
      throw error;
    }
  }

  /** Opens all parts and begins to trace; no worker runs yet. @param open Closes them, also should this throw. */
  private constructor(
    options: SupervisorOptions,
    host: SupervisorHost,
    lock: HeldLock,
    open: AsyncDisposableStack,
    state: LimitState,
  ) {
    const { journal, handover } = host;
    const { pageBytes } = options;
    this.options = options;
    this.host = host;
    this.lock = lock;
    this.open = open;
    this.tell = tellRefused(journal);
    this.startOver = new StartOver(host, allowedCpus());
    protectProcess(this.tell);
    this.memory = makeMemory(options);
    this.names = systemNames();
    const events = new ReportEvents(pageBytes, (uid) => this.names.nameOf(uid));
    this.shed = new ShedWatch(this.memory, journal, host.logLosses);
    this.tracing = new Tracing({
      source: options.source,
      readers: options.readerCount,
      bufferKib: options.bufferKib,
      subbufKib: options.subbufKib,
      pageBytes,
      formerFds: handover?.fds.instances ?? [],
    });
    open.defer(() => this.tracing.close());
    const wakes = new WorkerWakes(options.readerCount, open);
    this.reports = new ReportPump(this.memory, wakes.reportBell, events, journal);
    this.tmalloc = serveTmalloc(options.tmallocSocketPath, handover?.fds.tmalloc, journal, open);
    this.limits = new LimitControl({
      memory: this.memory,
      state,
      settings: settingsOf(options, journal),
      journal,
      subuidPath: options.subuidPath,
      pageBytes,
      wake: () => wakes.wakeForLimits(),
    });
    open.defer(() => this.limits.close());
    this.tracing.start();
    this.config = workerConfig({
      options,
      tracing: this.tracing,
      wakes,
      tmalloc: this.tmalloc,
      isFirstStart: handover === undefined,
      tell: this.tell,
    });
    this.watch = new WorkerWatch(
      this.memory,
      this.config,
      (role) => wakes.wake(role),
      (role, reason, downMs) => journal.publish({ event: "worker-restart", role, reason, downMs }),
      (role, reason, silentMs) => this.startAnew(role, reason, silentMs),
      handover?.restarts,
    );
    const nowMs = (): number => performance.now();
    this.periodic = new Periodic([
      { everyMs: 0, run: () => this.watch.check() },
      { everyMs: 0, run: () => this.reports.drain() },
      { everyMs: 0, run: (atMs) => this.limits.tick(atMs) },
      { everyMs: LOOK_EVERY_MS, run: (atMs) => this.look(atMs) },
      { everyMs: TRIM_EVERY_MS, run: trimHeap },
    ], nowMs);
    open.defer(() => this.close());
  }

  private async run(): Promise<void> {
    const { host: { handover }, options, limits, watch } = this;
    const isFirst = handover === undefined;
    limits.begin(performance.now());
    this.tracing.announce(this.host.journal);
    if (isFirst) limits.announce();
    else void limits.announceAgain();
    await watch.startAll();
    keepOff(this.config);
    if (!isFirst) hurryAlone();
    await watch.ping(Role.coordinator, PING_MS_MAX);
    this.periodic.start(WATCH_TURN_MS);
    void this.reports.follow();
    await firstSweep(this.memory);
    this.startOver.tell();
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
      source: this.tracing.source,
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
    const { options, limits, watch, host: { journal, handover } } = this;
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
    if (isLast) lockInMemory(this.memory, this.tell);
    await this.watch.rehearse(REHEARSE_MS_MAX);
  }

  /** Once a second. */
  private look(nowMs: number): void {
    this.rate.update(nowMs, attachCounters(this.memory, Role.accounting)[CounterIndex.events]!);
    // So that a kill finds the name: it does not wait for one.
    this.names.expect(limitedUids(this.memory));
    this.shed.check(nowMs);
    this.host.tellShed(false);
  }

  private status(): StatusReport {
    const { options, memory, limits, names, rate, watch, startOver, shed } = this;
    return daemonStatus({
      options,
      source: this.tracing.source,
      tmallocSocketPath: this.tmallocSocketPath,
      memory,
      limits,
      names,
      rate,
      watch,
      startOver,
      shed,
      journal: this.host.journal,
    });
  }

  /** null: not served. */
  private get tmallocSocketPath(): string | null {
    return this.tmalloc === undefined ? null : this.options.tmallocSocketPath!;
  }

  private kills(): number {
    const counters = attachCounters(this.memory, Role.killer);
    return this.startOver.formerKills + counters[CounterIndex.kills]!;
  }

  // ------------------------------------------------------------------------------ start over, stop

  private startAnew(role: string, reason: string, silentMs: number): void {
    const prepare = (): void => {
      this.reports.drain();
      this.host.tellShed(true);
    };
    void this.startOver.begin(role, reason, silentMs, prepare, () => this.startOverState());
  }

  /** What the next program is told; undefined when there is to be none. */
  private startOverState(): StartOverState | undefined {
    const { options, tracing, tmalloc, watch } = this;
    if (this.isClosed) return undefined;
    return {
      version: options.version,
      options,
      overrides: this.limits.listOverrides(),
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
      uptimeSeconds: Math.round(this.startOver.uptimeMs() / 1000),
      kills: this.kills(),
    });
    this.host.tellShed(true);
    this.lock.release();
  }

  /** Ends what runs; descriptors are closed afterwards. */
  private async close(): Promise<void> {
    this.isClosed = true;
    this.periodic.stop();
    this.reports.stop();
    await Promise.all([this.control?.stop(), this.watch.stop(STOP_MS_MAX)]);
    this.reports.drain();
    this.shed.check(Infinity);
  }
}
