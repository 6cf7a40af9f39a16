/**
 * Programs of one kind, a hook or mail: how many of them run, how often one is started, how it went.
 *
 * @module
 */
import type {
  AccountProgram,
  ProgramEnd,
  RunningProgram,
} from "../../kernel/programs/account_program.ts";
import type { HookSetting } from "../config/notify_settings.ts";
import type { NotifierReport } from "./notifier_report.ts";

export interface RunsContext {
  readonly start: (program: AccountProgram) => RunningProgram;
  /** Told what an administrator should know; one line. */
  readonly tell: (where: string, message: string) => void;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
}

/** Starts within a second: each takes this thread a moment. */
export const STARTS_PER_SECOND_MAX = 10;
/** The same kind of failure is told so often. */
const TOLD_EVERY_MS = 60_000;

export class BoundedRuns {
  private readonly name: string;
  private readonly context: RunsContext;
  private readonly running = new Set<RunningProgram>();
  private secondBeganMs = -Infinity;
  private startsInSecond = 0;
  private toldMs = -Infinity;
  private done = 0;
  private failed = 0;
  private late = 0;
  private left = 0;

  /** @param name For people: `hooks.before`, `notify.mail`. */
  constructor(name: string, context: RunsContext) {
    this.name = name;
    this.context = context;
  }

  /** Runs one, unless there are too many. Never waits, never throws. @returns Whether it was started. */
  run(
    { command, account, timeoutMs, atOnce }: HookSetting,
    { env, input }: Pick<AccountProgram, "env" | "input">,
  ): boolean {
    if (this.running.size >= atOnce || !this.mayStart()) {
      this.left++;
      return false;
    }
    const program = this.context.start({ command, account, timeoutMs, env, input });
    this.running.add(program);
    void program.ended.then((end) => {
      this.running.delete(program);
      this.note(end);
    });
    return true;
  }

  /** One that is not to be run, counted. */
  leaveOut(): void {
    this.left++;
  }

  private mayStart(): boolean {
    const nowMs = this.context.nowMs();
    if (nowMs - this.secondBeganMs >= 1000) {
      this.secondBeganMs = nowMs;
      this.startsInSecond = 0;
    }
    return ++this.startsInSecond <= STARTS_PER_SECOND_MAX;
  }

  private note({ kind, message }: ProgramEnd): void {
    if (kind === "done") {
      this.done++;
      return;
    }
    if (kind === "late") this.late++;
    else this.failed++;
    const nowMs = this.context.nowMs();
    if (nowMs - this.toldMs < TOLD_EVERY_MS) return;
    this.toldMs = nowMs;
    this.context.tell(this.name, message);
  }

  report(): NotifierReport {
    const { name, done, failed, late, left } = this;
    return { name, waiting: this.running.size, done, failed, late, left };
  }

  /** Ends those that run. */
  stop(): void {
    for (const program of this.running) program.kill();
  }

  /** Waits until none runs. */
  async settled(): Promise<void> {
    await Promise.all([...this.running].map(({ ended }) => ended));
  }
}
