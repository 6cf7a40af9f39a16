/**
 * Looks at the daemon: each second while somebody watches, seldom otherwise, at once after a kill.
 *
 * @module
 */
import type { Explanation, KillList, StatusReport } from "../../service/control/control_api.ts";
import { Feed } from "./feed.ts";
import { Listeners } from "./listeners.ts";
import { MachineReader } from "./machine.ts";
import { Samples } from "./samples.ts";

/** What is asked of the daemon, over its control socket. Each rejects with an error of one line. */
export interface Daemon {
  status(): Promise<StatusReport>;
  kills(): Promise<KillList>;
  explain(uid: number): Promise<Explanation>;
}

export const LOOK_EVERY_MS = 1000;
/** However much happens, it is not looked more often. */
const HURRIED_EVERY_MS = 250;
/** While nobody watches: so that a page shows what was before it was opened. */
const IDLE_EVERY_MS = 5000;

export interface WatcherOptions {
  readonly daemon: Daemon;
  /** Between two looks while somebody watches; for tests. */
  readonly everyMs?: number;
}

export class Watcher {
  readonly feed = new Feed();
  readonly samples = new Samples();
  readonly listeners: Listeners;
  /** Where older kills are; null: nowhere; undefined: the daemon has not answered yet. */
  historyPath: string | null | undefined;
  private readonly daemon: Daemon;
  private readonly everyMs: number;
  private readonly machine = new MachineReader();
  private running: Promise<void> | undefined;
  private isOver = false;
  private wake: () => void = () => {};
  private lookedAtMs = -Infinity;
  private hurried: ReturnType<typeof setTimeout> | undefined;

  constructor({ daemon, everyMs = LOOK_EVERY_MS }: WatcherOptions) {
    this.daemon = daemon;
    this.everyMs = everyMs;
    this.listeners = new Listeners(() => this.feed.snapshot(), () => performance.now());
  }

  start(): void {
    this.running ??= this.run();
  }

  async explain(uid: number): Promise<Explanation> {
    return await this.daemon.explain(uid);
  }

  /** Looks now, or as soon as it may. */
  hurry(): void {
    const waitMs = this.lookedAtMs + HURRIED_EVERY_MS - performance.now();
    if (waitMs <= 0) this.wake();
    else {this.hurried ??= setTimeout(() => {
        this.hurried = undefined;
        this.wake();
      }, waitMs);}
  }

  async stop(): Promise<void> {
    this.isOver = true;
    clearTimeout(this.hurried);
    this.wake();
    await this.running;
    this.listeners.close();
  }

  private async run(): Promise<void> {
    while (!this.isOver) {
      const beganMs = this.lookedAtMs = performance.now();
      await this.look();
      this.listeners.ping();
      const everyMs = this.listeners.size > 0
        ? this.everyMs
        : Math.max(this.everyMs, IDLE_EVERY_MS);
      // A daemon that is slow is asked less often: half of the time is its own.
      const tookMs = performance.now() - beganMs;
      await this.pause(Math.max(everyMs - tookMs, tookMs));
    }
  }

  private async look(): Promise<void> {
    const { daemon, feed, samples, listeners, machine } = this;
    try {
      const status = await daemon.status();
      const atMs = Date.now();
      const { kills, historyPath } = await daemon.kills();
      this.historyPath = historyPath;
      samples.take(atMs, status.users);
      listeners.tell(feed.take({ atMs, status, kills, machine: machine.read() }));
    } catch (error) {
      listeners.tell(feed.fail(error instanceof Error ? error.message : String(error)));
    }
  }

  private async pause(ms: number): Promise<void> {
    if (this.isOver) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = () => {};
  }
}
