/**
 * The kernel as a recording has it: who could be opened, who was protected, who raised its score, when
 * victims had ended. What was not asked at the time is answered as of a process that lives and may be
 * killed.
 *
 * @module
 */
import { Question } from "../kill/logged_kernel.ts";
import { type KillKernel, Refusal } from "../kill/kill_kernel.ts";
import { VOLUNTEER_SCORE_ADJ } from "../kill/verdicts.ts";
import type { ProcessFact } from "../recording/format.ts";

/** Between the killer's look at its clock and the answer; and what the replay's clock may be off by. */
const NEAR_NS = 2e6;
/** Answers of one kind about one process that are remembered. */
const ANSWERS_MAX = 256;
const ESRCH = 3;
/** proc_pid_oom_score_adj(5) */
const PROTECTED_SCORE_ADJ = -1000;
const NO_NAME = new Uint8Array(0);

interface Answer {
  readonly tsNs: number;
  readonly answer: number;
  readonly about: number;
}

export interface RecordedKernelOptions {
  /**
   * The decisions of the recording are made again: victims end when they did, and calls fail that did.
   * Else only what a process was counts: protected, or with a raised score.
   */
  readonly isExact: boolean;
  /** Whether a process is on the books, alive. */
  readonly isAlive: (pid: number) => boolean;
}

export class RecordedKernel implements KillKernel {
  /** Time of what is being decided, nanoseconds. */
  clockNs = 0;
  private readonly options: RecordedKernelOptions;
  /** By question, by pid. */
  private readonly answers = new Map<Question, Map<number, Answer[]>>();
  /** By pid, its oom_score_adj. */
  private readonly scores = new Map<number, number>();
  private readonly names = new Map<number, Uint8Array>();

  constructor(options: RecordedKernelOptions) {
    this.options = options;
  }

  note(tsNs: number, pid: number, question: Question, answer: number, about: number): void {
    let byPid = this.answers.get(question);
    if (byPid === undefined) this.answers.set(question, byPid = new Map<number, Answer[]>());
    const known = byPid.get(pid);
    if (known === undefined) byPid.set(pid, [{ tsNs, answer, about }]);
    else {
      known.push({ tsNs, answer, about });
      if (known.length > ANSWERS_MAX) known.shift();
    }
  }

  noteFacts(facts: readonly ProcessFact[]): void {
    for (const [pid, , scoreAdj, comm] of facts) {
      this.scores.set(pid, scoreAdj);
      this.names.set(pid, new TextEncoder().encode(comm));
    }
  }

  /** Processes that ask to go first, as far as is known. */
  *raisedScores(): Generator<readonly [pid: number, scoreAdj: number]> {
    for (const [pid, scoreAdj] of this.scores) {
      if (scoreAdj >= VOLUNTEER_SCORE_ADJ) yield [pid, scoreAdj];
    }
  }

  /** An answer that was given at this moment. */
  private answerNow(question: Question, pid: number, about = 0): number | undefined {
    const known = this.answers.get(question)?.get(pid);
    return known?.find((one) => Math.abs(one.tsNs - this.clockNs) <= NEAR_NS && one.about === about)
      ?.answer;
  }

  /** The newest answer until this moment, else the first after it. */
  private lastAnswer(question: Question, pid: number): number | undefined {
    const known = this.answers.get(question)?.get(pid);
    if (known === undefined) return undefined;
    const until = known.filter(({ tsNs }) => tsNs <= this.clockNs + NEAR_NS);
    return (until.at(-1) ?? known[0])?.answer;
  }

  open(pid: number): number {
    if (!this.options.isExact) return this.options.isAlive(pid) ? pid : -ESRCH;
    return this.answerNow(Question.open, pid) ?? pid;
  }

  check(_handle: number, pid: number): number {
    const known = this.options.isExact
      ? this.answerNow(Question.check, pid)
      : this.lastAnswer(Question.check, pid);
    if (known !== undefined && (this.options.isExact || known === Refusal.protected)) return known;
    // What the killer knew before the recording began, it does not ask again.
    return this.scores.get(pid) === PROTECTED_SCORE_ADJ ? Refusal.protected : Refusal.none;
  }

  kill(_handle: number, pid: number): number {
    return this.options.isExact ? this.answerNow(Question.kill, pid) ?? 0 : 0;
  }

  reap(): void {}
  hurry(): void {}
  close(): void {}

  exited(pid: number): boolean {
    if (!this.options.isExact) return !this.options.isAlive(pid);
    const known = this.answers.get(Question.exited)?.get(pid);
    return known?.some(({ tsNs }) => tsNs <= this.clockNs && this.clockNs - tsNs < EXIT_HOLDS_NS) ??
      false;
  }

  sharesMm(pid: number, otherPid: number): boolean {
    return this.answerNow(Question.sharesMm, pid, otherPid) === undefined;
  }

  oomScoreAdj(pid: number): number {
    return this.lastAnswer(Question.oomScoreAdj, pid) ?? this.scores.get(pid) ?? 0;
  }

  comm(pid: number): Uint8Array {
    return this.names.get(pid) ?? NO_NAME;
  }

  exitStatus(_handle: number, pid: number): number {
    return this.answerNow(Question.exitStatus, pid) ?? -1;
  }

  nowNs(): number {
    return this.clockNs;
  }
}

/** A pid that ended earlier is another process's by now. */
const EXIT_HOLDS_NS = 60e9;
