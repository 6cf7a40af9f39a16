/**
 * A kernel that is not there: processes, threads, mms and users, and the events that they cause,
 * in the sequences that were measured on a real one.
 *
 * @module
 */
import { Member, MEMBER_COUNT, packRss, RecordKind } from "../../../pipeline/memory/layout.ts";
import { UNLIMITED } from "../../../pipeline/brake/brake_kernel.ts";
import type { Random } from "../../_support/random.ts";
import {
  CLONE_FORK,
  CLONE_THREADS,
  CLONE_VFORK,
  COUNT_MASK,
  countedPages,
  type FakeMm,
  type FakePage,
  type FakeProcess,
} from "./tasks.ts";
import { FakeTracing } from "./tracing.ts";

/** Most pages that one event of a fork or a teardown tells of: a page table. */
const BATCH_PAGES = 512;
/** An mm_id comes back no sooner: measured. */
const REUSE_NS = 96_000;
const FIRST_PID = 100;
const PAGE_BYTES = 4096;
const PAGE_BYTES_BIG = 4096n;
const PLENTY_BYTES = 2 ** 40;
/** Part of the memory below which tasks wait for what others give back. */
const STALLS_BELOW = 0.1;
/** With collisions, one new mm in so many gets the id of one that lives. */
const COLLIDES_ONE_IN = 25;

export interface FakeKernelOptions {
  readonly cpus: number;
  /** Events that a CPU's buffer holds. */
  readonly bufferEvents: number;
  /** Numbers of tasks, after which they begin anew. */
  readonly pids: number;
  /** Now and then two mms have one id, which is a hash. */
  readonly collides: boolean;
  /** What may come to count. */
  readonly countMasks: number;
  /** Memory of the machine; 0: more than there will ever be used. */
  readonly machinePages: number;
}

export class FakeKernel {
  nowNs = 5e9;
  readonly tracing: FakeTracing;
  readonly processes = new Map<number, FakeProcess>();
  /** Of the step under way. */
  random: Random;
  private readonly options: FakeKernelOptions;
  private readonly freeMmIds: { readonly id: number; readonly atNs: number }[] = [];
  private readonly pids = new Set<number>();
  private readonly frees: { atNs: number; tid: number; process: FakeProcess | undefined }[] = [];
  /** What counts: of the settings in force, and of accounting's as long as they are others. */
  countMask = COUNT_MASK;
  /** The same of users whose limit says it, by uid. */
  readonly ownMasks = new Map<number, number>();
  /** When somebody last looked at the machine's memory and found it short. */
  shortAtNs = -Infinity;
  /** Times that a process was refused pages. */
  refusals = 0;
  private lastPid = FIRST_PID;
  private cpu = 0;
  /** Counted pages that changed, newest last: what may be in flight. */
  readonly changes: { tsNs: number; uids: ReadonlySet<number>; pages: number }[] = [];

  constructor(random: Random, options: FakeKernelOptions) {
    this.random = random;
    this.options = options;
    this.tracing = new FakeTracing(options.cpus, options.bufferEvents);
  }

  /** What counts for a user. */
  countMaskOf(uid: number): number {
    return this.ownMasks.get(uid) ?? this.countMask;
  }

  alive(): FakeProcess[] {
    return [...this.processes.values()].filter(({ state }) => state === "alive");
  }

  /** A process writes to pages that it shares since a fork: copies, of which no event tells. */
  copy(process: FakeProcess, pages: number): void {
    const anon = process.mm.held[Member.anon]!;
    for (let at = 0; at < anon.length && pages > 0; at++) {
      if (anon[at]!.refs === 1) continue;
      anon[at]!.refs--;
      anon[at] = { refs: 1 };
      process.minorFaults++;
      pages--;
    }
    this.nowNs += 1000;
  }

  swapOut(process: FakeProcess): void {
    const page = process.mm.held[Member.anon]!.at(-1);
    if (page === undefined) return;
    this.grow(process, Member.anon, -1);
    page.refs++;
    this.rss(this.random.pick(process.tids), process.mm, 1, Member.swap, 1, [page]);
  }

  /** A process maps shmem pages that another process has made. */
  mapShared(process: FakeProcess, other: FakeProcess): void {
    const own = process.mm.held[Member.shmem]!;
    const fresh = other.mm.held[Member.shmem]!.filter((page) => !own.includes(page));
    if (process.mm === other.mm || fresh.length === 0) return;
    for (const page of fresh) page.refs++;
    process.minorFaults += fresh.length;
    this.rss(
      this.random.pick(process.tids),
      process.mm,
      1,
      Member.shmem,
      fresh.length,
      fresh,
    );
  }

  // ------------------------------------------------------------------------------ operations

  spawn(uid: number): FakeProcess {
    return this.add(uid, this.newMm([uid]), undefined, undefined);
  }

  /** Most operations happen on one CPU; sometimes the task is moved in between. */
  onAnyCpu(): void {
    this.cpu = this.random.below(this.options.cpus);
  }

  grow(process: FakeProcess, member: number, pages: number): void {
    if (member === Member.anon && pages > 0 && this.isRefused(process, pages)) {
      this.refusals++;
      return;
    }
    process.minorFaults += Math.max(0, pages);
    this.rss(this.random.pick(process.tids), process.mm, 1, member, pages);
  }

  /** may_expand_vm() of mm/vma.c, where all that is mapped is touched. */
  private isRefused({ softBytes, mm: { pages } }: FakeProcess, more: number): boolean {
    if (softBytes === UNLIMITED) return false;
    return pages[Member.anon]! + pages[Member.swap]! + more > Number(softBytes / PAGE_BYTES_BIG);
  }

  /** A process sets limits of its own. */
  setOwnLimit(process: FakeProcess, softBytes: bigint): void {
    process.softBytes = process.ownSoftBytes = softBytes;
  }

  /** Somebody else changes it: process_vm_writev, reclaim. */
  foreign(actorTid: number, process: FakeProcess, member: number, pages: number): void {
    this.rss(actorTid, process.mm, 0, member, pages);
  }

  fork(parent: FakeProcess, fails = false): FakeProcess | undefined {
    const tid = this.random.pick(parent.tids);
    const mm = this.newMm(parent.mm.uids, parent.mm.stackStart);
    for (const member of [Member.anon, Member.swap, Member.shmem]) {
      let copied = parent.mm.held[member]!.slice();
      if (fails) copied = copied.slice(0, Math.floor(copied.length / 2));
      for (let at = 0; at < copied.length; at += BATCH_PAGES) {
        const batch = copied.slice(at, at + BATCH_PAGES);
        for (const page of batch) page.refs++;
        this.rss(tid, mm, 0, member, batch.length, batch);
      }
    }
    if (fails) {
      mm.users = 0;
      this.teardown(mm, tid);
      return undefined;
    }
    const child = this.add(parent.uid, mm, undefined, parent);
    child.isProtected = parent.isProtected;
    child.oomScoreAdj = parent.oomScoreAdj;
    this.emit(RecordKind.newTask, tid, child.pid, CLONE_FORK, 0, 0);
    this.tracing.born(tid, child.pid);
    // Until this is read, /proc may tell of the child beside what was built of it.
    this.changes.push({
      tsNs: this.nowNs,
      uids: mm.uids,
      pages: countedPages(mm, this.options.countMasks),
    });
    this.maybeMove();
    if (!this.random.oneIn(4)) this.rss(child.pid, mm, 1, Member.file, 16);
    return child;
  }

  vfork(parent: FakeProcess): FakeProcess {
    const tid = this.random.pick(parent.tids);
    const child = this.add(parent.uid, parent.mm, parent, parent);
    child.isProtected = parent.isProtected;
    child.oomScoreAdj = parent.oomScoreAdj;
    parent.mm.users++;
    parent.suspended = true;
    this.emit(RecordKind.newTask, tid, child.pid, CLONE_VFORK, 0, 0);
    this.tracing.born(tid, child.pid);
    this.maybeMove();
    return child;
  }

  thread(process: FakeProcess): void {
    const tid = this.newPid();
    const maker = this.random.pick(process.tids);
    this.emit(RecordKind.newTask, maker, tid, CLONE_THREADS, 0, 0);
    this.tracing.born(maker, tid);
    process.tids.push(tid);
    this.maybeMove();
    if (this.random.oneIn(2)) this.rss(tid, process.mm, 1, Member.anon, 1);
  }

  /** One thread ends; perhaps the leader. The last one takes the process with it. */
  endThread(process: FakeProcess): void {
    if (process.tids.length === 1) return this.exit(process);
    const tid = this.random.pick(process.tids);
    process.tids.splice(process.tids.indexOf(tid), 1);
    this.emit(RecordKind.exit, tid, tid, 0, 0, 0);
    if (tid !== process.pid) this.freeSoon(tid, undefined);
    else process.isLeaderDead = true;
  }

  exec(process: FakeProcess): void {
    const old = process.mm;
    const caller = this.random.pick(process.tids);
    const oldPages = countedPages(old, this.options.countMasks);
    const mm = this.newMm(old.uids);
    this.rss(caller, mm, 0, Member.anon, 1);
    this.rss(caller, old, 1, Member.anon, 1);
    const ending = process.tids.filter((tid) => tid !== caller);
    for (const tid of ending) {
      this.emit(RecordKind.exit, tid, tid, 0, 0, 0);
      if (tid !== process.pid) this.freeSoon(tid, undefined);
    }
    const { pid } = process;
    if (caller !== pid) {
      this.pids.delete(caller);
      // The list goes by the number, which the caller has exchanged for its leader's.
      if (this.tracing.list.delete(caller)) this.tracing.list.add(pid);
    }
    process.isLeaderDead = false;
    process.tids = [pid];
    this.rss(pid, old, 1, Member.anon, -1);
    this.letGo(process);
    process.mm = mm;
    old.users--;
    if (old.users === 0) this.teardown(old, pid);
    this.maybeMove();
    if (!this.random.oneIn(4)) this.rss(pid, mm, 1, Member.file, 30);
    this.emit(RecordKind.exec, pid, pid, caller, 0, 0);
    this.tracing.executed(pid);
    // Until this is read, /proc may tell of the new mm beside what was built of it so far, and the old
    // one may count as /proc had it.
    this.changes.push({ tsNs: this.nowNs, uids: mm.uids, pages: 2 + oldPages });
  }

  exit(process: FakeProcess): void {
    const { mm, pid } = process;
    const last = this.random.pick(process.tids);
    for (const tid of process.tids) {
      if (tid === last) continue;
      this.emit(RecordKind.exit, tid, tid, 0, 0, 0);
      if (tid !== pid) this.freeSoon(tid, undefined);
    }
    this.emit(RecordKind.exit, last, last, 1, 0, 0);
    this.maybeMove();
    this.letGo(process);
    process.state = "zombie";
    for (const other of this.processes.values()) {
      if (other.parent === process) other.parent = undefined;
    }
    mm.users--;
    if (mm.users === 0) this.teardown(mm, last);
    if (last !== pid) this.freeSoon(last, undefined);
    this.freeSoon(pid, process);
  }

  setUid(process: FakeProcess, uid: number): void {
    process.uid = uid;
    // What it has changed and nobody has read yet will be found under its new user, as what it changes
    // before that is heard of is found under the old one.
    process.mm.uids.add(uid);
    this.tracing.changedUser(process.pid);
  }

  /** Time passes: signals arrive, the dead are reaped. */
  pass(ns: number): void {
    this.nowNs += ns;
    for (const process of this.alive()) {
      if (process.diesAtNs <= this.nowNs) this.exit(process);
    }
    for (let i = this.frees.length - 1; i >= 0; i--) {
      const { atNs, tid, process } = this.frees[i]!;
      if (atNs > this.nowNs) continue;
      this.frees.splice(i, 1);
      this.onAnyCpu();
      // It is freed from whatever runs there: seen if that is recorded, as mostly the idle task is not.
      if (this.tracing.isTraced(tid) && !this.random.oneIn(4)) {
        this.emit(RecordKind.free, tid, tid, 0, 0, 0);
      }
      this.tracing.list.delete(tid);
      this.pids.delete(tid);
      if (process === undefined) continue;
      process.state = "freed";
      this.processes.delete(process.pid);
    }
  }

  /** The machine's memory: what processes have in it, and the rest. */
  machineMemory(): { readonly totalBytes: number; readonly availableBytes: number } {
    const { machinePages } = this.options;
    if (machinePages === 0) return { totalBytes: PLENTY_BYTES, availableBytes: PLENTY_BYTES };
    const availablePages = Math.max(0, machinePages - this.residentPages());
    return { totalBytes: machinePages * PAGE_BYTES, availableBytes: availablePages * PAGE_BYTES };
  }

  /** Whether tasks have waited for memory lately. */
  stalls(): boolean {
    const { availableBytes, totalBytes } = this.machineMemory();
    return availableBytes < totalBytes * STALLS_BELOW && this.random.oneIn(2);
  }

  private residentPages(): number {
    const mms = new Set(this.alive().map(({ mm }) => mm));
    const pages = new Set<FakePage>();
    for (const { held } of mms) {
      for (const member of [Member.file, Member.anon, Member.shmem]) {
        for (const page of held[member]!) pages.add(page);
      }
    }
    return pages.size;
  }

  // ---------------------------------------------------------------------------------- parts

  private letGo(process: FakeProcess): void {
    if (process.lender !== undefined) process.lender.suspended = false;
    process.lender = undefined;
    for (const other of this.processes.values()) {
      if (other.lender === process && other.state === "alive") other.lender = undefined;
    }
  }

  private add(
    uid: number,
    mm: FakeMm,
    lender: FakeProcess | undefined,
    parent: FakeProcess | undefined,
  ): FakeProcess {
    const pid = this.newPid();
    const process: FakeProcess = {
      pid,
      bornNs: this.nowNs,
      parent,
      uid,
      mm,
      tids: [pid],
      lender,
      suspended: false,
      state: "alive",
      isProtected: false,
      oomScoreAdj: 0,
      diesAtNs: Infinity,
      minorFaults: 0,
      isLeaderDead: false,
      softBytes: parent?.softBytes ?? UNLIMITED,
      hardBytes: parent?.hardBytes ?? UNLIMITED,
      ownSoftBytes: parent?.ownSoftBytes ?? UNLIMITED,
      ownHardBytes: parent?.ownHardBytes ?? UNLIMITED,
    };
    this.processes.set(pid, process);
    return process;
  }

  private newPid(): number {
    const end = FIRST_PID + this.options.pids;
    do {
      this.lastPid = this.lastPid >= end ? FIRST_PID : this.lastPid + 1;
    } while (this.pids.has(this.lastPid));
    this.pids.add(this.lastPid);
    return this.lastPid;
  }

  private newMm(uids: Iterable<number>, stackStart = this.random.next() * 16): FakeMm {
    // The last one freed is the next one used, though not at once: measured, 96 us at least.
    const at = this.freeMmIds.findLastIndex(({ atNs }) => this.nowNs - atNs >= REUSE_NS);
    const [free] = at < 0 ? [] : this.freeMmIds.splice(at, 1);
    let id = free?.id ?? ((this.random.next() | 0) || 1);
    if (this.options.collides && this.processes.size > 0 && this.random.oneIn(COLLIDES_ONE_IN)) {
      id = this.random.pick([...this.processes.values()]).mm.id;
    }
    const pages = new Array<number>(MEMBER_COUNT).fill(0);
    return { id, stackStart, pages, held: pages.map(() => []), users: 1, uids: new Set(uids) };
  }

  private teardown(mm: FakeMm, tid: number): void {
    for (const member of [Member.file, Member.anon, Member.swap, Member.shmem]) {
      while (mm.pages[member]! > 0) {
        this.rss(tid, mm, 0, member, -Math.min(mm.pages[member]!, BATCH_PAGES));
      }
    }
    this.freeMmIds.push({ id: mm.id, atNs: this.nowNs });
  }

  private freeSoon(tid: number, process: FakeProcess | undefined): void {
    this.frees.push({ atNs: this.nowNs + this.random.between(1e6, 2e7), tid, process });
  }

  private maybeMove(): void {
    if (this.random.oneIn(3)) this.onAnyCpu();
  }

  /** @param added The pages, if they are another's too; else new ones. */
  private rss(
    tid: number,
    mm: FakeMm,
    curr: number,
    member: number,
    delta: number,
    added?: readonly FakePage[],
  ): void {
    const held = mm.held[member]!;
    if (added !== undefined) held.push(...added);
    for (let i = held.length; i < mm.pages[member]! + delta; i++) held.push({ refs: 1 });
    for (const page of held.splice(mm.pages[member]! + delta)) page.refs--;
    mm.pages[member] = mm.pages[member]! + delta;
    const packed = packRss(member, curr, false);
    this.emit(RecordKind.rss, tid, mm.id, mm.pages[member]!, packed, 0);
    if (((this.options.countMasks >> member) & 1) === 0) return;
    this.changes.push({ tsNs: this.nowNs, uids: mm.uids, pages: Math.abs(delta) });
    if (this.changes.length > 4000) this.changes.splice(0, 2000);
  }

  private emit(
    kind: RecordKind,
    tid: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ): void {
    this.nowNs += this.random.between(200, 2000);
    const { cpu, nowNs: tsNs, tracing } = this;
    if (tracing.isTraced(tid)) tracing.record({ tsNs, kind, cpu, tid, a, b, c, d });
  }
}
