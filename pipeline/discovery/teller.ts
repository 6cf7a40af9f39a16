/**
 * Reads a process in /proc and tells accounting what it holds, whose it is, and whether it shares
 * pages or its whole address space with another.
 *
 * One owner: the sweeper.
 *
 * @module
 */
import { packProc, ProcFlag } from "../memory/layout.ts";
import { LENDER, PROC, PROC_PAGES, TASK } from "../messages/records.ts";
import type { RecordWriter } from "../messages/record_writer.ts";
import { readLivingThread } from "../living_thread.ts";
import { type Clock, type Proc, ProcIdentity, ProcStatus } from "../ports.ts";

const MS_PER_TICK = 10;
const PAGES_MAX = 0x7fffffff;
/** A process that executes a program while it is read is read again, at most so often. */
const READS_MAX = 3;
/** Processes on one mm, each the child of the one before, that are followed. */
const LENDERS_MAX = 64;

/** What was told of a process. */
interface Told {
  readonly startTicks: number;
  /** A process on whose mm it runs; 0 none. */
  readonly lender: number;
  /** Where its stack begins: forks without an exec have their parent's address. */
  readonly stackStart: number;
  /** Another process of that stack was told of before. */
  readonly isForked: boolean;
  sweep: number;
}

export interface TellerOptions {
  readonly proc: Proc;
  readonly clock: Clock;
  readonly writer: RecordWriter;
  readonly pageBytes: number;
  /** For whom a uid counts. */
  readonly ownerOf: (uid: number) => number;
}

export class Teller {
  /** The process that was read last. */
  readonly status = new ProcStatus();
  /** Its real uid, of which {@link status} has the owner. */
  ownUid = 0;
  /** How long the machine has been suspended, milliseconds: births are counted without that. */
  suspendedMs = 0;
  /** Number of the sweep under way. */
  sweep = 0;
  private readonly options: TellerOptions;
  private readonly kibPerPage: number;
  private readonly told = new Map<number, Told>();
  /** By stack address, the process that was told of first. */
  private readonly firstOfStack = new Map<number, number>();
  /** By stack address, the process that was told of as no fork: its pages count in full. */
  private readonly wholeOfStack = new Map<number, number>();
  private readonly identity = new ProcIdentity();
  private readonly identityBefore = new ProcIdentity();
  private readonly identityOfOther = new ProcIdentity();
  private readonly identityOfThread = new ProcIdentity();
  private readonly statusOfThread = new ProcStatus();
  /** A living thread of the process of {@link identity}. */
  private thread = 0;

  constructor(options: TellerOptions) {
    this.options = options;
    this.kibPerPage = options.pageBytes / 1024;
  }

  /** Reads a living process, by any of its threads; its real uid then is the one it counts for. */
  read(pid: number): boolean {
    if (readLivingThread(this.options.proc, pid, this.status) === 0) return false;
    this.ownUid = this.status.realUid;
    this.status.realUid = this.options.ownerOf(this.ownUid);
    return true;
  }

  /** Threads of the process of {@link status}. */
  tids(pid: number): number[] {
    return this.status.threads === 1 ? [pid] : this.options.proc.listTids(pid);
  }

  /**
   * Tells accounting of a process, as of a time at which it ran what it runs when it is read: what is
   * heard of its mm from that time on is not of the one that it left by an exec.
   *
   * @param pid Of its leader.
   * @returns Whether it is alive; only then {@link status} is of it.
   */
  tell(pid: number, withTasks: boolean): boolean {
    for (let reads = 0; reads < READS_MAX; reads++) {
      if (this.identify(pid, this.identityBefore) === 0) return false;
      const tsNs = this.options.clock.nowNs();
      if (!this.read(pid)) return false;
      this.thread = this.identify(pid, this.identity);
      if (this.thread === 0) return false;
      // Its pages and its program must be of one program, because its exec may be under way.
      if (this.identity.stackStart !== this.identityBefore.stackStart) continue;
      this.put(tsNs, pid, withTasks);
      return true;
    }
    return true;
  }

  /**
   * Reads when a process began and where its stack is. Of one whose leader has exited, the kernel shows
   * that only by another thread, as with all that it has: a zombie shares its mm with all others.
   *
   * @returns A thread that lives; 0: the process is gone.
   */
  private identify(pid: number, out: ProcIdentity): number {
    const { proc } = this.options;
    if (!proc.readIdentity(pid, out)) return 0;
    if (out.stackStart !== 0) return pid;
    const tid = readLivingThread(proc, pid, this.statusOfThread);
    if (tid === 0 || tid === pid) return pid;
    if (proc.readIdentity(tid, this.identityOfThread)) {
      out.stackStart = this.identityOfThread.stackStart;
    }
    return tid;
  }

  private put(tsNs: number, pid: number, withTasks: boolean): void {
    const { status, kibPerPage } = this;
    const { writer } = this.options;
    const { startTicks } = this.identity;
    const known = this.know(pid);
    known.sweep = this.sweep;
    const flags = (known.lender !== 0 ? ProcFlag.borrows : 0) |
      (known.isForked ? ProcFlag.mayShare : 0);
    // The kernel counts from the boot, events from CLOCK_MONOTONIC, which stands still in suspends.
    const bornMs = Math.max(0, startTicks * MS_PER_TICK - this.suspendedMs);
    const pages = (kib: number): number => Math.min(PAGES_MAX, Math.floor(kib / kibPerPage));
    const process = writer.open(PROC, tsNs);
    process.tgid = pid;
    process.uid = status.realUid;
    process.startTicks = startTicks;
    process.bornLow = bornMs % 2 ** 32;
    process.packed = packProc(flags, bornMs);
    writer.close();
    const held = writer.open(PROC_PAGES, tsNs);
    held.tgid = pid;
    held.filePages = pages(status.rssFileKib);
    held.anonPages = pages(status.rssAnonKib);
    held.swapPages = pages(status.vmSwapKib);
    held.shmemPages = pages(status.rssShmemKib);
    writer.close();
    if (known.lender !== 0) {
      const lender = writer.open(LENDER, tsNs);
      lender.tgid = pid;
      lender.lenderTgid = known.lender;
      writer.close();
    }
    for (const tid of withTasks ? this.tids(pid) : [pid]) {
      const task = writer.open(TASK, tsNs);
      task.tid = tid;
      task.tgid = pid;
      writer.close();
    }
  }

  /** What was told of the process of {@link identity}, or is to be told from now on. */
  private know(pid: number): Told {
    const { startTicks, stackStart } = this.identity;
    const known = this.told.get(pid);
    const isSame = known !== undefined && known.startTicks === startTicks &&
      known.stackStart === stackStart;
    if (isSame && known.lender === 0) return known;
    let first = this.firstOfStack.get(stackStart);
    if (first === undefined || this.told.get(first)?.stackStart !== stackStart) {
      if (stackStart !== 0) this.firstOfStack.set(stackStart, pid);
      first = pid;
    }
    const lender = this.lenderOf(pid, first);
    // Others that ran on the mm of one that is gone run on this one's from now on.
    if (lender === 0 && first !== pid && this.hasEnded(first)) {
      this.firstOfStack.set(stackStart, pid);
    }
    const isForked = this.isOlder(first, pid, startTicks) || this.hasStackOfParent(stackStart) ||
      this.isOtherWhole(stackStart, pid);
    if (!isForked && lender === 0 && stackStart !== 0) this.wholeOfStack.set(stackStart, pid);
    const made = { startTicks, lender, stackStart, isForked, sweep: 0 };
    this.told.set(pid, made);
    return made;
  }

  /** Whether a process that was told of is there no more, or runs another program. */
  private hasEnded(pid: number): boolean {
    const { identityOfOther: identity } = this;
    const known = this.told.get(pid);
    return this.identify(pid, identity) === 0 ||
      identity.startTicks !== known?.startTicks || identity.stackStart !== known.stackStart;
  }

  /** Whether a process that was told of began before another one. */
  private isOlder(pid: number, than: number, startTicks: number): boolean {
    if (pid === than) return false;
    const known = this.told.get(pid);
    return known !== undefined && known.startTicks <= startTicks;
  }

  /**
   * Whether another process of a stack counts in full: a younger one that was told of before, as numbers
   * come back. Then this one may have nothing but what that has, and it must not count twice.
   */
  private isOtherWhole(stackStart: number, pid: number): boolean {
    const whole = this.wholeOfStack.get(stackStart);
    return whole !== undefined && whole !== pid && this.told.get(whole)?.stackStart === stackStart;
  }

  /** Whether the process of {@link status} is a child that has executed nothing: whoever is told first. */
  private hasStackOfParent(stackStart: number): boolean {
    const { ppid } = this.status;
    return stackStart !== 0 && ppid > 1 &&
      this.identify(ppid, this.identityOfOther) !== 0 &&
      this.identityOfOther.stackStart === stackStart;
  }

  /**
   * On whose mm a process runs; 0 on its own. Its parent's, or, when that is gone, that of the first
   * which was told of with the same stack.
   */
  private lenderOf(pid: number, first: number): number {
    const { ppid } = this.status;
    if (ppid > 1 && this.sharesMm(ppid)) return ppid;
    if (first === pid || !this.sharesMm(first)) return 0;
    return this.runsOnMmOf(first, pid) ? 0 : first;
  }

  /** Whether the process of {@link identity} runs on the mm of another. */
  private sharesMm(pid: number): boolean {
    const thread = this.identify(pid, this.identityOfOther);
    return thread !== 0 && this.options.proc.sharesMm(this.thread, thread);
  }

  /** Whether a process was told to run on the mm of another: a child that was told of before it. */
  private runsOnMmOf(pid: number, otherPid: number): boolean {
    // Each lender is older than who borrows, so this ends; but numbers come back.
    let lender = pid;
    for (let steps = 0; steps < LENDERS_MAX && lender !== 0; steps++) {
      if (lender === otherPid) return true;
      lender = this.told.get(lender)?.lender ?? 0;
    }
    return false;
  }

  /** Whether a process was ever told of. */
  knows(pid: number): boolean {
    return this.told.has(pid);
  }

  /** Whether the sweep under way has told of a process. */
  hasTold(pid: number): boolean {
    return this.told.get(pid)?.sweep === this.sweep;
  }

  /** The sweep under way is to tell of a process once more. */
  tellAgain(pid: number): void {
    const known = this.told.get(pid);
    if (known !== undefined) known.sweep = 0;
  }

  /** Forgets all processes. */
  forget(): void {
    this.told.clear();
  }

  /** Forgets those of whom the sweep under way, which ends, has not told. */
  forgetUntold(): void {
    for (const [pid, { sweep }] of this.told) if (sweep !== this.sweep) this.told.delete(pid);
    for (const ofStack of [this.firstOfStack, this.wholeOfStack]) {
      for (const [stackStart, pid] of ofStack) {
        if (this.told.get(pid)?.stackStart !== stackStart) ofStack.delete(stackStart);
      }
    }
  }
}
