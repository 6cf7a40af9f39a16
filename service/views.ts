/**
 * What the daemon shows of itself, as of now: to root over the control socket, to each user its own.
 *
 * @module
 */
import { nearPages } from "../pipeline/discovery/nearness.ts";
import { CounterIndex, HeaderWord, Role } from "../pipeline/memory/layout.ts";
import { attachCounters } from "../pipeline/memory/memory.ts";
import type {
  Audit,
  Explanation,
  KillList,
  MetricsAnswer,
  OwnReport,
  StatusReport,
} from "./control/control_api.ts";
import { EventFeed } from "./control/event_feed.ts";
import { monotonicNs } from "./lifecycle/handover.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import type { SupervisorHost } from "./lifecycle/start_over.ts";
import { CONTENT_TYPES, type ExpositionFormat, formatFor } from "./metrics/exposition.ts";
import { KillCounts } from "./metrics/kill_counts.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Notifiers } from "./notifiers.ts";
import type { Parts } from "./parts.ts";
import { daemonStatus } from "./status/daemon_status.ts";
import { EventRate } from "./status/event_rate.ts";
import type { ProcessNames } from "./status/explanation.ts";
import { nearReport } from "./status/memory_report.ts";
import { UsageSamples } from "./status/usage_samples.ts";
import { ruleOf, userSlotOf } from "./status/user_facts.ts";
import { type UserContext, userReport } from "./status/user_report.ts";

/** Of its own kills a user is told the last ones. */
const OWN_KILLS_MAX = 5;

export class Views {
  /** As of now: a reload changes them. */
  private readonly options: () => SupervisorOptions;
  private readonly host: SupervisorHost;
  private readonly parts: Parts;
  private readonly notifiers: Notifiers;
  private readonly rate = new EventRate();
  private readonly samples: UsageSamples;
  private readonly nearPages: number;
  /** To be subscribed to the journal, and closed. */
  readonly feed: EventFeed;
  /** To be subscribed to the journal. */
  readonly killCounts = new KillCounts();
  /** Made when somebody asks for the first time: most never do, and it takes memory. */
  private madeMetrics: Promise<Metrics> | undefined;
  private processNames: ProcessNames | undefined;

  constructor(
    options: () => SupervisorOptions,
    host: SupervisorHost,
    parts: Parts,
    notifiers: Notifiers,
  ) {
    this.notifiers = notifiers;
    this.feed = new EventFeed({
      instance: (host.handover?.startedNs ?? monotonicNs()).toString(36),
      last: host.journal.last,
      nowMs: () => performance.now(),
    });
    this.options = options;
    this.host = host;
    this.parts = parts;
    this.samples = new UsageSamples(parts.memory);
    // As the sweeper reckons.
    this.nearPages = parts.tracing.source === "bpf"
      ? nearPages(parts.config.growthBytesPerNs, options().pageBytes)
      : 0;
  }

  /** Once a second. */
  look(nowMs: number): void {
    const { parts: { memory }, host: { history } } = this;
    this.rate.update(nowMs, attachCounters(memory, Role.accounting)[CounterIndex.events]!);
    const atMs = Date.now();
    history.beginLook(atMs);
    this.samples.take(monotonicNs(), (uid, pages) => history.notePeak(atMs, uid, pages));
  }

  /** null: not served. */
  get tmallocSocketPath(): string | null {
    return this.parts.tmalloc === undefined ? null : this.options().tmallocSocketPath!;
  }

  status(): StatusReport {
    const { rate, parts, samples, nearPages } = this;
    const options = this.options();
    return daemonStatus({
      options,
      source: parts.tracing.source,
      tmallocSocketPath: this.tmallocSocketPath,
      memory: parts.memory,
      limits: parts.limits,
      names: parts.names,
      rate,
      samples,
      nearPages,
      watch: parts.watch,
      startOver: parts.startOver,
      shed: parts.shed,
      journal: this.host.journal,
      feed: this.feed,
      notifiers: this.notifiers,
      history: this.host.history,
      brakeMeans: parts.brakeMeans,
    });
  }

  /** In a line, for the service manager. */
  statusLine(): string {
    const { users, kills, source, near, degraded } = this.status();
    const above = users.filter(({ state }) => state !== "ok").length;
    return `${users.length} users, ${above} above soft; ${kills.total} kills; source ${source}` +
      (near === undefined ? "" : near.isNear ? ", near" : ", far") +
      (degraded ? "; books degraded" : "");
  }

  kills(): KillList {
    const { history } = this.host;
    return { historyPath: history.report().path, kills: [...history.recent()] };
  }

  async explain(uid: number): Promise<Explanation> {
    const { explain } = await import("./status/explanation.ts");
    this.processNames ??= new (await import("./status/process_names.ts")).LiveProcessNames();
    const { parts: { memory, limits, tracing, victimRules } } = this;
    const options = this.options();
    const sweeper = attachCounters(memory, Role.sweeper);
    const context = this.userContext();
    return explain({
      ...context,
      memory,
      rules: limits.list(),
      ownerOf: (one) => limits.ownerOf(one),
      ruleNameOf: (tag) => victimRules.nameOf(tag),
      names: this.processNames,
      pageBytes: options.pageBytes,
      memberNames: options.memberNames,
      degraded: Atomics.load(memory.header, HeaderWord.degraded) !== 0,
      near: nearReport(sweeper, context.nowNs).near,
      source: tracing.source,
    }, uid);
  }

  /** What the books say of a user, to be compared with /proc. */
  async audit(uid: number): Promise<Audit> {
    const { audit } = await import("./status/audit.ts");
    const { parts: { memory, limits, tracing } } = this;
    const { pageBytes, memberMask, creditsShares } = this.options();
    return audit({
      memory,
      ownerOf: (one) => limits.ownerOf(one),
      kernelUser: (one) => tracing.kernelUser(one),
      pageBytes,
      countMaskOf: (one) => ruleOf(limits.list(), one)?.countMask ?? memberMask,
      creditsShares,
      degraded: Atomics.load(memory.header, HeaderWord.degraded) !== 0,
      near: nearReport(attachCounters(memory, Role.sweeper), monotonicNs()).near,
      source: tracing.source,
    }, uid);
  }

  /** What a user is told of its own. */
  own(uid: number): OwnReport {
    const { host: { history }, parts: { memory, limits } } = this;
    const ownerUid = limits.ownerOf(uid);
    const slot = userSlotOf(memory, ownerUid);
    return {
      uid: ownerUid,
      pageBytes: this.options().pageBytes,
      user: (slot < 0 ? undefined : userReport(memory, slot, this.userContext())) ?? null,
      kills: history.recentOf(ownerUid).slice(-OWN_KILLS_MAX),
    };
  }

  async metrics(accept: string | null): Promise<MetricsAnswer> {
    const format = formatFor(accept);
    return { type: CONTENT_TYPES[format], bytes: await this.renderMetrics(format) };
  }

  async renderMetrics(format: ExpositionFormat): Promise<Uint8Array<ArrayBuffer>> {
    this.madeMetrics ??= this.makeMetrics();
    return (await this.madeMetrics).render(format);
  }

  private async makeMetrics(): Promise<Metrics> {
    const { Metrics } = await import("./metrics/metrics.ts");
    const { processCost } = await import("../kernel/process/cost.ts");
    return new Metrics({
      status: () => this.status(),
      kills: this.killCounts,
      cost: processCost,
      denoVersion: Deno.version.deno,
      nowMs: () => performance.now(),
    });
  }

  private userContext(): UserContext {
    const { samples, nearPages, parts: { names } } = this;
    return { nameOf: (uid) => names.nameOf(uid), nowNs: monotonicNs(), samples, nearPages };
  }
}
