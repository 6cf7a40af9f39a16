/**
 * The process that serves the page, as the daemon has it: started once limits are enforced, started again
 * when it ends, ended with the daemon. Nothing waits for it, and what it does, it does over the control
 * socket as any other client.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import type { WebAddress } from "../config/web_address.ts";
import { webAddressText } from "../config/web_address.ts";

/** A process that serves the page. */
export interface WebChild {
  /** Resolves when it listens; never, when it does not. */
  readonly listens: Promise<void>;
  /** Resolves when it has ended, with the last line that it said about what went wrong. */
  readonly ended: Promise<string>;
  /** Asks it to end. */
  readonly finish: () => void;
  readonly kill: () => void;
}
export type SpawnWeb = (address: WebAddress, controlSocketPath: string) => WebChild;

export interface WebProcessOptions {
  readonly address: WebAddress;
  readonly controlSocketPath: string;
  readonly spawn: SpawnWeb;
  /** Told what an administrator should know; one line. */
  readonly tell: (message: string) => void;
  /** Told what went wrong; one line. */
  readonly complain: (message: string) => void;
  /** For tests. */
  readonly retryMs?: number;
}

/** After its end it is started again, each time after twice as long. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** What its end may take at the end of the daemon. */
const END_MS_MAX = 300;

export class WebProcess {
  private readonly options: WebProcessOptions;
  private child: WebChild | undefined;
  private running: Promise<void> | undefined;
  private isOver = false;
  private wake: () => void = () => {};

  constructor(options: WebProcessOptions) {
    this.options = options;
  }

  start(): void {
    this.running ??= this.run();
  }

  private async run(): Promise<void> {
    const { address, controlSocketPath, spawn, tell, complain, retryMs = RETRY_MS_MIN } =
      this.options;
    const text = webAddressText(address);
    let waitMs = retryMs;
    let isTold = false;
    let told = "";
    while (!this.isOver) {
      let problem: string;
      try {
        const child = this.child = spawn(address, controlSocketPath);
        void child.listens.then(() => {
          waitMs = retryMs;
          told = "";
          if (!isTold) tell(`page on ${text}; toom web --link prints its link`);
          isTold = true;
        });
        problem = await child.ended;
      } catch (error) {
        problem = messageOf(error);
      }
      this.child = undefined;
      if (this.isOver) return;
      // The same again and again is told once.
      if (problem !== told) complain(`no page on ${text}: ${problem}`);
      told = problem;
      await this.pause(waitMs);
      waitMs = Math.min(RETRY_MS_MAX, waitMs * 2);
    }
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends it, in {@link END_MS_MAX} at most. */
  async stop(): Promise<void> {
    this.isOver = true;
    this.wake();
    const { child } = this;
    if (child !== undefined) {
      child.finish();
      const timer = setTimeout(() => child.kill(), END_MS_MAX);
      await child.ended;
      clearTimeout(timer);
    }
    await this.running;
  }
}
