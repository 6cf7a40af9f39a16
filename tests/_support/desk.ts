/**
 * A desk for tests of the accounting: one memory, the real agent, and records written by hand, one
 * microsecond apart. {@link Desk.step} checks the sums (I3) each time.
 *
 * @module
 */
import { Accounting } from "../../pipeline/accounting.ts";
import { type Books, UNKNOWN_UID } from "../../pipeline/books/books.ts";
import {
  Member,
  OrderKind,
  packProc,
  packRss,
  RecordWord,
  Role,
  SweepFlag,
  UserState,
} from "../../pipeline/memory/layout.ts";
import {
  type BrakeMode,
  DEFAULT_SETTINGS,
  type Settings,
  SettingsPublisher,
} from "../../pipeline/memory/settings.ts";
import type { KernelLimits } from "../../pipeline/kill/kernel_trigger.ts";
import { type LimitRule, LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import {
  attachMemory,
  type Capacity,
  createMemory,
  type Memory,
} from "../../pipeline/memory/memory.ts";
import type { Codec, Fields } from "../../pipeline/messages/codec.ts";
import {
  GONE,
  LENDER,
  ORDER,
  orderKindOf,
  PROC,
  PROC_PAGES,
  RECHECK,
  SWEEP_BEGIN,
  SWEEP_END,
  TASK,
} from "../../pipeline/messages/records.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { readReport, type Report, type ReportName } from "../../pipeline/messages/reports.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { checkFlags } from "./process_flags.ts";
import { type Values, writeRecord } from "./records.ts";
import { CLONE_FORK, CLONE_THREADS, CLONE_VFORK } from "../sim/kernel/tasks.ts";

export const SMALL: Capacity = {
  readers: 1,
  ringRecords: 1024,
  users: 8,
  processes: 64,
  tasks: 128,
  mms: 64,
  rules: 8,
  pageBytes: 4096,
};

export interface Order {
  readonly kind: "arm" | "kill" | "relieve" | "other";
  readonly uid: number;
  readonly userSlot: number;
  readonly generation: number;
  /** To relieve: what a victim must give back. */
  readonly leastPages: number;
}

const ORDER_NAMES: Readonly<Record<number, Order["kind"]>> = {
  [OrderKind.arm]: "arm",
  [OrderKind.kill]: "kill",
  [OrderKind.relieve]: "relieve",
};

export interface DeskOptions {
  readonly capacity?: Partial<Capacity>;
  readonly settings?: Partial<Settings>;
  readonly marginPages?: number;
  /** Programs in the kernel. */
  readonly kernel?: KernelLimits;
}

/** Sizes of members in pages; what is not named is not changed, or 0. */
export interface Sizes {
  readonly file?: number;
  readonly anon?: number;
  readonly swap?: number;
  readonly shmem?: number;
}

export class Desk {
  readonly memory: Memory;
  accounting: Accounting;
  /** Time of the next record. */
  nowNs = 10e9;
  readonly asked: { kind: number; tid: number }[] = [];
  private readonly writer: RecordWriter;
  private readonly sweeper: RecordWriter;
  private readonly killer: RecordWriter;
  private readonly orderRing: RingConsumer;
  private readonly queryRing: RingConsumer;
  private readonly reportRing: RingConsumer;
  private readonly rules = new LimitRules();
  settings: Settings;
  private readonly marginPages: number;
  private readonly kernel: KernelLimits | undefined;
  private sweepNumber = 0;

  constructor(options: DeskOptions = {}) {
    const buffer = createMemory({ ...SMALL, ...options.capacity });
    const memory = this.memory = attachMemory(buffer);
    const { plan } = memory;
    const give = (ring: RingProducer): RecordWriter =>
      new RecordWriter(ring, () => {
        throw new Error("the ring is full");
      });
    this.writer = give(new RingProducer(buffer, plan.readerRings[0]!));
    this.sweeper = give(new RingProducer(buffer, plan.sweeperRing));
    this.killer = give(new RingProducer(buffer, plan.killerRing));
    this.orderRing = new RingConsumer(buffer, plan.orderRing);
    this.queryRing = new RingConsumer(buffer, plan.queryRing);
    this.reportRing = new RingConsumer(buffer, plan.reportRings[Role.accounting]!);
    this.settings = {
      ...DEFAULT_SETTINGS,
      userProcessesMax: plan.capacity.processes,
      ...options.settings,
    };
    new SettingsPublisher(memory.settings).publish(this.settings);
    this.marginPages = options.marginPages ?? 0;
    this.kernel = options.kernel;
    this.accounting = this.startAccounting();
  }

  startAccounting(reason?: number): Accounting {
    this.accounting = new Accounting(this.memory, {
      unknownUid: UNKNOWN_UID,
      marginPages: this.marginPages,
      kernel: this.kernel,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
    });
    this.accounting.start(reason);
    return this.accounting;
  }

  get books(): Books {
    return this.accounting.books;
  }

  // --------------------------------------------------------------------------------- writing

  tick(ns = 1000): number {
    this.nowNs += ns;
    return this.nowNs;
  }

  /** curr=1: a task's own mm. */
  own(tid: number, mmId: number, sizes: Sizes, tsNs = this.tick()): this {
    return this.rss(tid, mmId, sizes, 1, tsNs);
  }

  /** curr=0: under construction, teardown, or a stranger's. */
  foreign(tid: number, mmId: number, sizes: Sizes, tsNs = this.tick()): this {
    return this.rss(tid, mmId, sizes, 0, tsNs);
  }

  private rss(tid: number, mmId: number, sizes: Sizes, curr: number, tsNs: number): this {
    for (const name of ["file", "anon", "swap", "shmem"] as const) {
      const pages = sizes[name];
      if (pages === undefined) continue;
      this.writer.rss(tsNs, 0, tid, mmId, pages, packRss(Member[name], curr, false), 0);
    }
    return this;
  }

  /** An event of a kernel whose lines name no mm. */
  nameless(tid: number, anon: number, curr = 1): this {
    this.writer.rss(this.tick(), 0, tid, 0, anon, packRss(Member.anon, curr, true), 0);
    return this;
  }

  fork(parent: number, child: number, tsNs = this.tick()): this {
    this.writer.newTask(tsNs, 0, parent, child, CLONE_FORK, 0);
    return this;
  }

  vfork(parent: number, child: number, tsNs = this.tick()): this {
    this.writer.newTask(tsNs, 0, parent, child, CLONE_VFORK, 0);
    return this;
  }

  thread(parent: number, child: number, tsNs = this.tick()): this {
    this.writer.newTask(tsNs, 0, parent, child, CLONE_THREADS, 0);
    return this;
  }

  exec(pid: number, oldPid = pid, tsNs = this.tick()): this {
    this.writer.exec(tsNs, 0, oldPid, pid, oldPid);
    return this;
  }

  exit(tid: number, groupDead = 1, tsNs = this.tick()): this {
    this.writer.exit(tsNs, 0, tid, tid, groupDead);
    return this;
  }

  free(tid: number, tsNs = this.tick()): this {
    this.writer.free(tsNs, 0, 0, tid);
    return this;
  }

  lost(count = 5, tsNs = this.tick()): this {
    this.writer.lost(tsNs, 0, count);
    return this;
  }

  /** A record of the first reader's. */
  put<F extends Fields>(codec: Codec<F>, values: Values<F>): this {
    writeRecord(this.writer, codec, this.tick(), values);
    return this;
  }

  // ---------------------------------------------------------------------------- /proc, killer

  /** What /proc says of a process. */
  proc(
    tgid: number,
    uid: number,
    sizes: Sizes,
    more: { tsNs?: number; flags?: number; startTicks?: number; tids?: readonly number[] } = {},
  ): this {
    const { tsNs = this.tick(), flags = 0, startTicks = 1, tids = [tgid] } = more;
    const bornMs = startTicks * 10;
    const { file = 0, anon = 0, swap = 0, shmem = 0 } = sizes;
    const { sweeper } = this;
    writeRecord(sweeper, PROC, tsNs, {
      tgid,
      uid,
      startTicks,
      bornLow: bornMs % 2 ** 32,
      packed: packProc(flags, bornMs),
    });
    writeRecord(sweeper, PROC_PAGES, tsNs, {
      tgid,
      filePages: file,
      anonPages: anon,
      swapPages: swap,
      shmemPages: shmem,
    });
    for (const tid of tids) writeRecord(sweeper, TASK, tsNs, { tid, tgid });
    return this;
  }

  /** What the sweeper says of a process that runs on another's mm, behind {@link proc}. */
  lender(tgid: number, lenderTgid: number, tsNs = this.tick()): this {
    writeRecord(this.sweeper, LENDER, tsNs, { tgid, lenderTgid });
    return this;
  }

  /** A record of the sweeper's. */
  sweeperPut<F extends Fields>(codec: Codec<F>, values: Values<F>): this {
    writeRecord(this.sweeper, codec, this.tick(), values);
    return this;
  }

  gone(tid: number, tsNs = this.tick()): this {
    writeRecord(this.sweeper, GONE, tsNs, { tid });
    return this;
  }

  /** A full sweep around the readings that `body` writes. */
  sweep(body: () => void, errorPages = 0): this {
    const number = ++this.sweepNumber;
    const flags = SweepFlag.full;
    this.sweeperPut(SWEEP_BEGIN, { number, flags, errorPages });
    body();
    this.sweeperPut(SWEEP_END, { number, flags });
    return this;
  }

  /** The killer's answer: somebody may be ordered again. */
  recheck({ userSlot, generation }: Order): this {
    writeRecord(this.killer, RECHECK, this.tick(), { userSlot, generation, isNobody: 1 });
    return this;
  }

  limit(
    uid: number,
    hardPages: number,
    softPages = Math.floor(hardPages * 0.9),
    uidLast = uid,
    more: Pick<LimitRule, "processesMax" | "isAtOnce" | "countMask"> = {},
  ): this {
    this.rules.set({ uidFirst: uid, uidLast, hardPages, softPages, ...more });
    new RulesPublisher(this.memory.settings).publish(this.rules);
    return this;
  }

  /** As {@link limit}, with a brake of its own. */
  brake(uid: number, hardPages: number, softPages: number, brake: BrakeMode): this {
    this.rules.set({ uidFirst: uid, uidLast: uid, hardPages, softPages, brake });
    new RulesPublisher(this.memory.settings).publish(this.rules);
    return this;
  }

  /** Publishes {@link settings} as they are now. */
  publishSettings(): this {
    new SettingsPublisher(this.memory.settings).publish(this.settings);
    return this;
  }

  unlimit(uid: number): this {
    this.rules.clear(uid, uid);
    new RulesPublisher(this.memory.settings).publish(this.rules);
    return this;
  }

  // --------------------------------------------------------------------------------- reading

  /** Hands over what was written so far. */
  publish(): this {
    this.writer.ring.publish();
    this.sweeper.ring.publish();
    this.killer.ring.publish();
    return this;
  }

  /** As {@link step}, without the check of all sums: for large tables. */
  stepUnchecked(): this {
    this.publish();
    while (this.accounting.step(this.nowNs) > 0);
    return this;
  }

  /** Lets accounting take all there is. */
  step(): this {
    this.publish();
    while (this.accounting.step(this.nowNs) > 0) this.books.checkSums();
    this.books.checkSums();
    checkFlags(this.books);
    for (let word = this.queryRing.next(); word >= 0; word = this.queryRing.next()) {
      const { words } = this.queryRing;
      this.asked.push({
        kind: words[word + RecordWord.kindCpu]!,
        tid: words[word + RecordWord.tid]!,
      });
    }
    this.queryRing.release();
    return this;
  }

  usage(uid: number): number {
    const slot = this.books.findUser(uid);
    return slot < 0 ? 0 : this.books.users.usagePages[slot]!;
  }

  /** "free", "ok", "soft" or "hard". */
  state(uid: number): string {
    const slot = this.books.findUser(uid);
    const state = slot < 0 ? UserState.free : this.books.users.state[slot]!;
    return ["free", "ok", "soft", "hard"][state]!;
  }

  /** Pages of a process; -1 when it is not in the books. */
  pages(tgid: number): number {
    const slot = this.books.findProcess(tgid);
    return slot < 0 ? -1 : this.books.processes.pages[slot]!;
  }

  /** Orders to the killer since the last call. */
  orders(): Order[] {
    const orders: Order[] = [];
    const view = ORDER.view(this.orderRing.words);
    for (let word = this.orderRing.next(); word >= 0; word = this.orderRing.next()) {
      const { packed, userSlot, generation, leastPages } = view.at(word);
      const kind = ORDER_NAMES[orderKindOf(packed)] ?? "other";
      orders.push({ kind, uid: this.books.users.uid[userSlot]!, userSlot, generation, leastPages });
    }
    this.orderRing.release();
    return orders;
  }

  /** Reports since the last call, by name if one is given. */
  reports(name?: ReportName): Report[] {
    const reports: Report[] = [];
    for (;;) {
      const report = readReport(this.reportRing);
      if (report === undefined) return reports;
      if (name === undefined || report.name === name) reports.push(report);
    }
  }
}
