/**
 * A toom without a kernel behind its control socket.
 *
 * @module
 */
import type { ConfigReport } from "../../service/config/report.ts";
import { NOTHING_CHANGED } from "../../service/lifecycle/reload.ts";
import type { OriginRule, OverriddenRule } from "../../service/limits/origin_rule.ts";
import { type LimitRule, LimitRules, SOFT_DEFAULT } from "../../pipeline/limits/limits.ts";
import type {
  Audit,
  ControlBackend,
  EventsQuery,
  Explanation,
  KillList,
  MetricsAnswer,
  OpenRecording,
  ReloadAnswer,
  StatusReport,
} from "../../service/control/control_api.ts";
import { EventFeed, type FeedReader } from "../../service/control/event_feed.ts";
import { ControlServer, type ControlServerOptions } from "../../service/control/control_server.ts";

export const FAKE_STATUS: StatusReport = {
  version: "0.1.0",
  pid: 77,
  uptimeSeconds: 3725.4,
  pageBytes: 4096,
  source: "raw",
  degraded: false,
  dryRun: false,
  users: [{
    uid: 60001,
    user: null,
    countedPages: 9216,
    sharedPages: 1024,
    inDoubt: false,
    usagePages: 8192,
    promisedPages: 256,
    softPages: 14745,
    hardPages: 16384,
    peakPages: 16000,
    refusals: 0,
    growthPagesPerSecond: 256,
    isNear: true,
    state: "ok",
    processes: 3,
    kills: 1,
  }],
  kills: { total: 1, failed: 0, spared: 2 },
  events: {
    total: 123456,
    perSecond: 1234.5,
    lost: 0,
    malformed: 1,
    foreign: 2,
    stale: 3,
    unattributed: 4,
    driftPages: 5,
    sweeps: 6,
  },
  measuring: { users: 7, ms: 745 },
  tmalloc: {
    socketPath: "/run/toom/tmalloc.sock",
    connections: 3,
    processes: 2,
    waiting: 1,
    requests: 40,
    granted: 20,
    denied: 4,
    timedOut: 1,
    refusedConnections: 5,
    brokenConnections: { short: 2, malformed: 1 },
  },
  workers: [
    {
      role: "reader0",
      state: "running",
      heartbeatAgeMs: 12.5,
      cpuMs: 1230,
      restarts: 0,
      events: 123456,
    },
    {
      role: "accounting",
      state: "running",
      heartbeatAgeMs: 3,
      cpuMs: 40,
      restarts: 1,
      events: 123450,
    },
  ],
  memory: { rssBytes: 80 * 2 ** 20 },
};

export const FAKE_EXPLANATION: Explanation = {
  uid: 60001,
  ownerUid: 60001,
  user: FAKE_STATUS.users[0]!,
  rule: "60001 by toom run --limit",
  counted: "anon+swap+shmem",
  policy: "largest",
  pageBytes: 4096,
  source: "bpf",
  kernelTrigger: true,
  degraded: false,
  near: { isNear: true, seconds: 12.3, looks: 4, lookMs: 2, refusals: 0 },
  unmet: ["not-over"],
  secondsToSoft: 25.6,
  secondsToHard: 32,
  processes: [
    {
      pid: 4101,
      comm: "python3",
      countedPages: 6144,
      givesBackPages: 5120,
      growthPagesPerSecond: 256,
      oomScoreAdj: 0,
      fate: "next",
      rule: null,
    },
    {
      pid: 4102,
      comm: "sshd",
      countedPages: 3072,
      givesBackPages: 3072,
      growthPagesPerSecond: 0,
      oomScoreAdj: -1000,
      fate: "protected",
      rule: null,
    },
  ],
  freeablePages: 5120,
  protectedPages: 3072,
  dyingPages: 0,
  samples: [{ agoSeconds: 0.4, usagePages: 8192 }, { agoSeconds: 1.4, usagePages: 7936 }],
};

export const FAKE_AUDIT: Audit = {
  uid: 1000,
  ownerUid: 1000,
  pageBytes: 4096,
  countMask: 0b1110,
  creditsShares: true,
  source: "bpf",
  degraded: false,
  user: { countedPages: 9216, creditPages: 1024, inDoubt: false, processes: 2 },
  kernel: { totalPages: 9216, pendingPages: 0, inheritedPages: 0 },
  processes: [{ pid: 4101, countedPages: 6144 }, { pid: 4102, countedPages: 3072 }],
};

/** Keeps limits in memory, and what it was asked. */
export class FakeBackend implements ControlBackend {
  persisted = true;
  failing = false;
  readonly rules = new LimitRules();
  historyPath: string | null = null;
  recentKills: KillList["kills"] = [];
  explanation: Explanation = FAKE_EXPLANATION;
  readonly explained: number[] = [];
  audited: Audit = FAKE_AUDIT;
  readonly faults: string[] = [];
  readonly owners = new Map<number, number>();
  readonly reloads: string[] = [];
  overrides: readonly OverriddenRule[] = [];
  report: ConfigReport = { files: [], settings: [], limits: [], rules: [] };
  reloadAnswer: ReloadAnswer = NOTHING_CHANGED;
  recordings = 0;
  recordingChunks: readonly Uint8Array<ArrayBuffer>[] = [];
  readonly ends = new Map<number, () => void>();
  readonly feed = new EventFeed({ instance: "fake", last: 0, nowMs: () => performance.now() });

  limits(): readonly OriginRule[] {
    if (this.failing) throw new Error("secret detail");
    return this.rules.list().map((rule) => ({ ...rule, origin: "control" }));
  }

  setLimit(rule: LimitRule): Promise<{ readonly persisted: boolean }> {
    this.rules.set(rule);
    return Promise.resolve({ persisted: this.persisted });
  }

  ownerOf(uid: number): number {
    return this.owners.get(uid) ?? uid;
  }

  clearLimit(
    uidFirst: number,
    uidLast: number,
  ): Promise<{ readonly cleared: boolean; readonly persisted: boolean }> {
    const cleared = this.rules.clear(uidFirst, uidLast);
    return Promise.resolve({ cleared, persisted: this.persisted });
  }

  resetLimit(
    uidFirst: number,
    uidLast: number,
  ): Promise<{ readonly cleared: boolean; readonly persisted: boolean }> {
    return this.clearLimit(uidFirst, uidLast);
  }

  overridden(): readonly OverriddenRule[] {
    return this.overrides;
  }

  config(): ConfigReport {
    return this.report;
  }

  reload(isAtOnce: boolean): Promise<ReloadAnswer> {
    this.reloads.push(isAtOnce ? "now" : "later");
    return Promise.resolve(this.reloadAnswer);
  }

  kills(): KillList {
    return { historyPath: this.historyPath, kills: this.recentKills };
  }

  metrics(accept: string | null): MetricsAnswer {
    const bytes = new TextEncoder().encode(`# ${accept}\n`);
    return { type: "text/plain; version=0.0.4", bytes };
  }

  explain(uid: number): Explanation {
    this.explained.push(uid);
    return { ...this.explanation, uid };
  }

  audit(uid: number): Audit {
    return { ...this.audited, uid };
  }

  status(): StatusReport {
    return FAKE_STATUS;
  }

  record(): OpenRecording | undefined {
    const id = ++this.recordings;
    const chunks = this.recordingChunks;
    return {
      id,
      stream: new ReadableStream({
        start: (controller) => {
          for (const chunk of chunks) controller.enqueue(chunk);
          this.ends.set(id, () => controller.close());
        },
        cancel: () => void this.ends.delete(id),
      }),
    };
  }

  endRecording(id: number): boolean {
    this.ends.get(id)?.();
    return this.ends.delete(id);
  }

  events(query: EventsQuery): FeedReader | undefined {
    return this.feed.open(query);
  }

  fault(role: string, kind: string): boolean {
    this.faults.push(`${role} ${kind}`);
    return role !== "reader9";
  }
}

/** What {@link withControl} gives to a test. */
export interface FakeControl {
  readonly dirPath: string;
  readonly socketPath: string;
  readonly backend: FakeBackend;
  readonly server: ControlServer;
  /** What the server reported to its log. */
  readonly errors: unknown[];
}

/** Options of a server in front of a backend; 16 GiB of memory, pages of 4 KiB. */
export function fakeOptions(
  socketPath: string,
  backend: ControlBackend,
  errors: unknown[] = [],
): ControlServerOptions {
  return {
    socketPath,
    backend,
    totalMemoryBytes: 2 ** 34,
    pageBytes: 4096,
    softDefault: () => SOFT_DEFAULT,
    debugFaults: true,
    onError: (error) => errors.push(error),
  };
}

/** Runs a test against a real socket in a folder of its own. */
export async function withControl(test: (control: FakeControl) => Promise<void>): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  const socketPath = `${dirPath}/run/control.sock`;
  const backend = new FakeBackend();
  const errors: unknown[] = [];
  const server = await ControlServer.start(fakeOptions(socketPath, backend, errors));
  try {
    await test({ dirPath, socketPath, backend, server, errors });
  } finally {
    await server.stop();
    await Deno.remove(dirPath, { recursive: true });
  }
}
