/**
 * What the sweeper does with /proc: finds the processes that count, has them traced, and tells
 * accounting what they hold.
 *
 * A process counts when its user has a limit, or when it is traced already (it may have had such a
 * user). Tracing comes before reading: what happens after the reading then comes as an event.
 *
 * @module
 */
import {
  packProc,
  ProcessState,
  ProcFlag,
  RecordKind,
  SweepFlag,
} from "../pipeline/memory/layout.ts";
import { TABLE_HEADER_BYTES, TableWord } from "../pipeline/memory/layout.ts";
import type { RulesView } from "../pipeline/limits/limits.ts";
import type { OwnersView } from "../pipeline/limits/owners.ts";
import type { Memory } from "../pipeline/memory/memory.ts";
import type { RecordWriter } from "../pipeline/messages/record_writer.ts";
import type { MonotonicClock } from "../kernel/ffi/clock.ts";
import { readTextFile } from "../kernel/ffi/fd.ts";
import {
  ProcIdentity,
  ProcReader,
  ProcStatus,
  sharesMm,
  STATE_DEAD,
  STATE_ZOMBIE,
} from "../kernel/proc/proc.ts";
import { procErrorPages } from "../kernel/proc/proc_accuracy.ts";
import type { TraceInstance } from "../kernel/trace/tracefs.ts";
import { openLibc } from "../kernel/ffi/libc.ts";

/** While new tasks appear, /proc is read again; a fork bomb must not keep a sweep going for ever. */
const ROUNDS_MAX = 8;
/** Processes of users without a limit that a sweep looks at again, for a change of user. */
const OTHERS_A_SWEEP = 256;
/** Sweeps that pass over a kernel thread; its number may have come to another since. */
const KTHREAD_SWEEPS = 60;
const PIDS_MAX = 1 << 17;
/** Execs that wait to be looked at; what is beyond that is found by the sweep. */
const LOOKS_MAX = 4096;
/** Who changes its user to run something does so within this time. */
const EXEC_WITHIN_NS = 50e6;
/** Signs of life while reading /proc, every so many processes. */
const ALIVE_EVERY = 64;
const MS_PER_TICK = 10;
const PAGES_MAX = 0x7fffffff;

/** What was told of a process. */
interface Told {
  readonly startTicks: number;
  /** A process on whose mm it runs: its parent, or what its parent's fork made before; 0 none. */
  readonly lender: number;
  /** Where its stack begins: forks without an exec have their parent's address. */
  readonly stackStart: number;
  /** Another process of that stack was told of before. */
  readonly isForked: boolean;
  sweep: number;
}

export interface SweepContext {
  readonly memory: Memory;
  readonly writer: RecordWriter;
  readonly rules: RulesView;
  readonly owners: OwnersView;
  readonly instance: TraceInstance;
  readonly clock: MonotonicClock;
  readonly pageBytes: number;
  /** Hands over what was written so far. */
  readonly publish: () => void;
  /** Called now and then during long work. */
  readonly alive: () => void;
}

export class Sweep {
  private readonly context: SweepContext;
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  private readonly pids = new Int32Array(PIDS_MAX);
  private readonly ownPid = openLibc().getpid();
  private readonly kibPerPage: number;
  private readonly errorPages: number;
  private readonly processHeader: Int32Array;
  /** Processes of users without a limit, and the sweep that looked at them last. */
  private readonly others = new Map<number, number>();
  /** Processes told of, and whether they run on their parent's mm. */
  private readonly told = new Map<number, Told>();
  /** By stack address, the process that was told of first. */
  private readonly firstOfStack = new Map<number, number>();
  private readonly identity = new ProcIdentity();
  private readonly identityBefore = new ProcIdentity();
  /** Processes that executed a program or changed their user. */
  private readonly looks: number[] = [];
  /** Processes to look at later, and when; in that order. */
  private readonly later = new Map<number, number>();
  /** Processes that count and are not on the kernel's list yet. */
  private readonly untraced = new Set<number>();
  /** A process could not be looked at, or traced; set back by who has all of /proc read instead. */
  hasOverrun = false;
  private isAppending = false;
  private number = 0;
  private suspendedMs = 0;
  private rulesAreNew = false;

  constructor(context: SweepContext) {
    this.context = context;
    this.kibPerPage = context.pageBytes / 1024;
    this.errorPages = procErrorPages(
      readTextFile("/proc/sys/kernel/osrelease"),
      navigator.hardwareConcurrency,
    );
    const { buffer, plan } = context.memory;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  }

  /** Limits have changed: who counts must be found out anew. */
  rulesChanged(): void {
    this.others.clear();
    this.rulesAreNew = true;
  }

  /** Looks at every process that counts. */
  full(afterLoss: boolean): void {
    const { writer, clock } = this.context;
    const sweep = ++this.number;
    this.suspendedMs = clock.suspendedNs() / 1e6;
    const flags = SweepFlag.full | (afterLoss ? SweepFlag.afterLoss : 0) |
      (sweep === 1 ? SweepFlag.initial : 0);
    writer.put(clock.nowNs(), RecordKind.sweepBegin, 0, sweep, flags, this.errorPages, 0, 0);
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const missing = this.round(round === ROUNDS_MAX);
      if (missing.length === 0) break;
      this.trace(missing);
    }
    this.rulesAreNew = false;
    for (const [pid, { sweep: seen }] of this.told) if (seen !== sweep) this.told.delete(pid);
    for (const [stackStart, pid] of this.firstOfStack) {
      if (this.told.get(pid)?.stackStart !== stackStart) this.firstOfStack.delete(stackStart);
    }
    writer.put(clock.nowNs(), RecordKind.sweepEnd, 0, sweep, flags, 0, 0, 0);
  }

  /**
   * One pass over /proc. Tells of the processes that are traced already.
   * @param last Tell of the others too: there is no further pass.
   * @returns Tasks that should be traced and are not.
   */
  private round(last: boolean): number[] {
    const { rules, instance, clock, alive } = this.context;
    const traced = new Set(instance.readPids());
    const count = this.proc.listPids(this.pids);
    const othersEvery = Math.ceil(this.others.size / OTHERS_A_SWEEP);
    if (this.others.size > 2 * count) this.others.clear();
    const missing: number[] = [];
    const keep: number[] = [];
    let outdated = false;
    // But those who were there before toom, or before their limit, count at once.
    const isNewcomerToWait = this.number > 1 && !this.rulesAreNew;
    for (let i = 0; i < count; i++) {
      const pid = this.pids[i]!;
      if (i % ALIVE_EVERY === 0) alive();
      if (this.told.get(pid)?.sweep === this.number) continue;
      const looked = this.others.get(pid);
      if (looked !== undefined && this.number < looked + othersEvery && !traced.has(pid)) continue;
      const tsNs = clock.nowNs();
      if (!this.read(pid)) continue;
      const limited = rules.find(this.status.realUid) !== undefined && pid !== this.ownPid &&
        !this.status.kthread;
      if (!limited && !traced.has(pid)) {
        // A thread of the kernel stays one.
        this.others.set(pid, this.number + (this.status.kthread ? KTHREAD_SWEEPS : 0));
        continue;
      }
      this.others.delete(pid);
      // Met between its change of user and its exec, perhaps: see lookChanged().
      if (limited && isNewcomerToWait && !traced.has(pid) && !this.told.has(pid)) {
        if (this.slotOf(this.status.tgid) < 0) {
          this.lookLater(pid);
          continue;
        }
      }
      if (!limited) outdated = true;
      else if (this.rulesAreNew) keep.push(...this.tids(pid));
      const before = missing.length;
      if (limited) {
        for (const tid of this.tids(pid)) if (!traced.has(tid)) missing.push(tid);
      }
      // Those that are not traced yet are told of now, so that their events find them known, and
      // again when they are.
      this.tell(tsNs, traced.has(pid));
      const known = this.told.get(pid);
      if (known !== undefined && missing.length > before && !last) known.sweep = 0;
    }
    if (outdated && this.rulesAreNew) {
      // Somebody lost his limit: his processes shall cost nothing any more. What the others did in
      // the moment between the old list and the new is read again by the next round.
      this.rulesAreNew = false;
      instance.writePids(keep);
      this.told.clear();
      return missing.length > 0 ? missing : keep.slice(0, 1);
    }
    return missing;
  }

  private tids(pid: number): number[] {
    return this.status.threads === 1 ? [pid] : this.proc.listTids(pid);
  }

  /** Reads a process; its real uid then is the one that it counts for. */
  private read(pid: number): boolean {
    if (!this.readLiving(pid)) return false;
    this.status.realUid = this.context.owners.ownerOf(this.status.realUid);
    return true;
  }

  /** Of one whose leader has exited, through one of its other threads. */
  private readLiving(pid: number): boolean {
    const { proc, status } = this;
    if (!proc.readStatus(pid, status)) return false;
    if (status.state !== STATE_ZOMBIE && status.state !== STATE_DEAD) return true;
    if (status.threads <= 1) return false;
    for (const tid of proc.listTids(pid)) {
      if (tid === pid || !proc.readStatus(tid, status)) continue;
      if (status.state !== STATE_ZOMBIE && status.state !== STATE_DEAD) return true;
    }
    return false;
  }

  /** Tells accounting what {@link status} says. */
  private tell(tsNs: number, withTasks: boolean): void {
    const { writer } = this.context;
    const { status, kibPerPage } = this;
    const pid = status.tgid;
    // What is told of its pages and of its program must be of one program: its exec may be under way.
    if (!this.proc.readIdentity(pid, this.identityBefore) || !this.read(pid)) return;
    if (!this.proc.readIdentity(pid, this.identity)) return;
    const { startTicks, stackStart } = this.identity;
    if (stackStart !== this.identityBefore.stackStart) return;
    const known = this.know(pid);
    known.sweep = this.number;
    const flags = (known.lender !== 0 ? ProcFlag.borrows : 0) |
      (known.isForked ? ProcFlag.mayShare : 0);
    // The kernel counts from the boot, events from CLOCK_MONOTONIC, which stands still in suspends.
    const bornMs = Math.max(0, startTicks * MS_PER_TICK - this.suspendedMs);
    const pages = (kib: number): number => Math.min(PAGES_MAX, Math.floor(kib / kibPerPage));
    writer.put(
      tsNs,
      RecordKind.proc,
      0,
      pid,
      status.realUid | 0,
      startTicks | 0,
      bornMs % 2 ** 32 | 0,
      packProc(flags, bornMs),
    );
    writer.put(
      tsNs,
      RecordKind.procPages,
      0,
      pid,
      pages(status.rssFileKib),
      pages(status.rssAnonKib),
      pages(status.vmSwapKib),
      pages(status.rssShmemKib),
    );
    if (known.lender !== 0) writer.put(tsNs, RecordKind.lender, 0, pid, known.lender, 0, 0, 0);
    if (!withTasks || status.threads === 1) {
      writer.put(tsNs, RecordKind.task, 0, pid, pid, 0, 0, 0);
      return;
    }
    for (const tid of this.proc.listTids(pid)) {
      writer.put(tsNs, RecordKind.task, 0, tid, pid, 0, 0, 0);
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
    const made = { startTicks, lender, stackStart, isForked: first !== pid, sweep: 0 };
    this.told.set(pid, made);
    return made;
  }

  /**
   * On whose mm a process runs; 0 on its own. Its parent's, or, when that is gone, that of the first
   * which was told of with the same stack.
   */
  private lenderOf(pid: number, first: number): number {
    const { ppid } = this.status;
    if (ppid > 1 && sharesMm(pid, ppid)) return ppid;
    return first !== pid && sharesMm(pid, first) ? first : 0;
  }

  /**
   * Reads all processes that the books have of a user: what events that were lost have told.
   * @param uid As in the tables.
   */
  verify(uid: number): void {
    const { writer, clock, memory } = this.context;
    const { processes, users } = memory;
    writer.put(clock.nowNs(), RecordKind.verifyBegin, 0, uid, 0, 0, 0, 0);
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      const pid = processes.tgid[slot]!;
      if (processes.state[slot] === ProcessState.free || pid <= 0) continue;
      if (users.uid[processes.userSlot[slot]!] !== uid) continue;
      const tsNs = clock.nowNs();
      if (this.read(pid)) this.tell(tsNs, false);
      else writer.put(tsNs, RecordKind.gone, 0, pid, 0, 0, 0, 0);
    }
    writer.put(clock.nowNs(), RecordKind.verifyEnd, 0, uid, 0, 0, 0, 0);
  }

  /** Has tasks traced. The kernel starts at once, but the call may take 40 ms and more (RCU). */
  private trace(tids: readonly number[]): void {
    this.context.publish();
    this.context.alive();
    this.context.instance.appendPids(tids);
    this.context.alive();
  }

  /** An exec: {@link lookAll} finds out what it means. */
  look(pid: number): void {
    if (this.looks.length < LOOKS_MAX) this.looks.push(pid);
    else this.hasOverrun = true;
  }

  /**
   * A change of user. Who was somebody else until now is about to exec, as a rule, and what it has
   * until then is a copy of its parent's, which must not be held against the user: it is looked at
   * when it has, or a moment later.
   */
  lookChanged(pid: number): void {
    if (this.slotOf(pid) >= 0) this.look(pid);
    else this.lookLater(pid);
  }

  private lookLater(pid: number): void {
    if (this.later.has(pid)) return;
    if (this.later.size >= LOOKS_MAX) {
      this.hasOverrun = true;
      return;
    }
    this.later.set(pid, this.context.clock.nowNs() + EXEC_WITHIN_NS);
  }

  /** When {@link lookAll} has something to do even if nothing happens; Infinity never. */
  get nextLookNs(): number {
    // In the order in which they came, and all wait equally long.
    for (const dueNs of this.later.values()) return dueNs;
    return Infinity;
  }

  /** Do the processes of the latest execs and changes of user count now, and whose are they? */
  lookAll(): void {
    const { rules, clock, memory } = this.context;
    const { status } = this;
    const nowNs = clock.nowNs();
    for (const [pid, dueNs] of this.later) {
      if (dueNs > nowNs) break;
      this.later.delete(pid);
      this.look(pid);
    }
    for (let i = 0; i < this.looks.length; i++) {
      const tsNs = clock.nowNs();
      const pid = this.looks[i]!;
      if (pid === this.ownPid || !this.read(pid)) continue;
      const slot = this.slotOf(status.tgid);
      if (slot >= 0) {
        const uid = memory.users.uid[memory.processes.userSlot[slot]!]!;
        if (uid !== (status.realUid | 0)) this.tell(tsNs, true);
      } else if (rules.find(status.realUid) !== undefined && this.slotOf(status.ppid) < 0) {
        // A login: had its parent been traced, it would be too.
        this.untraced.add(status.tgid);
        this.tell(tsNs, false);
      }
    }
    this.looks.length = 0;
    this.traceLogins();
  }

  /**
   * Has the logins traced, without waiting for it: the kernel lets one such call take effect only
   * when the one before has returned, up to 40 ms later. Until then they are read again and again.
   */
  private traceLogins(): void {
    if (this.untraced.size === 0) return;
    const { instance } = this.context;
    for (const pid of this.untraced) this.tellLogin(pid, false);
    if (this.isAppending || this.untraced.size === 0) return;
    const pids = [...this.untraced];
    const tids = pids.flatMap((pid) => this.read(pid) ? this.tids(pid) : []);
    this.isAppending = true;
    instance.appendPidsAsync(tids).then(
      () => this.traced(pids),
      // A process that ended meanwhile is no failure; what is one, a sweep tries again, at once.
      () => {
        this.hasOverrun = true;
        this.traced(pids);
      },
    );
  }

  private traced(pids: readonly number[]): void {
    this.isAppending = false;
    for (const pid of pids) {
      this.untraced.delete(pid);
      this.tellLogin(pid, true);
    }
    this.context.publish();
  }

  /** Tells of a login and its children, or of its end: no event does, if it was not traced by then. */
  private tellLogin(pid: number, isTraced: boolean): void {
    const { clock, writer } = this.context;
    const tsNs = clock.nowNs();
    if (this.read(pid)) {
      this.tell(tsNs, isTraced);
      this.findChildren(pid);
      return;
    }
    this.untraced.delete(pid);
    writer.put(tsNs, RecordKind.gone, 0, pid, 1, 0, 0, 0);
  }

  /**
   * Children that a login had before it was traced: nobody announced them, and without this they
   * would be free until the next sweep. They are logins like itself.
   */
  private findChildren(pid: number): void {
    for (const child of this.proc.listChildren(pid)) {
      if (this.untraced.has(child) || this.slotOf(child) >= 0) continue;
      const tsNs = this.context.clock.nowNs();
      if (!this.read(child) || this.context.rules.find(this.status.realUid) === undefined) continue;
      this.untraced.add(child); // And visited in turn, should the set be under way.
      this.tell(tsNs, false);
    }
  }

  /** Whether a call on another thread is under way, whose end the event loop brings. */
  get isWaiting(): boolean {
    return this.isAppending;
  }

  /** Accounting met a task that nobody announced. */
  resolve(tid: number): void {
    const tsNs = this.context.clock.nowNs();
    if (this.read(tid)) {
      this.tell(tsNs, true);
      if (this.status.tgid === tid) return;
    }
    // Either it is gone, or it is a thread, and the process of that number was a guess.
    this.context.writer.put(tsNs, RecordKind.gone, 0, tid, 0, 0, 0, 0);
  }

  /** Slot of a living process in accounting's table; -1 when it has none, or has just got one. */
  private slotOf(tgid: number): number {
    const { tgid: tgids, state } = this.context.memory.processes;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if (tgids[slot] === tgid && state[slot] === ProcessState.alive) return slot;
    }
    return -1;
  }
}
