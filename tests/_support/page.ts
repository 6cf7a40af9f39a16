/**
 * The page before a daemon that a test makes up: users who use what it says, and their kills.
 *
 * @module
 */
import { explanationSentences } from "../../cli/explain_text.ts";
import { receiptParts } from "../../cli/receipt_text.ts";
import { Archive } from "../../cli/web/archive.ts";
import { loadAssets } from "../../cli/web/assets.ts";
import { listenForPages, type PageListener } from "../../cli/web/listen.ts";
import { linkOf } from "../../cli/web/link.ts";
import { answerPage, type PageServerOptions } from "../../cli/web/server.ts";
import { type Daemon, Watcher } from "../../cli/web/watcher.ts";
import type { WebAddress } from "../../service/config/web_address.ts";
import type {
  Explanation,
  KillList,
  StatusReport,
  UserReport,
} from "../../service/control/control_api.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { FAKE_EXPLANATION, FAKE_STATUS } from "./fake_control.ts";
import { killRecord } from "./kill_entries.ts";

const MIB_PAGES = 256;

/** A user of a daemon that is made up; sizes in MiB. */
export function madeUser(
  uid: number,
  user: string | null,
  usageMib: number,
  hardMib: number,
  more: Partial<UserReport> = {},
): UserReport {
  const usagePages = Math.round(usageMib * MIB_PAGES);
  const hardPages = hardMib * MIB_PAGES;
  const softPages = Math.floor(hardPages * 0.9);
  return {
    ...FAKE_STATUS.users[0]!,
    uid,
    user,
    usagePages,
    countedPages: usagePages + 512,
    sharedPages: 512,
    promisedPages: 0,
    softPages,
    hardPages,
    peakPages: Math.max(usagePages, Math.round(hardPages * 0.7)),
    growthPagesPerSecond: 0,
    isNear: usagePages > softPages / 2,
    state: usagePages > hardPages ? "hard" : usagePages > softPages ? "soft" : "ok",
    kills: 0,
    ...more,
  };
}

/** A kill of a user that is made up. @param agoMs Before now. */
export function madeKill(
  number: number,
  user: UserReport,
  agoMs: number,
  more: Partial<KillRecord> = {},
): KillRecord {
  const at = new Date(Date.now() - agoMs);
  return {
    ...killRecord(number, user.uid),
    id: `${at.getTime().toString(36)}-${209 + number}`,
    at: at.toISOString(),
    crossedAt: new Date(at.getTime() - 1).toISOString(),
    user: user.user,
    comm: "python3",
    hardPages: user.hardPages,
    softPages: user.softPages,
    usagePages: user.hardPages + 1,
    countedPages: user.hardPages + 129,
    sharedPages: 128,
    peakPages: user.hardPages + 1,
    overshootBytes: 4096,
    victimPages: Math.round(user.hardPages * 0.8),
    victimAnonPages: Math.round(user.hardPages * 0.8) - 40,
    latencyUs: 15.6,
    trigger: "kernel",
    beganUs: null,
    freedBytes: Math.round(user.hardPages * 0.8) * 4096,
    exitUs: 10_570,
    exitStatus: 9,
    ...more,
  };
}

/** What a test says that there is; a test changes it, and the page follows. */
export class MadeDaemon implements Daemon {
  users: UserReport[] = [];
  recent: KillRecord[] = [];
  historyPath: string | null = null;
  problem: string | undefined;
  looks = 0;
  explanation: Partial<Explanation> = {};
  more: Partial<StatusReport> = {};
  private readonly startedMs = performance.now();

  status(): Promise<StatusReport> {
    this.looks++;
    if (this.problem !== undefined) return Promise.reject(new Error(this.problem));
    const passedMs = performance.now() - this.startedMs;
    return Promise.resolve({
      ...FAKE_STATUS,
      source: "bpf",
      uptimeSeconds: 3725.4 + passedMs / 1000,
      users: this.users,
      kills: { total: this.recent.length, failed: 0, spared: 0 },
      near: { isNear: true, seconds: 12.3, looks: 3441, lookMs: 210, refusals: 0 },
      shed: { reports: 0, orders: 0, logLines: 0, userChanges: 0 },
      history: {
        path: "/var/lib/toom/history.db",
        written: 31,
        pending: 0,
        missed: 0,
        failures: 0,
      },
      memory: { rssBytes: 104 * 2 ** 20 },
      workers: ["reader0", "accounting", "killer", "coordinator", "sweeper"].map((role, at) => ({
        role,
        state: "running" as const,
        heartbeatAgeMs: 12.5 + at * 21,
        cpuMs: 1230 + Math.round(passedMs / 1000 * 0.9),
        restarts: 0,
        events: at < 2 ? 123_456 : 0,
      })),
      ...this.more,
    });
  }

  kills(): Promise<KillList> {
    return Promise.resolve({ historyPath: this.historyPath, kills: this.recent });
  }

  explain(uid: number): Promise<Explanation> {
    const user = this.users.find((one) => one.uid === uid) ?? null;
    const secondsTo = (pages: number): number | null =>
      user === null || user.growthPagesPerSecond <= 0 || user.usagePages >= pages
        ? null
        : (pages - user.usagePages) / user.growthPagesPerSecond;
    return Promise.resolve({
      ...FAKE_EXPLANATION,
      uid,
      ownerUid: uid,
      user,
      rule: "1000-59999 by /etc/toom/config.jsonc:4",
      secondsToSoft: secondsTo(user?.softPages ?? 0),
      secondsToHard: secondsTo(user?.hardPages ?? 0),
      ...this.explanation,
    });
  }
}

export interface ServedPage extends AsyncDisposable {
  readonly daemon: MadeDaemon;
  readonly watcher: Watcher;
  /** Without the token. */
  readonly origin: string;
  readonly link: string;
  readonly options: PageServerOptions;
  /** Connections that are open. */
  readonly connections: () => number;
}

export const TOKEN = "0123456789abcdefghijklmnopqrstuv";

/** Serves the page on a port that is free. */
export async function servePage(
  {
    everyMs = 200,
    address = { kind: "tcp", hostname: "127.0.0.1", port: 0 },
    token = TOKEN,
  }: {
    readonly everyMs?: number;
    readonly address?: WebAddress;
    readonly token?: string | undefined;
  } = {},
): Promise<ServedPage> {
  const daemon = new MadeDaemon();
  const watcher = new Watcher({ daemon, everyMs });
  const archive = new Archive({
    path: () => watcher.historyPath,
    recent: () => watcher.feed.look?.kills ?? [],
  });
  const options: PageServerOptions = {
    assets: await loadAssets(),
    watcher,
    archive,
    sentences: { explanation: explanationSentences, receipt: receiptParts },
    token: address.kind === "unix" ? undefined : token,
  };
  const listener: PageListener = await listenForPages(
    address,
    (request) => answerPage(request, options),
  );
  const origin = listener.origin ?? "http://localhost";
  return {
    daemon,
    watcher,
    origin,
    link: linkOf(origin, token),
    options,
    connections: () => listener.server.size,
    async [Symbol.asyncDispose](): Promise<void> {
      await watcher.stop();
      await listener.close();
    },
  };
}
