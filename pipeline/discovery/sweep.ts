/**
 * What the sweeper does with /proc: finds the processes that count, has them traced, and tells
 * accounting what they hold.
 *
 * A process counts when its user has a limit, or when it is traced already (it may have had such a
 * user). Tracing comes before reading: what happens after the reading then comes as an event.
 *
 * @module
 */
import { EXEC_WITHIN_NS } from "../memory/timing.ts";
import { ProcessState, SweepFlag, TABLE_HEADER_BYTES, TableWord } from "../memory/layout.ts";
import type { RulesView } from "../limits/published_rules.ts";
import type { OwnersView } from "../limits/owners.ts";
import type { Memory } from "../memory/memory.ts";
import { GONE, SWEEP_BEGIN, SWEEP_END, VERIFY_BEGIN, VERIFY_END } from "../messages/records.ts";
import type { RecordWriter } from "../messages/record_writer.ts";
import type { Clock, Proc, RecordedUsers, TraceList } from "../ports.ts";
import { ProcTrial } from "./proc_trial.ts";
import { Teller } from "./teller.ts";

/** While new tasks appear, /proc is read again; a fork bomb must not keep a sweep going for ever. */
const ROUNDS_MAX = 8;
/** Processes of users without a limit that a sweep looks at again, for a change of user. */
const OTHERS_A_SWEEP = 256;
/** Sweeps that pass over a kernel thread; its number may have come to another since. */
const KTHREAD_SWEEPS = 60;
const PIDS_MAX = 1 << 17;
/** Processes at a time that a sweep has traced as logins are: read again and again meanwhile. */
const LOGINS_MAX = 32;
/** Execs that wait to be looked at; what is beyond that is found by the sweep. */
const LOOKS_MAX = 4096;
/** Signs of life while reading /proc, every so many processes. */
const ALIVE_EVERY = 64;
export interface SweepContext {
  readonly memory: Memory;
  readonly writer: RecordWriter;
  readonly rules: RulesView;
  readonly owners: OwnersView;
  readonly list: TraceList;
  /** Undefined: the list says who is recorded. */
  readonly users?: RecordedUsers | undefined;
  readonly proc: Proc;
  readonly clock: Clock;
  readonly pageBytes: number;
  /** By how much /proc may be wrong on this kernel, pages a member. */
  readonly errorPages: number;
  /** Of toom itself, which never counts. */
  readonly ownPid: number;
  /** Hands over what was written so far. */
  readonly publish: () => void;
  /** Called now and then during long work. */
  readonly alive: () => void;
  /** Told of each reading of /proc that fails, which is tried again by the next sweep. */
  readonly onProcFailure: () => void;
}

export class Sweep {
  private readonly context: SweepContext;
  private readonly teller: Teller;
  private readonly trial: ProcTrial;
  /** A reading has failed since the sweep under way began: it has not seen everybody. */
  private hasFailed = false;
  private readonly pids = new Int32Array(PIDS_MAX);
  private readonly processHeader: Int32Array;
  /** Processes of users without a limit, and the sweep that looked at them last. */
  private readonly others = new Map<number, number>();
  /** Processes that executed a program or changed their user. */
  private readonly looks: number[] = [];
  /** Processes to look at later, and when; in that order. */
  private readonly later = new Map<number, number>();
  /** Processes that count and are not on the kernel's list yet. */
  private readonly untraced = new Set<number>();
  /** A process could not be looked at, or traced; set back by who has all of /proc read instead. */
  hasOverrun = false;
  /** Processes of the last pass over /proc with tasks that should be traced and are not. */
  private readonly missing: number[] = [];
  private isAppending = false;
  private rulesAreNew = false;

  constructor(context: SweepContext) {
    this.context = context;
    const { proc, clock, writer, pageBytes, owners, onProcFailure } = context;
    this.trial = new ProcTrial(proc, () => {
      this.hasFailed = true;
      onProcFailure();
    });
    const ownerOf = (uid: number): number => owners.ownerOf(uid);
    this.teller = new Teller({ proc, clock, writer, pageBytes, ownerOf });
    const { buffer, plan } = context.memory;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  }

  /** Limits have changed: who counts must be found out anew. */
  rulesChanged(): void {
    this.others.clear();
    this.rulesAreNew = true;
    this.context.users?.rulesChanged();
  }

  /**
   * Looks at every process that counts. When /proc cannot be read, it is no full sweep at its end:
   * whom it has not told of may be there all the same.
   */
  full(afterLoss: boolean): void {
    const { writer, clock, errorPages } = this.context;
    const { teller } = this;
    const sweep = ++teller.sweep;
    this.hasFailed = false;
    teller.suspendedMs = clock.suspendedNs() / 1e6;
    const flags = SweepFlag.full | (afterLoss ? SweepFlag.afterLoss : 0) |
      (sweep === 1 ? SweepFlag.initial : 0);
    const begin = writer.open(SWEEP_BEGIN, clock.nowNs());
    begin.number = sweep;
    begin.flags = flags;
    begin.errorPages = errorPages;
    writer.close();
    // Logins, and who grows, wait while the list is written to: not for a few that nobody announced.
    const waits = sweep === 1 || this.rulesAreNew || afterLoss;
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const tids = this.round();
      this.context.users?.settle();
      if (tids.length === 0) break;
      if (!waits && this.missing.length <= LOGINS_MAX) {
        for (const pid of this.missing) this.untraced.add(pid);
        break;
      }
      this.trace(tids);
      // There is no further pass after the last.
      if (round === ROUNDS_MAX) break;
      for (const pid of this.missing) teller.tellAgain(pid);
    }
    const isWhole = !this.hasFailed;
    // Else the next one must find out who counts, as this one should have.
    this.rulesAreNew = !isWhole && (this.rulesAreNew || sweep === 1);
    this.traceLogins();
    if (isWhole) teller.forgetUntold();
    const end = writer.open(SWEEP_END, clock.nowNs());
    end.number = sweep;
    end.flags = isWhole ? flags : flags & ~SweepFlag.full;
    writer.close();
  }

  /**
   * One pass over /proc. Tells of those who count and were not told of since the sweep began.
   * @returns Tasks that should be traced and are not; whose they are is in {@link missing}.
   */
  private round(): number[] {
    const { rules, list, users, proc, alive, ownPid } = this.context;
    const { teller } = this;
    const { status } = teller;
    const traced = new Set(users === undefined ? list.readPids() : []);
    const count = this.trial.run(() => proc.listPids(this.pids)) ?? 0;
    const othersEvery = Math.ceil(this.others.size / OTHERS_A_SWEEP);
    if (this.others.size > 2 * count) this.others.clear();
    const missing: number[] = [];
    this.missing.length = 0;
    const keep: number[] = [];
    let outdated = false;
    // But those who were there before toom, or before their limit, count at once.
    const isNewcomerToWait = teller.sweep > 1 && !this.rulesAreNew;
    for (let i = 0; i < count; i++) {
      const pid = this.pids[i]!;
      if (i % ALIVE_EVERY === 0) alive();
      if (teller.hasTold(pid)) continue;
      const looked = this.others.get(pid);
      if (looked !== undefined && teller.sweep < looked + othersEvery && !traced.has(pid)) continue;
      if (this.read(pid) !== true) continue;
      const limited = rules.find(status.realUid) !== undefined && pid !== ownPid &&
        !status.kthread;
      if (!limited && !traced.has(pid)) {
        // A thread of the kernel stays one.
        this.others.set(pid, teller.sweep + (status.kthread ? KTHREAD_SWEEPS : 0));
        continue;
      }
      this.others.delete(pid);
      // Met between its change of user and its exec, perhaps: see noteUserChange().
      if (limited && isNewcomerToWait && !traced.has(pid) && !teller.knows(pid)) {
        if (this.slotOf(status.tgid) < 0) {
          this.readLater(pid);
          continue;
        }
      }
      if (!limited) outdated = true;
      else if (users !== undefined) {
        users.admit(teller.ownUid);
        // What the reading says is as of a time when it was recorded.
        this.tell(pid, true);
        continue;
      } else if (this.rulesAreNew) keep.push(...this.tids(pid));
      const before = missing.length;
      if (limited) {
        for (const tid of this.tids(pid)) if (!traced.has(tid)) missing.push(tid);
      }
      // Those that are not traced yet are told of now, so that their events find them known, and
      // again when they are.
      this.tell(pid, traced.has(pid));
      if (missing.length > before) this.missing.push(pid);
    }
    if (outdated && this.rulesAreNew && !this.hasFailed) {
      // Somebody lost his limit: his processes shall cost nothing any more. What the others did in
      // the moment between the old list and the new is read again by the next round.
      this.rulesAreNew = false;
      list.writePids(keep);
      teller.forget();
      return missing.length > 0 ? missing : keep.slice(0, 1);
    }
    return missing;
  }

  /** @returns Whether a process is there; undefined: that cannot be read now. */
  private read(pid: number): boolean | undefined {
    return this.trial.run(() => this.teller.read(pid));
  }

  /** As {@link Teller.tell}. @returns undefined: it cannot be read now. */
  private tell(pid: number, withTasks: boolean): boolean | undefined {
    return this.trial.run(() => this.teller.tell(pid, withTasks));
  }

  /** Threads of the process that was read last; none when they cannot be read now. */
  private tids(pid: number): readonly number[] {
    return this.trial.run(() => this.teller.tids(pid)) ?? [];
  }

  /**
   * Reads all processes that the books have of a user: what events that were lost have told. Its end is
   * told only when all could be read.
   * @param uid As in the tables.
   */
  verify(uid: number): void {
    const { writer, clock, memory } = this.context;
    const { processes, users } = memory;
    writer.open(VERIFY_BEGIN, clock.nowNs()).uid = uid;
    writer.close();
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    let isWhole = true;
    for (let slot = 0; slot < highWater; slot++) {
      const pid = processes.tgid[slot]!;
      if (processes.state[slot] === ProcessState.free || pid <= 0) continue;
      if (users.uid[processes.userSlot[slot]!] !== uid) continue;
      const tsNs = clock.nowNs();
      const isThere = this.tell(pid, false);
      if (isThere === false) this.tellEnded(tsNs, pid, false);
      isWhole &&= isThere !== undefined;
    }
    if (!isWhole) return;
    writer.open(VERIFY_END, clock.nowNs()).uid = uid;
    writer.close();
  }

  /** Has tasks traced. The kernel starts at once, but the call may take 40 ms and more (RCU). */
  private trace(tids: readonly number[]): void {
    this.context.publish();
    this.context.alive();
    this.context.list.appendPids(tids);
    this.context.alive();
  }

  /** An exec: {@link readNoted} finds out what it means. */
  look(pid: number): void {
    if (this.looks.length < LOOKS_MAX) this.looks.push(pid);
    else this.hasOverrun = true;
  }

  /**
   * A change of user. Who was somebody else until now is about to exec, as a rule, and what it has
   * until then is a copy of its parent's, which must not be held against the user: it is looked at
   * when it has, or a moment later.
   */
  noteUserChange(pid: number): void {
    const { users, rules } = this.context;
    if (users !== undefined) {
      users.userChanged();
      // Its pages are booked from now on, even if what it has is told later.
      if (this.read(pid) === true && rules.find(this.teller.status.realUid) !== undefined) {
        users.admit(this.teller.ownUid);
      }
    }
    if (this.slotOf(pid) >= 0) this.look(pid);
    else this.readLater(pid);
  }

  private readLater(pid: number): void {
    if (this.later.has(pid)) return;
    if (this.later.size >= LOOKS_MAX) {
      this.hasOverrun = true;
      return;
    }
    this.later.set(pid, this.context.clock.nowNs() + EXEC_WITHIN_NS);
  }

  /** When {@link readNoted} has something to do even if nothing happens; Infinity never. */
  get nextReadNs(): number {
    // In the order in which they came, and all wait equally long.
    for (const dueNs of this.later.values()) return dueNs;
    return Infinity;
  }

  /** Do the processes of the latest execs and changes of user count now, and whose are they? */
  readNoted(): void {
    const nowNs = this.context.clock.nowNs();
    for (const [pid, dueNs] of this.later) {
      if (dueNs > nowNs) break;
      this.later.delete(pid);
      this.lookAt(pid, true);
    }
    for (let i = 0; i < this.looks.length; i++) this.lookAt(this.looks[i]!, false);
    this.looks.length = 0;
    this.traceLogins();
  }

  /**
   * @param hasWaited Accounting has had time to hear of it: if it has not, its birth was not traced,
   *   whoever its parent is.
   */
  private lookAt(pid: number, hasWaited: boolean): void {
    const { rules, memory, ownPid, users } = this.context;
    const { teller } = this;
    const { status } = teller;
    if (pid === ownPid || this.read(pid) !== true) return;
    const slot = this.slotOf(status.tgid);
    if (slot >= 0) {
      const uid = memory.users.uid[memory.processes.userSlot[slot]!]!;
      if (uid !== (status.realUid | 0)) this.tell(status.tgid, true);
      return;
    }
    if (rules.find(status.realUid) === undefined) return;
    // A login: had its parent been traced at its birth, it would be too.
    if (!hasWaited && this.slotOf(status.ppid) >= 0) return;
    if (users !== undefined) {
      users.admit(teller.ownUid);
      users.settle();
      this.tell(status.tgid, true);
      return;
    }
    this.untraced.add(status.tgid);
    this.tell(status.tgid, false);
  }

  /**
   * Has the logins traced, without waiting for it: the kernel lets one such call take effect only
   * when the one before has returned, up to 40 ms later. Until then they are read again and again.
   */
  private traceLogins(): void {
    if (this.untraced.size === 0) return;
    const { list } = this.context;
    for (const pid of this.untraced) this.tellLogin(pid, false);
    if (this.isAppending || this.untraced.size === 0) return;
    const pids = [...this.untraced];
    const tids = pids.flatMap((pid) => this.read(pid) === true ? this.tids(pid) : []);
    this.isAppending = true;
    list.appendPidsAsync(tids).then(
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
    const { clock } = this.context;
    const tsNs = clock.nowNs();
    const isThere = this.tell(pid, isTraced);
    if (isThere === true) this.findChildren(pid);
    if (isThere !== false) return;
    this.untraced.delete(pid);
    this.tellEnded(tsNs, pid, true);
  }

  /**
   * Children that a login had before it was traced: nobody announced them, and without this they
   * would be free until the next sweep. They are logins like itself.
   */
  private findChildren(pid: number): void {
    for (const child of this.trial.run(() => this.context.proc.listChildren(pid)) ?? []) {
      if (this.untraced.has(child) || this.slotOf(child) >= 0) continue;
      if (
        this.read(child) !== true ||
        this.context.rules.find(this.teller.status.realUid) === undefined
      ) continue;
      this.untraced.add(child); // And visited in turn, should the set be under way.
      this.tell(child, false);
    }
  }

  /** Whether a call on another thread is under way, whose end the event loop brings. */
  get isWaiting(): boolean {
    return this.isAppending;
  }

  /** Accounting met a task that nobody announced. */
  resolve(tid: number): void {
    const tsNs = this.context.clock.nowNs();
    const isThere = this.read(tid);
    if (isThere === undefined) return;
    if (isThere) {
      this.tell(this.teller.status.tgid, true);
      if (this.teller.status.tgid === tid) return;
    }
    // Either it is gone, or it is a thread, and the process of that number was a guess.
    this.tellEnded(tsNs, tid, false);
  }

  private tellEnded(tsNs: number, tid: number, isUntraced: boolean): void {
    const { writer } = this.context;
    const gone = writer.open(GONE, tsNs);
    gone.tid = tid;
    gone.isUntraced = isUntraced ? 1 : 0;
    writer.close();
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
