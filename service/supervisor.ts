/**
 * The supervisor: makes the shared memory and the instances, starts and watches the workers, puts
 * limits in force, serves the control socket and writes the log. Nothing here is on the way from
 * an event to a kill.
 *
 * @module
 */
import {
  CounterIndex,
  Fault,
  HeaderWord,
  Role,
  roleName,
  RoleWord,
} from "../pipeline/memory/layout.ts";
import type { MemberMask } from "../pipeline/books/books.ts";
import { attachRole, Doorbell } from "../pipeline/memory/doorbell.ts";
import {
  isNoLimit,
  type LimitRule,
  RULES_MAX,
  RulesPublisher,
  type SoftSpec,
} from "../pipeline/limits/limits.ts";
import {
  attachCounters,
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
} from "../pipeline/memory/memory.ts";
import type { VictimPolicy } from "../pipeline/kill/ranking.ts";
import { readReport } from "../pipeline/messages/reports.ts";
import { RingConsumer } from "../pipeline/memory/ring.ts";
import { MonotonicClock } from "../kernel/ffi/clock.ts";
import { allowedCpus } from "../kernel/process/affinity.ts";
import { EventFd } from "../kernel/ffi/fd.ts";
import {
  collectGarbage,
  dropStartupCode,
  keepHeapsSmall,
  trimHeap,
} from "../kernel/process/heap.ts";
import { acquireLock, adoptLock, type HeldLock } from "../kernel/process/lock.ts";
import { LocalNames } from "../kernel/users/local_names.ts";
import { findName } from "../kernel/users/passwd.ts";
import { readMemInfo } from "../kernel/proc/proc.ts";
import { canReadSmaps } from "../kernel/proc/smaps.ts";
import {
  lockBuffer,
  lockMemory,
  type Protection,
  setNice,
  setOomScoreAdj,
} from "../kernel/process/self_protection.ts";
import type {
  ControlBackend,
  FaultRequest,
  OriginRule,
  StatusReport,
} from "./control/control_api.ts";
import { raiseCompilers } from "./lifecycle/compiler_threads.ts";
import { ControlServer, type ControlServerOptions } from "./control/control_server.ts";
import { chooseCpus, keepOff } from "./lifecycle/cpu_choice.ts";
import { calm, hurryAlone } from "./lifecycle/start_priority.ts";
import { StartError } from "./lifecycle/errors.ts";
import type { Log } from "./journal/log.ts";
import { Owners } from "./limits/owners.ts";
import type { TmallocPlace, WorkerConfig } from "../workers/protocol.ts";
import { ReportLog } from "./journal/report_log.ts";
import { closedFolderOf } from "./control/public_folder.ts";
import { Resources } from "./lifecycle/resources.ts";
import { ShedWatch } from "./journal/shed_watch.ts";
import { StartOver, type StartOverState, type SupervisorHost } from "./lifecycle/start_over.ts";
import { limitedUids, memoryReport, workerReports } from "./status.ts";
import { LimitState } from "./limits/state_file.ts";
import {
  adoptTmallocPlace,
  closeTmallocPlace,
  openTmallocPlace,
} from "./lifecycle/tmalloc_place.ts";
import { Tracing } from "./lifecycle/tracing.ts";
import { UserNames } from "./limits/user_names.ts";
import { WorkerWatch } from "./lifecycle/worker_watch.ts";

export interface SupervisorOptions {
  readonly version: string;
  readonly limits: readonly LimitRule[];
  readonly source: "auto" | "raw" | "text";
  readonly readerCount: number;
  readonly memberMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  /** As the user wrote it, for the log. */
  readonly memberNames: string;
  readonly victim: VictimPolicy;
  readonly softDefault: SoftSpec;
  readonly intervalMs: number;
  readonly minAvailableBytes: number;
  readonly psi: boolean;
  readonly dryRun: boolean;
  readonly arms: boolean;
  readonly bufferKib: number;
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** undefined: tmalloc is not served. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** Whose subordinate uids are; undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user at one time; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  readonly debugFaults: boolean;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  readonly pageBytes: number;
}

/** One toom a machine, whatever its sockets and directories are called. */
const LOCK_PATH = "/run/toom.lock";
/** How often hearts are listened to; and reports looked for, should their bell not be heard. */
const TICK_MS = 200;
/** Memory that was freed goes back to the kernel this often. */
const TRIM_EVERY_MS = 10_000;
const PING_MS_MAX = 2000;
const REHEARSE_MS_MAX = 5000;
/** By then all that only the start needs has run. */
const SETTLED_MS = 5000;
const FIRST_SWEEP_MS_MAX = 30_000;
/** All must have stopped within a second. */
const STOP_MS_MAX = 600;
export class Supervisor implements ControlBackend {
  private readonly options: SupervisorOptions;
  private readonly log: Log;
  private readonly host: SupervisorHost;
  private readonly resources: Resources;
  private readonly lock: HeldLock;
  private readonly shed: ShedWatch;
  private readonly startOver: StartOver;
  private readonly state: LimitState;
  private readonly memory: Memory;
  private readonly tracing: Tracing;
  private readonly publisher: RulesPublisher;
  private readonly owners: Owners;
  private readonly config: WorkerConfig;
  private readonly watch: WorkerWatch;
  private readonly readerWakes: readonly EventFd[];
  private readonly sweeperWake: EventFd;
  private readonly coordinatorWake: EventFd;
  private readonly tmalloc: TmallocPlace | undefined;
  private readonly accountingBell: Doorbell;
  private readonly reports: readonly RingConsumer[];
  private readonly clock = new MonotonicClock();
  private readonly reportLog: ReportLog;
  private readonly names: UserNames;
  private readonly startedMs = performance.now();
  private control: ControlServer | undefined;
  private ticker: ReturnType<typeof setInterval> | undefined;
  private settler: ReturnType<typeof setTimeout> | undefined;
  private trimmedMs = performance.now();
  private closed = false;
  private rate = { atMs: 0, events: 0, perSecond: 0 };

  /**
   * Starts toom. When this returns, limits are enforced.
   *
   * @throws {StartError} When it cannot run here, with the mend.
   */
  static async start(
    options: SupervisorOptions,
    log: Log,
    host: SupervisorHost,
  ): Promise<Supervisor> {
    const { handover } = host;
    const lock = handover === undefined ? takeLock() : adoptLock(handover.fds.lock);
    const resources = new Resources();
    let supervisor: Supervisor | undefined;
    try {
      if (lock.mended !== undefined) log.event({ event: "config", message: lock.mended });
      const state = await LimitState.open({
        dirPath: options.stateDirPath,
        base: options.limits,
        pageBytes: options.pageBytes,
        now: () => new Date(),
        ...(handover === undefined ? {} : { overrides: handover.overrides }),
      });
      supervisor = new Supervisor(options, log, host, resources, lock, state);
      await supervisor.run();
      return supervisor;
    } catch (error) {
      await supervisor?.close();
      resources.close();
      lock.release();
      throw error;
    }
  }

  /** @param resources Remembers what is open, should this throw. */
  private constructor(
    options: SupervisorOptions,
    log: Log,
    host: SupervisorHost,
    resources: Resources,
    lock: HeldLock,
    state: LimitState,
  ) {
    this.options = options;
    this.log = log;
    this.host = host;
    this.resources = resources;
    this.lock = lock;
    this.state = state;
    this.startOver = new StartOver(host, log, allowedCpus());
    keepHeapsSmall();
    this.protect("oom_score_adj -1000", setOomScoreAdj(-1000));
    this.protect("nice -20", setNice(-20));
    raiseCompilers((wish, result) => this.protect(wish, result));
    this.memory = attachMemory(createMemory({
      ...DEFAULT_CAPACITY,
      readers: options.readerCount,
      users: options.usersMax,
      processes: options.processesMax,
      tasks: options.processesMax * 4,
      mms: options.processesMax * 2,
      rules: RULES_MAX,
      pageBytes: options.pageBytes,
    }, Deno.pid));
    this.publisher = new RulesPublisher(this.memory.rules);
    this.publisher.publish(state.rules);
    this.owners = new Owners({
      path: options.subuidPath,
      memory: this.memory,
      rules: () => state.list(),
      tell: (message) => log.event({ event: "config", message }),
      onChange: () => this.enforceRules(),
    });
    this.accountingBell = new Doorbell(this.memory, Role.accounting);
    this.reports = this.memory.plan.reportRings.map((place) =>
      new RingConsumer(this.memory.buffer, place)
    );
    const nowMs = (): number => performance.now();
    const local = new LocalNames(nowMs);
    this.names = new UserNames({ local: (uid) => local.nameOf(uid), find: findName, nowMs });
    this.reportLog = new ReportLog(options.pageBytes, (uid) => this.names.nameOf(uid));
    this.tracing = new Tracing({
      source: options.source,
      readers: options.readerCount,
      bufferKib: options.bufferKib,
      subbufKib: options.subbufKib,
      pageBytes: options.pageBytes,
      formerFds: host.handover?.fds.instances ?? [],
    });
    resources.add(() => this.tracing.close());
    this.tracing.start();
    const openEventFd = (): EventFd => {
      const made = new EventFd();
      resources.add(() => made.close());
      return made;
    };
    this.readerWakes = this.tracing.readerPipes.map(openEventFd);
    this.sweeperWake = openEventFd();
    this.coordinatorWake = openEventFd();
    this.tmalloc = this.openTmalloc();
    const tmalloc = this.tmalloc;
    if (tmalloc !== undefined) {
      resources.add(() => closeTmallocPlace(tmalloc, options.tmallocSocketPath!));
    }
    this.shed = new ShedWatch(this.memory, log, host.linesShed);
    this.config = this.workerConfig();
    this.watch = new WorkerWatch(
      this.memory,
      this.config,
      (role) => {
        if (role === Role.sweeper) this.sweeperWake.ring();
        else if (role === Role.coordinator) this.coordinatorWake.ring();
        else if (role >= Role.reader) this.readerWakes[role - Role.reader]!.ring();
      },
      (role, reason, downMs) => log.event({ event: "worker-restart", role, reason, downMs }),
      (role, reason, silentMs) => {
        const prepare = (): void => {
          this.drainReports();
          log.flush(true);
        };
        void this.startOver.begin(role, reason, silentMs, prepare, () => this.startOverState());
      },
      host.handover?.restarts,
    );
    // Whom subordinate uids count for is known before anybody is looked at.
    this.owners.tick(performance.now());
  }

  private workerConfig(): WorkerConfig {
    const { options, tracing } = this;
    return {
      source: tracing.source,
      pageBytes: options.pageBytes,
      countMask: options.memberMask,
      creditsShares: this.creditsShares(),
      userProcessesMax: options.userProcessesMax,
      victimPolicy: options.victim,
      dryRun: options.dryRun,
      isFirstStart: this.host.handover === undefined,
      arms: options.arms,
      intervalMs: options.intervalMs,
      minAvailableBytes: options.minAvailableBytes,
      psi: options.psi,
      realTime: true,
      ...chooseCpus(
        options.pathCpu,
        options.readerCount === 1 && tracing.source === "raw",
        (wish, result) => this.protect(wish, result),
      ),
      formats: tracing.formats,
      readerPipes: tracing.readerPipes,
      readerWakeFds: this.readerWakes.map(({ fd }) => fd),
      loginSource: tracing.loginSource,
      loginPipes: tracing.loginPipes,
      sweeperWakeFd: this.sweeperWake.fd,
      coordinatorWakeFd: this.coordinatorWake.fd,
      tmalloc: this.tmalloc,
      instanceName: tracing.events.name,
      tracefsPath: tracing.tracefsPath,
      guardedFiles: tracing.guarded(),
      statsFds: tracing.statsFds(),
    };
  }

  /** Shared pages are credited where they can be measured. */
  private creditsShares(): boolean {
    if (!this.options.creditsShares) return false;
    if (canReadSmaps()) return true;
    const message = "counts shared pages in each process, as --count ...+sum does: this kernel " +
      "does not tell what is shared (smaps_rollup, CONFIG_PROC_PAGE_MONITOR)";
    this.log.event({ event: "config", message });
    return false;
  }

  /** Enforcement does not depend on it: without the socket, toom goes on. */
  private openTmalloc(): TmallocPlace | undefined {
    const path = this.options.tmallocSocketPath;
    if (path === undefined) return undefined;
    const former = this.host.handover?.fds.tmalloc;
    if (former !== undefined) return adoptTmallocPlace(former, path);
    try {
      const place = openTmallocPlace(path);
      const closed = closedFolderOf(path);
      if (closed !== undefined) {
        const message = `only root can ask on ${path}: ${closed} keeps other users out`;
        this.log.event({ event: "config", message });
      }
      return place;
    } catch (error) {
      const message = `cannot serve tmalloc on ${path}: ${messageOf(error)}`;
      this.log.event({ event: "error", where: "tmalloc", message });
      return undefined;
    }
  }

  /** What is refused is told, and toom goes on without. */
  private protect(wish: string, result: Protection): void {
    if (result.ok) return;
    this.log.event({ event: "config", message: `goes without ${wish}: ${result.reason}` });
  }

  /**
   * Small, and with the way to a kill at hand. Once more when the start is really over, and only
   * then locked in memory: what is locked cannot be let go.
   */
  private async settle(isLast: boolean): Promise<void> {
    if (isLast || this.host.handover === undefined) collectGarbage();
    dropStartupCode();
    trimHeap();
    if (isLast) {
      this.protect("locked code", lockMemory());
      this.protect("locked tables", lockBuffer(this.memory.buffer));
    }
    await this.watch.rehearse(REHEARSE_MS_MAX);
  }

  private async run(): Promise<void> {
    const { options, log, tracing, state } = this;
    for (const name of tracing.removed) {
      log.event({ event: "config", message: `removed the instance ${name} of a dead toom` });
    }
    if (tracing.fallback !== undefined) {
      log.event({
        event: "config",
        message: `uses the text source, as the raw one does not work here: ${tracing.fallback}`,
      });
    }
    if (state.problem !== undefined) log.event({ event: "config", message: state.problem });
    for (const rule of state.shadowed()) {
      log.event({
        event: "config",
        message: `--limit for ${
          rule.uidFirst === rule.uidLast
            ? `uid ${rule.uidFirst}`
            : `uids ${rule.uidFirst}-${rule.uidLast}`
        } does not hold: toom limit has changed it since`,
      });
    }
    const { handover } = this.host;
    if (handover === undefined) {
      for (const rule of state.list()) this.logLimit("set", rule, rule.origin);
    } else {
      // Perhaps what could not be written down before can be now.
      void state.keep().then((kept) => this.told(kept));
    }
    await this.watch.startAll();
    keepOff(this.config);
    if (handover !== undefined) hurryAlone();
    await this.watch.ping(Role.coordinator, PING_MS_MAX);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    void this.followReports();
    await this.firstSweep();
    this.startOver.tell();
    const controlOptions: ControlServerOptions = {
      socketPath: options.controlSocketPath,
      backend: this,
      totalMemoryBytes: readMemInfo().totalBytes,
      pageBytes: options.pageBytes,
      softDefault: options.softDefault,
      debugFaults: options.debugFaults,
      onError: (error) =>
        log.event({ event: "error", where: "control", message: messageOf(error) }),
    };
    const former = handover?.fds.control;
    this.control = former === undefined
      ? await ControlServer.start(controlOptions)
      : await ControlServer.adopt(former, controlOptions);
    await this.settle(false);
    if (handover !== undefined) calm();
    this.settler = setTimeout(() => void this.settle(true), SETTLED_MS);
    log.event({
      event: "ready",
      version: options.version,
      pid: Deno.pid,
      source: tracing.source,
      readers: options.readerCount,
      limits: state.list().length,
      counted: options.memberNames,
      victim: options.victim,
      dryRun: options.dryRun,
      controlSocket: options.controlSocketPath,
      tmallocSocket: this.tmalloc === undefined ? null : options.tmallocSocketPath!,
      startMs: Math.round(performance.now() - this.startedMs),
    });
  }

  /** Ready means that those who were there before are known. */
  private async firstSweep(): Promise<void> {
    const deadlineMs = performance.now() + FIRST_SWEEP_MS_MAX;
    while (Atomics.load(this.memory.header, HeaderWord.sweepDone) === 0) {
      if (performance.now() > deadlineMs) {
        throw new Error("Cannot start: the first look at /proc did not end in time");
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  private tick(): void {
    this.watch.check();
    this.drainReports();
    const nowMs = performance.now();
    if (nowMs - this.trimmedMs > TRIM_EVERY_MS) {
      this.trimmedMs = nowMs;
      trimHeap();
    }
    this.owners.tick(nowMs);
    if (nowMs - this.rate.atMs < 1000) return;
    const events = this.counter(Role.accounting, CounterIndex.events);
    const seconds = (nowMs - this.rate.atMs) / 1000;
    const grown = Math.max(0, events - this.rate.events);
    this.rate = { atMs: nowMs, events, perSecond: Math.round(grown / seconds) };
    // So that a kill finds the name: it does not wait for one.
    this.names.expect(limitedUids(this.memory));
    this.shed.check(nowMs);
    this.log.flush();
  }

  /** Turns reports into lines as they come. */
  private async followReports(): Promise<void> {
    const words = attachRole(this.memory, Role.supervisor);
    Atomics.store(words, RoleWord.parked, 1);
    while (!this.closed) {
      const seen = Atomics.load(words, RoleWord.bell);
      this.drainReports();
      const rung = Atomics.waitAsync(words, RoleWord.bell, seen, TICK_MS);
      if (rung.async) await rung.value;
    }
  }

  private drainReports(): void {
    for (const ring of this.reports) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        const event = this.reportLog.eventOf(report);
        if (event === undefined) continue;
        const agoNs = report.tsNs > 0 ? this.clock.nowNs() - report.tsNs : 0;
        this.log.event(event, agoNs / 1e6);
      }
    }
  }

  private logLimit(action: "set" | "clear", rule: LimitRule, origin: OriginRule["origin"]): void {
    const { uidFirst, uidLast } = rule;
    const { pageBytes } = this.options;
    const hardPages = isNoLimit(rule) ? null : rule.hardPages;
    const softPages = isNoLimit(rule) ? null : rule.softPages;
    this.log.event({
      event: "limit",
      action,
      origin,
      uidFirst,
      uidLast,
      hardPages,
      softPages,
      hardBytes: hardPages === null ? null : hardPages * pageBytes,
      softBytes: softPages === null ? null : softPages * pageBytes,
    });
  }

  // ------------------------------------------------------------------------------------ control

  limits(): readonly OriginRule[] {
    return this.state.list();
  }

  async setLimit(rule: LimitRule): Promise<{ readonly persisted: boolean }> {
    this.owners.admit(rule);
    this.state.checkRoom(rule);
    const kept = this.state.set(rule);
    this.enforceRules();
    this.logLimit("set", rule, "control");
    return this.told(await kept);
  }

  ownerOf(uid: number): number {
    return this.owners.ownerOf(uid);
  }

  async clearLimit(
    uidFirst: number,
    uidLast: number,
  ): Promise<{ readonly cleared: boolean; readonly persisted: boolean }> {
    const rule = this.state.list().find((one) =>
      one.uidFirst === uidFirst && one.uidLast === uidLast
    );
    const kept = this.state.clear(uidFirst, uidLast);
    this.enforceRules();
    if (rule !== undefined) this.logLimit("clear", rule, "control");
    return this.told(await kept);
  }

  private told<K extends { readonly persisted: boolean; readonly problem?: string }>(kept: K): K {
    if (kept.problem !== undefined) {
      this.log.event({ event: "error", where: "state", message: kept.problem });
    }
    return kept;
  }

  /** New rules count at once: accounting compares again, the sweeper finds who they are about. */
  private enforceRules(): void {
    this.publisher.publish(this.state.rules);
    this.accountingBell.ring();
    this.sweeperWake.ring();
    this.coordinatorWake.ring();
  }

  fault(role: string, kind: FaultRequest["kind"]): boolean {
    return this.watch.provoke(role, kind === "throw" ? Fault.throw : Fault.hang);
  }

  private counter(role: number, index: number): number {
    return attachCounters(this.memory, role)[index]!;
  }

  status(): StatusReport {
    const { options } = this;
    const report = memoryReport(this.memory, {
      rules: this.state.list(),
      nameOf: (uid) => this.names.nameOf(uid),
      eventsPerSecond: this.rate.perSecond,
      tmallocSocketPath: this.tmalloc === undefined ? null : options.tmallocSocketPath!,
    });
    return {
      version: options.version,
      pid: Deno.pid,
      uptimeSeconds: Math.round(this.startOver.uptimeMs() / 100) / 10,
      pageBytes: options.pageBytes,
      source: this.tracing.source,
      dryRun: options.dryRun,
      ...report,
      kills: { ...report.kills, total: this.kills() },
      workers: workerReports(this.memory, this.watch.reports()),
      memory: { rssBytes: Deno.memoryUsage().rss },
      restarts: this.startOver.report(),
      shed: this.shed.totals(),
    };
  }

  // --------------------------------------------------------------------------------------- stop

  /** Stops everything within a second. */
  async stop(reason: string): Promise<void> {
    await this.close();
    this.log.event({
      event: "stop",
      reason,
      uptimeSeconds: Math.round(this.startOver.uptimeMs() / 1000),
      kills: this.kills(),
    });
    this.log.flush(true);
    this.lock.release();
  }

  private async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.ticker);
    clearTimeout(this.settler);
    this.owners.close();
    await Promise.all([this.control?.stop(), this.watch.stop(STOP_MS_MAX)]);
    this.drainReports();
    this.shed.check(Infinity);
    this.resources.close();
  }

  /** What the next program is told; undefined when there is to be none. */
  private startOverState(): StartOverState | undefined {
    const { options, tracing, tmalloc, watch } = this;
    if (this.closed) return undefined;
    return {
      version: options.version,
      options,
      overrides: this.state.listOverrides(),
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

  private kills(): number {
    return this.startOver.formerKills + this.counter(Role.killer, CounterIndex.kills);
  }
}

function takeLock(): HeldLock {
  const lock = acquireLock(LOCK_PATH);
  if ("release" in lock) return lock;
  const who = lock.holderPid === 0 ? "" : ` (pid ${lock.holderPid})`;
  throw new StartError(
    `another toom runs on this machine${who}`,
    "stop it first, or talk to it: toom status, toom limit",
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
