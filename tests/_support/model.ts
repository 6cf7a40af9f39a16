/**
 * A kernel that is not there: processes, threads, mms and users, and the events that they cause,
 * in the sequences that were measured on a real one. It knows the truth.
 *
 * @module
 */
import { Member, MEMBER_COUNT, packRss, RecordKind } from "../../pipeline/memory/layout.ts";
import type { Random } from "./random.ts";

export const CLONE_FORK = 0x1200000;
export const CLONE_VFORK = 0x4100;
export const CLONE_THREADS = 0x3d0f00;
/** Most pages that one event of a fork or a teardown tells of: a page table. */
const BATCH_PAGES = 512;
const REUSE_NS = 96_000;
/** The default of toom: anon, swap and shmem. */
export const COUNT_MASK = 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem;

export interface FakeEvent {
  readonly tsNs: number;
  readonly kind: RecordKind;
  readonly cpu: number;
  readonly tid: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** A page, and how many mms have it. */
export interface FakePage {
  refs: number;
}

/** What a measuring finds of an mm. */
export interface FakeShares {
  readonly sharedPages: number;
  readonly creditPages: number;
  readonly shareablePages: number;
}

export interface FakeMm {
  readonly id: number;
  readonly pages: number[];
  /** The pages themselves, by member. */
  readonly held: FakePage[][];
  /** Processes that run on it. */
  users: number;
  /** User of the process that it was made for. */
  readonly uid: number;
}

export interface FakeProcess {
  readonly pid: number;
  readonly bornNs: number;
  uid: number;
  mm: FakeMm;
  tids: number[];
  /** The parent on whose mm it runs. */
  lender: FakeProcess | undefined;
  /** A vfork child has not let it go on yet. */
  suspended: boolean;
  state: "alive" | "zombie" | "freed";
  isProtected: boolean;
  oomScoreAdj: number;
  /** A signal is on its way. */
  diesAtNs: number;
}

/** A CPU's buffer: a loss, if any, lies before the events. */
export interface FakeBuffer {
  lost: number;
  readonly events: FakeEvent[];
}

function countedPages({ pages }: FakeMm, mask = COUNT_MASK): number {
  return pages.reduce((sum, count, member) => sum + ((mask >> member) & 1 ? count : 0), 0);
}

export class FakeKernel {
  nowNs = 5e9;
  readonly buffers: FakeBuffer[];
  readonly processes = new Map<number, FakeProcess>();
  /** Processes that changed their user, as the proc connector tells. */
  readonly uidChanges: number[] = [];
  private readonly random: Random;
  private readonly bufferEvents: number;
  private readonly freeMmIds: { readonly id: number; readonly atNs: number }[] = [];
  private readonly pids = new Set<number>();
  private readonly frees: { atNs: number; tid: number; process: FakeProcess | undefined }[] = [];
  private lastPid = 100;
  private cpu = 0;
  /** Counted pages that changed, newest last: what may be in flight. */
  readonly changes: { tsNs: number; uid: number; pages: number }[] = [];
  /** While false, nothing is recorded: the time before toom. */
  tracing = true;

  constructor(random: Random, cpus: number, bufferEvents: number) {
    this.random = random;
    this.bufferEvents = bufferEvents;
    this.buffers = Array.from({ length: cpus }, () => ({ lost: 0, events: [] }));
  }

  // ------------------------------------------------------------------------------- the truth

  alive(): FakeProcess[] {
    return [...this.processes.values()].filter(({ state }) => state === "alive");
  }

  usagePages(uid: number, mask = COUNT_MASK): number {
    const mms = new Set<FakeMm>();
    for (const process of this.alive()) if (process.uid === uid) mms.add(process.mm);
    return this.pagesOf(mms, mask);
  }

  /** Counted pages of mms. */
  pagesOf(mms: ReadonlySet<FakeMm>, mask = COUNT_MASK): number {
    let sum = 0;
    for (const mm of mms) sum += countedPages(mm, mask);
    return sum;
  }

  /** As {@link usagePages}, but what several mms have counts once: the sum of their parts of it. */
  chargedPages(uid: number, mask = COUNT_MASK): number {
    const mms = new Set<FakeMm>();
    for (const process of this.alive()) if (process.uid === uid) mms.add(process.mm);
    let sum = 0;
    for (const { held } of mms) {
      held.forEach((pages, member) => {
        if ((mask >> member) & 1) { for (const { refs } of pages) sum += 1 / refs; }
      });
    }
    return sum;
  }

  /** Pages that a user's mms hold but for some of them, each page once. */
  heldPages(uid: number, without: ReadonlySet<FakeMm>, mask = COUNT_MASK): number {
    const pages = new Set<FakePage>();
    for (const { uid: whose, mm } of this.alive()) {
      if (whose !== uid || without.has(mm)) continue;
      mm.held.forEach((held, member) => {
        if ((mask >> member) & 1) { for (const page of held) pages.add(page); }
      });
    }
    return pages.size;
  }

  /** Counted pages of an mm that others have too, and what they add up to beyond its part of them. */
  sharesOf({ held }: FakeMm): FakeShares {
    let sharedPages = 0;
    let creditPages = 0;
    let shareablePages = 0;
    held.forEach((pages, member) => {
      if (((COUNT_MASK >> member) & 1) === 0) return;
      for (const { refs } of pages) {
        if (refs > 1) sharedPages++;
        creditPages += 1 - 1 / refs;
        if (member === Member.shmem) shareablePages += 1 / refs;
      }
    });
    return {
      sharedPages,
      creditPages: Math.ceil(creditPages),
      shareablePages: Math.ceil(shareablePages),
    };
  }

  /** A process writes to pages that it shares since a fork: copies, of which no event tells. */
  copy(process: FakeProcess, pages: number): void {
    const anon = process.mm.held[Member.anon]!;
    for (let at = 0; at < anon.length && pages > 0; at++) {
      if (anon[at]!.refs === 1) continue;
      anon[at]!.refs--;
      anon[at] = { refs: 1 };
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
    return this.add(this.newPid(), uid, this.newMm(uid), undefined);
  }

  /** Most operations happen on one CPU; sometimes the task is moved in between. */
  onAnyCpu(): void {
    this.cpu = this.random.below(this.buffers.length);
  }

  grow(process: FakeProcess, member: number, pages: number): void {
    this.rss(this.random.pick(process.tids), process.mm, 1, member, pages);
  }

  /** Somebody else changes it: process_vm_writev, reclaim. */
  foreign(actorTid: number, process: FakeProcess, member: number, pages: number): void {
    this.rss(actorTid, process.mm, 0, member, pages);
  }

  fork(parent: FakeProcess, fails = false): FakeProcess | undefined {
    const tid = this.random.pick(parent.tids);
    const mm = this.newMm(parent.uid);
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
    const child = this.add(this.newPid(), parent.uid, mm, undefined);
    child.isProtected = parent.isProtected;
    child.oomScoreAdj = parent.oomScoreAdj;
    this.emit(RecordKind.newTask, tid, child.pid, CLONE_FORK, 0, 0);
    // Until this is read, /proc may tell of the child beside what was built of it.
    this.changes.push({ tsNs: this.nowNs, uid: parent.uid, pages: countedPages(mm) });
    this.maybeMove();
    if (!this.random.oneIn(4)) this.rss(child.pid, mm, 1, Member.file, 16);
    return child;
  }

  vfork(parent: FakeProcess): FakeProcess {
    const tid = this.random.pick(parent.tids);
    const child = this.add(this.newPid(), parent.uid, parent.mm, parent);
    child.isProtected = parent.isProtected;
    child.oomScoreAdj = parent.oomScoreAdj;
    parent.mm.users++;
    parent.suspended = true;
    this.emit(RecordKind.newTask, tid, child.pid, CLONE_VFORK, 0, 0);
    this.maybeMove();
    return child;
  }

  thread(process: FakeProcess): void {
    const tid = this.newPid();
    this.emit(RecordKind.newTask, this.random.pick(process.tids), tid, CLONE_THREADS, 0, 0);
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
  }

  exec(process: FakeProcess): void {
    const old = process.mm;
    const caller = this.random.pick(process.tids);
    const mm = this.newMm(process.uid);
    this.rss(caller, mm, 0, Member.anon, 1);
    this.rss(caller, old, 1, Member.anon, 1);
    const ending = process.tids.filter((tid) => tid !== caller);
    for (const tid of ending) {
      this.emit(RecordKind.exit, tid, tid, 0, 0, 0);
      if (tid !== process.pid) this.freeSoon(tid, undefined);
    }
    if (caller !== process.pid) this.pids.delete(caller);
    const { pid } = process;
    process.tids = [pid];
    this.rss(pid, old, 1, Member.anon, -1);
    this.letGo(process);
    process.mm = mm;
    old.users--;
    if (old.users === 0) this.teardown(old, pid);
    this.maybeMove();
    if (!this.random.oneIn(4)) this.rss(pid, mm, 1, Member.file, 30);
    this.emit(RecordKind.exec, pid, pid, caller, 0, 0);
    // Until this is read, /proc may tell of the new mm beside what was built of it so far.
    this.changes.push({ tsNs: this.nowNs, uid: process.uid, pages: 2 });
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
    mm.users--;
    if (mm.users === 0) this.teardown(mm, last);
    if (last !== pid) this.freeSoon(last, undefined);
    this.freeSoon(pid, process);
  }

  setUid(process: FakeProcess, uid: number): void {
    process.uid = uid;
    this.uidChanges.push(process.pid);
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
      this.emit(RecordKind.free, 0, tid, 0, 0, 0);
      this.pids.delete(tid);
      if (process === undefined) continue;
      process.state = "freed";
      this.processes.delete(process.pid);
    }
  }

  // ---------------------------------------------------------------------------------- parts

  private letGo(process: FakeProcess): void {
    if (process.lender !== undefined) process.lender.suspended = false;
    process.lender = undefined;
    for (const other of this.processes.values()) {
      if (other.lender === process && other.state === "alive") other.lender = undefined;
    }
  }

  private add(pid: number, uid: number, mm: FakeMm, lender: FakeProcess | undefined): FakeProcess {
    const process: FakeProcess = {
      pid,
      bornNs: this.nowNs,
      uid,
      mm,
      tids: [pid],
      lender,
      suspended: false,
      state: "alive",
      isProtected: false,
      oomScoreAdj: 0,
      diesAtNs: Infinity,
    };
    this.processes.set(pid, process);
    return process;
  }

  private newPid(): number {
    do {
      this.lastPid = this.lastPid >= 2000 ? 100 : this.lastPid + 1;
    } while (this.pids.has(this.lastPid));
    this.pids.add(this.lastPid);
    return this.lastPid;
  }

  private newMm(uid: number): FakeMm {
    // The last one freed is the next one used, though not at once: measured, 96 us at least.
    const at = this.freeMmIds.findLastIndex(({ atNs }) => this.nowNs - atNs >= REUSE_NS);
    const [free] = at < 0 ? [] : this.freeMmIds.splice(at, 1);
    const id = free?.id ?? ((this.random.next() | 0) || 1);
    const pages = new Array<number>(MEMBER_COUNT).fill(0);
    return { id, pages, held: pages.map(() => []), users: 1, uid };
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
    if (((COUNT_MASK >> member) & 1) === 0) return;
    this.changes.push({ tsNs: this.nowNs, uid: mm.uid, pages: Math.abs(delta) });
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
    if (!this.tracing) return;
    const { cpu, nowNs: tsNs } = this;
    const buffer = this.buffers[cpu]!;
    buffer.events.push({ tsNs, kind, cpu, tid, a, b, c, d });
    if (buffer.events.length > this.bufferEvents) {
      buffer.events.shift();
      buffer.lost++;
    }
  }
}
