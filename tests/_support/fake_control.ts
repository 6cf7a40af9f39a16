/**
 * A toom without a kernel behind its control socket.
 *
 * @module
 */
import type { OriginRule } from "../../service/limits/origin_rule.ts";
import { type LimitRule, LimitRules, SOFT_DEFAULT } from "../../pipeline/limits/limits.ts";
import type { ControlBackend, StatusReport } from "../../service/control/control_api.ts";
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
    { role: "reader0", state: "running", heartbeatAgeMs: 12.5, restarts: 0, events: 123456 },
    { role: "accounting", state: "running", heartbeatAgeMs: 3, restarts: 1, events: 123450 },
  ],
  memory: { rssBytes: 80 * 2 ** 20 },
};

/** Keeps limits in memory, and what it was asked. */
export class FakeBackend implements ControlBackend {
  persisted = true;
  failing = false;
  readonly rules = new LimitRules();
  readonly faults: string[] = [];
  readonly owners = new Map<number, number>();

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

  status(): StatusReport {
    return FAKE_STATUS;
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
    softDefault: SOFT_DEFAULT,
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
