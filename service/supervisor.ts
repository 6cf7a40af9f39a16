/**
 * The supervisor: starts the daemon's parts (parts.ts), watches over them, starts all over when a
 * worker hangs, and stops. Nothing here is on the path from an event to a kill.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import { CounterIndex, Role, roleName, RoleState } from "../pipeline/memory/layout.ts";
import { attachCounters } from "../pipeline/memory/memory.ts";
import { loweringsOf } from "../pipeline/limits/carried_lowerings.ts";
import { BLOCKS_AFTER_MS, FIRST_START_MS_MAX, WATCH_TURN_MS } from "../pipeline/memory/timing.ts";
import { trimHeap } from "../kernel/process/heap.ts";
import type { HeldLock } from "../kernel/process/lock.ts";
import { readMemInfo } from "../kernel/proc/mem_info.ts";
import type { ReloadAnswer } from "./control/control_api.ts";
import { OwnSocket } from "./control/own_socket.ts";
import { ownSocketPath } from "./control/own_socket_path.ts";
import { ControlServer } from "./control/control_server.ts";
import { controlBackend } from "./control_backend.ts";
import { endBrake } from "./lifecycle/brake_place.ts";
import { keepOff } from "./lifecycle/cpu_choice.ts";
import { keptGraces } from "./lifecycle/kept_graces.ts";
import { monotonicNs } from "./lifecycle/handover.ts";
import { holdMachineLock } from "./lifecycle/machine_lock.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { Periodic } from "./lifecycle/periodic.ts";
import { countsOwn } from "./limits/own_members.ts";
import { dropStart, lockInMemory } from "./lifecycle/protection.ts";
import { firstSweep } from "./lifecycle/shared_memory.ts";
import { NO_MANAGER } from "./lifecycle/service_manager.ts";
import type { StartOverState, SupervisorHost } from "./lifecycle/start_over.ts";
import { calm, hurryAlone } from "./lifecycle/start_priority.ts";
import type { OnHang } from "./lifecycle/worker_watch.ts";
import { LimitState } from "./limits/state_file.ts";
import { Notifiers } from "./notifiers.ts";
import { openParts, type Parts } from "./parts.ts";
import { ReadAccess } from "./read_access.ts";
import { Reloader } from "./reloader.ts";
import { Recordings } from "./recording/recordings.ts";
import { Views } from "./views.ts";
import { limitedUids } from "./status/memory_report.ts";

const LOOK_EVERY_MS = 1000;
/** A manager's line of status. */
const STATUS_EVERY_MS = 10_000;
/** Memory that was freed goes back to the kernel this often. */
const TRIM_EVERY_MS = 10_000;
const PING_MS_MAX = 2000;
const REHEARSE_MS_MAX = 5000;
/** By then all that only the start needs has run. */
const SETTLED_MS = 5000;
/** All must have stopped within a second. */
const STOP_MS_MAX = 600;

export class Supervisor {
  private options: SupervisorOptions;
  private readonly host: SupervisorHost;
  private readonly lock: HeldLock;
  /** Closes what is open, the newest first. */
  private readonly open: AsyncDisposableStack;
  private readonly parts: Parts;
  private readonly notifiers: Notifiers;
  private readonly views: Views;
  private readonly recordings: Recordings;
  private readonly periodic: Periodic;
  private readonly startedMs = performance.now();
  private control: ControlServer | undefined;
  /** undefined: not yet. */
  private readAccess: ReadAccess | undefined;
  /** undefined: not open yet, or not to be had. */
  private own: OwnSocket | undefined;
  private isClosed = false;
  private readonly reloader: Reloader;

  /**
   * Starts toom. When this returns, limits are enforced.
   *
   * @throws {StartError} When it cannot run here, with the mend.
   */
  static async start(options: SupervisorOptions, host: SupervisorHost): Promise<Supervisor> {
    const { handover, journal } = host;
    const lock = await holdMachineLock(handover?.fds.lock);
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
    this.notifiers = new Notifiers(
      () => this.options,
      host.journal,
      (uid) => parts.limits.ownerOf(uid),
    );
    this.views = new Views(() => this.options, host, parts, this.notifiers);
    open.adopt(host.journal.subscribe(this.views.killCounts), (made) => made.close());
    open.adopt(host.journal.subscribe(this.views.feed), (made) => made.close());
    this.notifiers.subscribe(host.journal);
    open.defer(() => this.notifiers.close());
    this.recordings = new Recordings({
      memory: parts.memory,
      toomVersion: options.version,
      source: parts.tracing.source,
      flight: options.recordSeconds === 0 ? undefined : {
        seconds: options.recordSeconds,
        dirPath: `${options.stateDirPath}/recordings`,
        filesMax: options.recordFiles,
      },
      otherCpus: parts.config.otherCpus,
      journal: host.journal,
    });
    open.adopt(this.recordings, (made) => made.close());
    open.adopt(host.journal.subscribe(this.recordings), (made) => made.close());
    const { watch, reports, limits } = parts;
    this.reloader = new Reloader({
      limits,
      victimRules: parts.victimRules,
      journal: host.journal,
      loadOptions: host.loadOptions,
      running: () => this.options,
      put: (changed) => {
        this.options = changed;
        this.readAccess?.set(changed.readGroup);
      },
      isClosed: () => this.isClosed,
    });
    this.periodic = new Periodic([
      { everyMs: 0, run: () => watch.check() },
      { everyMs: 0, run: () => reports.drain() },
      { everyMs: 0, run: () => void this.own?.turn() },
      { everyMs: 0, run: (nowMs) => limits.tick(nowMs) },
      { everyMs: LOOK_EVERY_MS, run: (nowMs) => this.look(nowMs) },
      { everyMs: TRIM_EVERY_MS, run: trimHeap },
      { everyMs: host.manager.aliveEveryMs, run: () => this.tellAlive() },
      { everyMs: STATUS_EVERY_MS, run: () => this.tellStatus() },
    ], () => performance.now());
  }

  private async run(): Promise<void> {
    const { host: { handover }, options, parts } = this;
    const { limits, watch, tracing, reports, memory, startOver, config } = parts;
    const isFirst = handover === undefined;
    parts.victimRules.put(options);
    limits.begin(performance.now());
    tracing.announce(this.host.journal);
    if (isFirst) this.announceFiles();
    if (isFirst) limits.announce();
    else void limits.announceAgain();
    await watch.startAll();
    keepOff(config);
    if (!isFirst) hurryAlone();
    await watch.ping(Role.coordinator, isFirst ? FIRST_START_MS_MAX : PING_MS_MAX);
    this.periodic.start(WATCH_TURN_MS);
    void reports.follow();
    await firstSweep(memory);
    startOver.tell();
    this.recordings.start();
    this.control = await this.openControl();
    this.own = this.openOwn();
    await this.openMetrics();
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
      brake: options.brake,
      brakeBy: parts.brakeMeans,
      controlSocket: options.controlSocketPath,
      tmallocSocket: this.views.tmallocSocketPath,
      startMs: Math.round(performance.now() - this.startedMs),
    });
    this.host.manager.ready(this.views.statusLine());
  }

  private announceFiles(): void {
    const { files, absent = [] } = this.options.config;
    if (files.length === 0) return;
    this.host.journal.publish({ event: "config", message: `configured by ${files.join(", ")}` });
    for (const { place, path, message } of absent) {
      const text = `not in force: ${place}: ${path}: ${message}`;
      this.host.journal.publish({ event: "config", message: text });
    }
  }

  private async openControl(): Promise<ControlServer> {
    const { options, parts: { limits, watch }, host: { journal, handover } } = this;
    const controlOptions = {
      socketPath: options.controlSocketPath,
      backend: controlBackend(limits, watch, this.views, this.recordings, {
        config: () => this.options.config,
        reload: (isAtOnce) => this.reload(isAtOnce),
      }),
      totalMemoryBytes: readMemInfo().totalBytes,
      pageBytes: options.pageBytes,
      softDefault: () => this.options.softDefault,
      debugFaults: options.debugFaults,
      onError: (error: unknown) =>
        journal.publish({ event: "error", where: "control", message: messageOf(error) }),
    };
    const readAccess = new ReadAccess({
      controlSocketPath: options.controlSocketPath,
      handlers: controlOptions,
      journal,
    });
    this.open.defer(() => readAccess.close());
    const former = handover?.fds.control;
    const server = former === undefined
      ? await ControlServer.start(controlOptions)
      : await ControlServer.adopt(former, controlOptions);
    this.readAccess = readAccess;
    readAccess.set(this.options.readGroup);
    return server;
  }

  private async openMetrics(): Promise<void> {
    const { metricsAddress: address } = this.options;
    if (address === undefined) return;
    try {
      const { MetricsServer } = await import("./metrics/metrics_server.ts");
      const server = new MetricsServer(address, (format) => this.views.renderMetrics(format));
      this.open.defer(() => server.close());
    } catch (error) {
      const message = `no metrics on ${address.hostname} port ${address.port}: ${messageOf(error)}`;
      this.host.journal.publish({ event: "error", where: "metrics", message });
    }
  }

  private openOwn(): OwnSocket | undefined {
    const path = ownSocketPath(this.options.controlSocketPath);
    try {
      return this.open.adopt(
        new OwnSocket(path, (uid) => JSON.stringify(this.views.own(uid))),
        (made) => made.close(),
      );
    } catch (error) {
      const message = `users cannot ask for their own on ${path}: ${messageOf(error)}`;
      this.host.journal.publish({ event: "error", where: "control", message });
      return undefined;
    }
  }

  /** Small, and with the way to a kill at hand. Once more when the start is really over. */
  private async settle(isUrgent: boolean, isLast = false): Promise<void> {
    dropStart(isUrgent);
    if (isLast) lockInMemory(this.parts.memory, this.parts.tell);
    await this.parts.watch.rehearse(REHEARSE_MS_MAX);
  }

  /** Once a second. */
  private look(nowMs: number): void {
    this.views.look(nowMs);
    // So that a kill finds the name: it does not wait for one.
    this.parts.names.expect(limitedUids(this.parts.memory));
    this.parts.shed.check(nowMs);
    this.host.tellShed(false);
    this.checkMembers();
  }

  /** Programs in the kernel are made once, and by what counts: they are made anew when users come to differ. */
  private checkMembers(): void {
    const { options, parts: { tracing, limits } } = this;
    if (tracing.countsPerUser || !countsOwn(limits.list(), options.memberMask)) return;
    this.startAnew("supervisor", "makes programs that count by user", 0);
  }

  private kills(): number {
    const counters = attachCounters(this.parts.memory, Role.killer);
    return this.parts.startOver.formerKills + counters[CounterIndex.kills]!;
  }

  /**
   * Reads the configuration again and puts it in force, all of it or nothing. Never throws.
   *
   * @param isAtOnce Users who have more than lowered limits lose processes without a grace.
   */
  async reload(isAtOnce = false): Promise<ReloadAnswer> {
    const { manager } = this.host;
    manager.reloading(monotonicNs());
    const answer = await this.reloader.reload(isAtOnce);
    manager.ready(this.views.statusLine());
    return answer;
  }

  private tellStatus(): void {
    const { manager } = this.host;
    if (manager !== NO_MANAGER) manager.status(this.views.statusLine());
  }

  /** The manager is told as long as each worker on the way of an event turns, and this thread does. */
  private tellAlive(): void {
    const isAlive = this.parts.watch.reports().every(({ state, heartbeatAgeMs }) =>
      state === RoleState.running && heartbeatAgeMs < BLOCKS_AFTER_MS
    );
    if (isAlive) this.host.manager.alive();
  }

  // ------------------------------------------------------------------------------ start over, stop

  private startAnew(role: string, reason: string, silentMs: number): void {
    const prepare = (): void => {
      this.parts.reports.drain();
      // Nobody would watch over them: what starts over knows no children.
      this.notifiers.stop();
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
      graces: keptGraces(this.parts.memory),
      lowerings: loweringsOf(this.parts.memory),
      restarts: Object.fromEntries(
        watch.reports().map((one) => [roleName(one.role), one.restarts]),
      ),
      kills: this.kills(),
      history: this.host.history.handover(),
    };
  }

  /** Stops everything within a second. */
  async stop(reason: string): Promise<void> {
    this.host.manager.stopping();
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
    this.views.feed.close();
    this.parts.reports.stop();
    await Promise.all([this.control?.stop(), this.parts.watch.stop(STOP_MS_MAX)]);
    await endBrake(this.options, this.host.journal);
    this.parts.reports.drain();
    this.parts.shed.check(Infinity);
  }
}
