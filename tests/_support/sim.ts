/**
 * A deterministic simulator: the real accounting and killer on one memory, under a fake kernel
 * ({@link FakeKernel}), a reader, a sweeper and a supervisor that a seeded generator steps in any
 * order. The invariants of docs/INVARIANTS.md are asserted all along.
 *
 *     new Sim({ ...SIM_DEFAULTS, seed: 7, loses: true }).run();
 *
 * Throws an error that names seed and options. What it cannot find: faults of memory ordering.
 *
 * @module
 */
import { chargedPages, ownPages } from "../../pipeline/books/charge.ts";
import { Accounting } from "../../pipeline/accounting.ts";
import { type Books, NO_LIMIT_PAGES, UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import {
  Killer,
  type KillKernel,
  PATIENCE_NS,
  Refusal,
  Signal,
} from "../../pipeline/kill/killer.ts";
import {
  HeaderWord,
  Member,
  packProc,
  ProcessState,
  ProcFlag,
  RecordKind,
  RecordWord,
  Role,
  RoleWord,
  SweepFlag,
  UserState,
} from "../../pipeline/memory/layout.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import { attachMemory, createMemory, type Memory } from "../../pipeline/memory/memory.ts";
import {
  GONE,
  LENDER,
  MEASURE_BEGIN,
  MEASURE_END,
  MEASURED,
  PROC,
  PROC_PAGES,
  SWEEP_BEGIN,
  SWEEP_END,
  TASK,
  VERIFY_BEGIN,
  VERIFY_END,
} from "../../pipeline/messages/records.ts";
import { writeRecord, writeWords } from "./records.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { readReport, type Report } from "../../pipeline/messages/reports.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { type FakeEvent, FakeKernel, type FakeMm, type FakeProcess } from "./model.ts";
import { Random } from "./random.ts";

export interface SimOptions {
  readonly seed: number;
  readonly ticks: number;
  readonly cpus: number;
  readonly readers: number;
  readonly ringRecords: number;
  /** Processes that were there before toom. */
  readonly before: number;
  readonly processesMax: number;
  /** Uids from 1000 on; all but the last have a limit. */
  readonly users: number;
  readonly hardPages: number;
  /** Small buffers: events get lost. */
  readonly loses: boolean;
  /** Accounting and killer are started anew now and then. */
  readonly restarts: boolean;
  /** Roles stand still for a while. */
  readonly stalls: boolean;
  /** The sweeper works; without it, events alone must do. */
  readonly sweeps: boolean;
  readonly changesUsers: boolean;
  readonly foreign: boolean;
  /** Processes appear that no birth announces; else all come from the users' first ones. */
  readonly logins: boolean;
  /** The reader sees one CPU's events late; else all CPUs' in the order of time. */
  readonly skew: boolean;
  /** Pages are copied after forks, and shmem pages are mapped by several. */
  readonly shares: boolean;
  /** A mistake to be found: a page too many, a second victim at once, or a wrong victim. */
  readonly sabotage: "" | "delta" | "sum" | "patience" | "dying" | "identity";
}

export const SIM_DEFAULTS: SimOptions = {
  seed: 1,
  ticks: 1500,
  cpus: 2,
  readers: 1,
  ringRecords: 64,
  before: 0,
  processesMax: 24,
  users: 3,
  hardPages: 400,
  loses: false,
  restarts: false,
  stalls: false,
  sweeps: true,
  changesUsers: false,
  foreign: false,
  logins: false,
  skew: false,
  shares: false,
  sabotage: "",
};

export interface SimResult {
  readonly events: number;
  readonly kills: number;
  /** Killed because they shared the mm of a victim. */
  readonly sharers: number;
  readonly losses: number;
  readonly reports: readonly Report[];
}

const FIRST_UID = 1000;
const LARGE = 1 << 30;
const SETTLE_TICKS = 10_000;
/** Sums of parts of pages. */
const ROUNDING = 1e-6;
/** A user above its limit by counted pages is measured at most this often. */
const MEASURE_EVERY_NS = 20e6;
/** An identity that was checked longer ago must be checked again before a signal. */
const CHECK_HOLDS_NS = 50e6;

type RoleStep = "kernel" | "reader" | "accounting" | "killer" | "sweeper" | "time";

/** When a process was signalled, for which user, and as what. */
interface Signalled {
  readonly atNs: number;
  readonly uid: number;
  readonly mm: FakeMm;
  readonly isSharer: boolean;
}

export class Sim implements KillKernel {
  readonly options: SimOptions;
  readonly memory: Memory;
  readonly kernel: FakeKernel;
  accounting: Accounting;
  killer: Killer;
  readonly reports: Report[] = [];
  kills = 0;
  sharers = 0;
  losses = 0;
  events = 0;
  private readonly random: Random;
  private readonly writers: RecordWriter[];
  private readonly sweepWriter: RecordWriter;
  private readonly queries: RingConsumer;
  private readonly reportRings: RingConsumer[];
  private readonly handles = new Map<
    number,
    { readonly process: FakeProcess; checkedUid: number; checkedNs: number }
  >();
  private nextHandle = 3;
  /** By process: when it was signalled. */
  private readonly signalled = new Map<FakeProcess, Signalled>();
  /** First process of each user. */
  private readonly roots: FakeProcess[] = [];
  /** Usage may differ from the truth by what is in flight, and by nothing else. */
  private readonly isStrict: boolean;
  /** Times of the records in each reader's ring. */
  private readonly written: number[][];
  /** By user: the sweep during or after which it was killed. */
  private readonly killedIn = new Map<number, number>();
  private readonly stalledUntil = new Map<RoleStep, number>();
  private tick = 0;
  private quiet = false;
  // The sweep under way.
  private sweepNumber = 0;
  private sweepPids: number[] = [];
  private sweeping = false;
  private wanted = true;
  private sweptNs = -Infinity;

  constructor(options: SimOptions) {
    this.options = options;
    this.random = new Random(options.seed);
    const buffer = createMemory({
      readers: options.readers,
      ringRecords: options.ringRecords,
      users: 16,
      processes: 128,
      tasks: 512,
      mms: 256,
      rules: 8,
      pageBytes: 4096,
    });
    const memory = this.memory = attachMemory(buffer);
    const rules = new LimitRules();
    for (let user = 0; user < options.users - 1; user++) {
      const uid = FIRST_UID + user;
      const { hardPages } = options;
      rules.set({
        uidFirst: uid,
        uidLast: uid,
        hardPages,
        softPages: Math.floor(hardPages * 0.9),
      });
    }
    new RulesPublisher(memory.settings).publish(rules);
    this.kernel = new FakeKernel(this.random, options.cpus, options.loses ? 12 : LARGE);
    this.writers = memory.plan.readerRings.map((place) =>
      new RecordWriter(new RingProducer(buffer, place), () => {
        throw new Error("the reader looks for room first");
      })
    );
    this.sweepWriter = new RecordWriter(
      new RingProducer(buffer, memory.plan.sweeperRing),
      () => {
        this.sweepWriter.ring.publish();
        this.accounting.step(this.kernel.nowNs, 1024);
      },
    );
    this.queries = new RingConsumer(buffer, memory.plan.queryRing);
    this.reportRings = [Role.accounting, Role.killer].map((role) =>
      new RingConsumer(buffer, memory.plan.reportRings[role]!)
    );
    this.written = this.writers.map(() => []);
    this.isStrict = options.before === 0 && !options.foreign && !options.loses &&
      !options.restarts && !options.changesUsers && !options.logins && !options.skew &&
      options.readers === 1;
    this.kernel.tracing = false;
    for (let user = 0; user < options.users; user++) {
      this.roots.push(this.kernel.spawn(FIRST_UID + user));
    }
    for (let i = 0; i < options.before; i++) this.operate();
    this.kernel.tracing = true;
    this.accounting = this.startAccounting();
    this.killer = this.startKiller();
    for (const pid of this.kernel.processes.keys()) if (options.before === 0) this.tell(pid);
    this.sweepWriter.ring.publish();
    this.accounting.step(this.kernel.nowNs);
  }

  /** @throws {Error} That names seed and options, when an invariant does not hold. */
  run(): SimResult {
    try {
      for (this.tick = 0; this.tick < this.options.ticks; this.tick++) this.step();
      this.settle();
      if (this.options.sweeps) this.sweepNow();
      this.assertTruth();
    } catch (cause) {
      throw new Error(
        `Simulation failed in tick ${this.tick}: ${cause}\n  ${JSON.stringify(this.options)}`,
        { cause },
      );
    }
    const { events, kills, sharers, losses, reports } = this;
    return { events, kills, sharers, losses, reports };
  }

  get books(): Books {
    return this.accounting.books;
  }

  private startAccounting(): Accounting {
    const accounting = new Accounting(this.memory, {
      unknownUid: UNKNOWN_UID,
      marginPages: 0,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
    });
    if (this.options.sabotage === "delta") {
      const { books } = accounting;
      const setMember = books.setMember.bind(books);
      let calls = 0;
      books.setMember = (mm, member, pages, tsNs) =>
        setMember(mm, member, ++calls % 200 === 0 && pages > 0 ? pages + 1 : pages, tsNs);
    }
    if (this.options.sabotage === "dying") accounting["enforcement"]["dying"].pages = () => 0;
    accounting.start();
    return accounting;
  }

  private startKiller(): Killer {
    const patienceNs = this.options.sabotage === "patience" ? 0 : PATIENCE_NS;
    const killer = new Killer(this.memory, this, { patienceNs });
    if (this.options.sabotage === "dying") killer["rows"].freed.pages = () => 0;
    killer.start();
    return killer;
  }

  // ------------------------------------------------------------------------------- one tick

  private step(): void {
    const { random, options } = this;
    const weights: readonly RoleStep[] = [
      "kernel",
      "kernel",
      "kernel",
      "kernel",
      "reader",
      "reader",
      "reader",
      "accounting",
      "accounting",
      "accounting",
      "killer",
      "killer",
      "sweeper",
      "time",
    ];
    const role = random.pick(weights);
    if (options.stalls && random.oneIn(200)) {
      this.stalledUntil.set(random.pick(weights), this.tick + random.between(10, 120));
    }
    if (options.restarts && random.oneIn(150)) this.restart();
    if ((this.stalledUntil.get(role) ?? 0) > this.tick) return;
    this.roleStep(role);
    if (this.isStrict) this.assertInFlight();
  }

  private roleStep(role: RoleStep): void {
    const { random } = this;
    switch (role) {
      case "kernel":
        if (!this.quiet) this.operate();
        break;
      case "reader":
        this.read(random.below(this.options.readers), false);
        break;
      case "accounting":
        this.account(random.between(1, 40));
        break;
      case "killer":
        this.killer.step();
        break;
      case "sweeper":
        if (this.options.sweeps) this.sweep(random.between(1, 8));
        break;
      case "time":
        this.kernel.pass(random.pick([1e4, 1e6, 5e6, 3e7]));
        break;
    }
    this.collectReports();
  }

  private account(records: number): number {
    const taken = this.accounting.step(this.kernel.nowNs, records);
    if (this.options.sabotage === "sum" && this.random.oneIn(100)) {
      this.books.users.usagePages[0]!++;
    }
    this.books.checkSums();
    return taken;
  }

  private restart(): void {
    // Who was killed because it shared a victim's mm is not remembered by those that start anew.
    const { victims } = this.memory;
    const remembered = new Set(victims.pid.filter((_, row) => victims.state[row] !== 0));
    for (const process of this.signalled.keys()) {
      if (!remembered.has(process.pid)) this.signalled.delete(process);
    }
    if (this.random.oneIn(2)) {
      this.accounting = this.startAccounting();
      return;
    }
    const words = attachRole(this.memory, Role.killer);
    Atomics.add(words, RoleWord.epoch, 1);
    this.killer = this.startKiller();
  }

  /** Something happens on the machine. */
  private operate(): void {
    const { kernel, random, options } = this;
    kernel.onAnyCpu();
    const runnable = kernel.alive().filter((process) =>
      !process.suspended && !this.roots.includes(process)
    );
    if (runnable.length < 2 || (runnable.length < options.processesMax && random.oneIn(25))) {
      const user = random.below(options.users);
      const process = options.logins
        ? kernel.spawn(FIRST_UID + user)
        : kernel.fork(this.roots[user]!);
      process!.isProtected = random.oneIn(8);
      kernel.grow(process!, Member.anon, random.between(1, 10));
      if (options.logins) this.look.push(process!.pid);
      return;
    }
    const process = random.pick(runnable);
    const isFull = runnable.length >= options.processesMax;
    // With SIGKILL pending, a process neither forks nor executes anything: it may only fault.
    const what = process.diesAtNs === Infinity ? random.below(100) : random.below(63);
    if (process.lender !== undefined) {
      if (what < 20 || process.diesAtNs !== Infinity) kernel.grow(process, Member.anon, 1);
      else if (what < 80) kernel.exec(process);
      else kernel.exit(process);
    } else if (what < 45) {
      const member = random.pick([Member.anon, Member.anon, Member.file, Member.shmem]);
      kernel.grow(process, member, random.between(1, 30));
    } else if (what < 60) {
      const member = random.pick([Member.anon, Member.file, Member.shmem, Member.swap]);
      const pages = process.mm.pages[member]!;
      if (pages > 0) kernel.grow(process, member, -random.between(1, pages));
    } else if (what < 63) {
      kernel.swapOut(process);
    } else if (what < 70) {
      if (!isFull) kernel.fork(process, random.oneIn(6));
    } else if (what < 77) {
      if (!isFull) kernel.vfork(process);
    } else if (what < 82) kernel.exec(process);
    else if (what < 88) {
      if (process.tids.length < 5) kernel.thread(process);
    } else if (what < 91) kernel.endThread(process);
    else if (what < 94) kernel.exit(process);
    else if (what < 96 && options.foreign) {
      const actor = random.pick(runnable);
      kernel.foreign(actor.pid, process, Member.anon, random.between(1, 5));
    } else if (what < 98 && options.changesUsers) {
      kernel.setUid(process, FIRST_UID + random.below(options.users));
    } else if (options.shares) {
      const other = random.pick(runnable);
      if (random.oneIn(2) || other.uid !== process.uid) kernel.copy(process, random.between(1, 60));
      else kernel.mapShared(process, other);
    }
  }

  /** Counted pages of a user that accounting cannot know of yet, at most. */
  private inFlightPages(uid: number): number {
    let oldestNs = Infinity;
    for (const { events } of this.kernel.buffers) {
      oldestNs = Math.min(oldestNs, events[0]?.tsNs ?? Infinity);
    }
    this.writers.forEach(({ ring }, reader) => {
      const times = this.written[reader]!;
      times.splice(0, times.length - ring.backlog);
      for (const tsNs of times) oldestNs = Math.min(oldestNs, tsNs);
    });
    let sum = 0;
    for (const { tsNs, uid: whose, pages } of this.kernel.changes) {
      if (tsNs >= oldestNs && whose === uid) sum += pages;
    }
    return sum;
  }

  /** I4, in motion. */
  private assertInFlight(): void {
    const { books, kernel, options } = this;
    for (let user = 0; user < options.users; user++) {
      const uid = FIRST_UID + user;
      const slot = books.findUser(uid);
      const booked = slot < 0 ? 0 : books.users.usagePages[slot]!;
      const truth = kernel.usagePages(uid);
      if (booked === truth) continue;
      // A death is known before the events that came before it: births of borrowers, for instance.
      if (this.sweepNumber <= (this.killedIn.get(uid) ?? -Infinity) + 1) continue;
      const inFlight = this.inFlightPages(uid);
      if (Math.abs(booked - truth) <= inFlight) continue;
      throw new Error(`I4: uid ${uid}: books ${booked}, truth ${truth}, in flight ${inFlight}`);
    }
    this.assertLowerBound();
  }

  /** What is charged is never more than what a user holds, shared pages counted once. */
  private assertLowerBound(): void {
    const { books, kernel, options } = this;
    for (let user = 0; user < options.users; user++) {
      const uid = FIRST_UID + user;
      const slot = books.findUser(uid);
      if (slot < 0) continue;
      const { usagePages, creditPages } = books.users;
      const charged = usagePages[slot]! - creditPages[slot]!;
      const truth = kernel.chargedPages(uid);
      if (charged <= truth + ROUNDING) continue;
      if (this.sweepNumber <= (this.killedIn.get(uid) ?? -Infinity) + 1) continue;
      const inFlight = this.inFlightPages(uid);
      if (charged <= truth + inFlight + ROUNDING) continue;
      throw new Error(`I10: uid ${uid}: charged ${charged}, holds ${truth}, in flight ${inFlight}`);
    }
  }

  // ---------------------------------------------------------------------------------- reader

  /** Takes some events of each CPU, merged by time, as far as the ring has room. */
  private read(reader: number, all: boolean): number {
    const { random, kernel, options } = this;
    const writer = this.writers[reader]!;
    const batch: FakeEvent[] = [];
    if (!options.skew && options.readers === 1) return this.readInOrder(writer, all);
    for (let cpu = reader; cpu < options.cpus; cpu += options.readers) {
      const buffer = kernel.buffers[cpu]!;
      let room = options.ringRecords - writer.ring.backlog - batch.length - 1;
      const wanted = all ? LARGE : random.pick([0, 3, 10, 40]);
      if (wanted > 0 && buffer.lost > 0 && room > 0 && buffer.events.length > 0) {
        const first = buffer.events[0]!;
        batch.push({
          ...first,
          kind: RecordKind.lost,
          a: random.oneIn(2) ? buffer.lost : -1,
          b: 0,
          c: 0,
          d: 0,
        });
        this.losses++;
        buffer.lost = 0;
        room--;
      }
      const count = Math.min(wanted, room, buffer.events.length);
      if (count > 0) batch.push(...buffer.events.splice(0, count));
    }
    batch.sort((one, other) => one.tsNs - other.tsNs);
    return this.write(reader, batch);
  }

  /** Always the oldest event of all CPUs. */
  private readInOrder(writer: RecordWriter, all: boolean): number {
    const { kernel, random, options } = this;
    const batch: FakeEvent[] = [];
    const room = options.ringRecords - writer.ring.backlog - 1;
    const wanted = all ? room : Math.min(room, random.pick([3, 10, 40]));
    while (batch.length < wanted) {
      let next = kernel.buffers[0]!;
      for (const buffer of kernel.buffers) {
        if ((buffer.events[0]?.tsNs ?? Infinity) < (next.events[0]?.tsNs ?? Infinity)) {
          next = buffer;
        }
      }
      const first = next.events[0];
      if (first === undefined) break;
      if (next.lost > 0) {
        const count = random.oneIn(2) ? next.lost : -1;
        batch.push({ ...first, kind: RecordKind.lost, a: count, b: 0, c: 0, d: 0 });
        this.losses++;
        next.lost = 0;
      } else batch.push(next.events.shift()!);
    }
    return this.write(0, batch);
  }

  private write(reader: number, batch: readonly FakeEvent[]): number {
    const writer = this.writers[reader]!;
    for (const { tsNs, kind, cpu, tid, a, b, c, d } of batch) {
      writeWords(writer, tsNs, kind, cpu, [tid, a, b, c, d]);
      this.written[reader]!.push(tsNs);
    }
    this.events += batch.length;
    writer.ring.publish();
    return batch.length;
  }

  // --------------------------------------------------------------------------------- sweeper

  private readonly look: number[] = [];

  private sweep(processes: number): void {
    const { kernel, queries, sweepWriter } = this;
    for (let word = queries.next(); word >= 0; word = queries.next()) {
      const kind = queries.words[word + RecordWord.kindCpu]!;
      const subject = queries.words[word + RecordWord.tid]!;
      if (kind === RecordKind.resync) this.wanted = true;
      else if (kind === RecordKind.measure) this.measuresAsked.add(subject);
      else if (kind === RecordKind.verify) this.verify(subject);
      else this.resolve(queries.words[word + RecordWord.tid]!);
    }
    queries.release();
    for (const pid of [...this.look.splice(0), ...kernel.uidChanges.splice(0)]) this.tell(pid);
    if (!this.sweeping && (this.wanted || kernel.nowNs - this.sweptNs >= 1e9)) {
      this.sweeping = true;
      this.wanted = false;
      this.sweptNs = kernel.nowNs;
      const flags = SweepFlag.full;
      const number = ++this.sweepNumber;
      writeRecord(sweepWriter, SWEEP_BEGIN, kernel.nowNs, { number, flags });
      this.sweepPids = [...kernel.processes.keys()];
    }
    if (this.sweeping) {
      for (const pid of this.sweepPids.splice(0, processes)) this.tell(pid);
      if (this.sweepPids.length === 0) {
        this.sweeping = false;
        const end = { number: this.sweepNumber, flags: SweepFlag.full };
        writeRecord(sweepWriter, SWEEP_END, kernel.nowNs, end);
        Atomics.store(this.memory.header, HeaderWord.discovered, 1);
      }
    }
    this.measureSome(processes);
    sweepWriter.ring.publish();
  }

  /** All that the books have of a user is read. */
  private verify(uid: number): void {
    const { kernel, sweepWriter, books } = this;
    const { processes, users } = books;
    writeRecord(sweepWriter, VERIFY_BEGIN, kernel.nowNs, { uid });
    for (let slot = 0; slot < books.processSlots.highWater; slot++) {
      if (processes.state[slot] === ProcessState.free) continue;
      if (users.uid[processes.userSlot[slot]!] !== uid || processes.tgid[slot]! <= 0) continue;
      const pid = processes.tgid[slot]!;
      if (!this.tell(pid)) writeRecord(sweepWriter, GONE, kernel.nowNs, { tid: pid });
    }
    writeRecord(sweepWriter, VERIFY_END, kernel.nowNs, { uid });
  }

  // ------------------------------------------------------------------------------- measuring

  private readonly measuresAsked = new Set<number>();
  private measure: { number: number; uid: number; left: FakeProcess[] } | undefined;
  private measureNumber = 0;
  private measuredNs = -Infinity;

  /** Reads the shares of some processes of a user, of whom more are read later. */
  private measureSome(processes: number): void {
    const { kernel, sweepWriter } = this;
    if (this.measure === undefined) {
      if (kernel.nowNs - this.measuredNs < MEASURE_EVERY_NS) return;
      const uid = this.nextToMeasure();
      if (uid === undefined) return;
      const left = kernel.alive().filter((one) => one.uid === uid && one.lender === undefined);
      this.measure = { number: ++this.measureNumber, uid, left };
      writeRecord(sweepWriter, MEASURE_BEGIN, kernel.nowNs, { number: this.measureNumber, uid });
    }
    const { number, uid, left } = this.measure;
    if (this.memory.header[HeaderWord.measureBegun] !== number) return;
    for (const { pid, mm, state } of left.splice(0, processes)) {
      if (state !== "alive") continue;
      const shares = kernel.sharesOf(mm);
      writeRecord(sweepWriter, MEASURED, kernel.nowNs, { tgid: pid, number, ...shares });
      kernel.nowNs += 1000;
    }
    if (left.length > 0) return;
    writeRecord(sweepWriter, MEASURE_END, kernel.nowNs, { number, uid });
    this.measure = undefined;
    this.measuredNs = kernel.nowNs;
  }

  private nextToMeasure(): number | undefined {
    for (const uid of this.measuresAsked) {
      this.measuresAsked.delete(uid);
      return uid;
    }
    const { users, userSlots } = this.books;
    for (let slot = 0; slot < userSlots.highWater; slot++) {
      const slots = (slot + this.measureNumber) % userSlots.highWater;
      if (users.creditPages[slots] === 0 || users.hardPages[slots] === NO_LIMIT_PAGES) continue;
      if (users.usagePages[slots]! > users.hardPages[slots]!) return users.uid[slots]!;
    }
    return undefined;
  }

  private tell(pid: number): boolean {
    const { kernel, sweepWriter } = this;
    const process = kernel.processes.get(pid);
    if (process === undefined || process.state !== "alive") return false;
    const tsNs = kernel.nowNs;
    kernel.nowNs += 100;
    const { uid, tids, mm, lender, bornNs } = process;
    const shares = lender !== undefined && lender.state === "alive" && lender.mm === mm;
    const ticks = Math.floor(bornNs / 1e7);
    const forked = !shares && mm.held.some((pages) => pages.some(({ refs }) => refs > 1));
    const flags = (shares ? ProcFlag.borrows : 0) | (forked ? ProcFlag.mayShare : 0);
    const [filePages, anonPages, swapPages, shmemPages] = mm.pages;
    writeRecord(sweepWriter, PROC, tsNs, {
      tgid: pid,
      uid,
      startTicks: ticks,
      bornLow: Math.floor(bornNs / 1e6),
      packed: packProc(flags, bornNs / 1e6),
    });
    writeRecord(sweepWriter, PROC_PAGES, tsNs, {
      tgid: pid,
      filePages: filePages!,
      anonPages: anonPages!,
      swapPages: swapPages!,
      shmemPages: shmemPages!,
    });
    if (shares) writeRecord(sweepWriter, LENDER, tsNs, { tgid: pid, lenderTgid: lender!.pid });
    for (const tid of tids) writeRecord(sweepWriter, TASK, tsNs, { tid, tgid: pid });
    return true;
  }

  private resolve(tid: number): void {
    const { kernel } = this;
    const tsNs = kernel.nowNs;
    const process = kernel.alive().find(({ tids }) => tids.includes(tid));
    if (process !== undefined) {
      this.tell(process.pid);
      if (process.pid === tid) return;
    }
    writeRecord(this.sweepWriter, GONE, tsNs, { tid });
  }

  // --------------------------------------------------------------------- liveness, and the end

  /** No faults, nothing new: all must come to rest, below the limits. */
  private settle(): void {
    const { kernel, random, options } = this;
    this.quiet = true;
    this.stalledUntil.clear();
    for (const process of kernel.alive()) process.suspended = false;
    const roles: readonly RoleStep[] = ["reader", "accounting", "killer", "sweeper", "time"];
    for (let tick = 0; tick < SETTLE_TICKS; tick++) {
      if (tick % 100 === 99 && !this.readersHaveWork() && this.overUsers().length === 0) {
        // Enough time for all that waits.
        if (kernel.alive().every(({ diesAtNs }) => diesAtNs === Infinity)) break;
      }
      this.tick++;
      this.roleStep(random.pick(roles));
    }
    for (let i = 0; i < 20; i++) kernel.pass(1e8);
    this.drain();
    const over = this.overUsers();
    const detail = over.map((uid) => `${uid}: ${kernel.usagePages(uid)} > ${options.hardPages}`);
    if (over.length > 0) throw new Error(`liveness: users stay over: ${detail}`);
  }

  private readersHaveWork(): boolean {
    return this.kernel.buffers.some(({ events }) => events.length > 0);
  }

  /** Users over their limit that would not be if all who may be killed were. */
  private overUsers(): number[] {
    const { kernel, options } = this;
    const uids = Array.from({ length: options.users - 1 }, (_, user) => FIRST_UID + user);
    return uids.filter((uid) =>
      kernel.chargedPages(uid) > options.hardPages + kernel.processes.size &&
      this.protectedPages(uid) <= options.hardPages
    );
  }

  /** Pages of a user that stay whoever is killed. */
  private protectedPages(uid: number): number {
    const alive = this.kernel.alive();
    const kept = alive.filter((one) => one.isProtected || one.uid !== uid).map(({ mm }) => mm);
    const own = alive.filter((one) => one.uid === uid).map(({ mm }) => mm);
    return this.kernel.pagesOf(new Set(own.filter((mm) => kept.includes(mm))));
  }

  private drain(): void {
    for (let rounds = 0; rounds < 1000; rounds++) {
      let work = 0;
      for (let reader = 0; reader < this.options.readers; reader++) work += this.read(reader, true);
      work += this.account(1024);
      work += this.killer.step();
      this.collectReports();
      if (work === 0) return;
    }
    throw new Error("liveness: accounting and killer never come to rest");
  }

  /** Whole sweeps, after which the books must be right. */
  private sweepNow(): void {
    for (let i = 0; i < 3; i++) {
      this.kernel.pass(1.1e9);
      this.wanted = true;
      do {
        this.sweep(LARGE);
        this.drain();
      } while (this.sweeping);
    }
    if (this.memory.header[HeaderWord.degraded] !== 0) throw new Error("I4: still degraded");
  }

  /** I4: nothing is in flight, so books and truth agree. */
  assertTruth(): void {
    const { books, kernel, options } = this;
    const wrong: string[] = [];
    for (let user = 0; user < options.users; user++) {
      const uid = FIRST_UID + user;
      const slot = books.findUser(uid);
      const booked = slot < 0 ? 0 : books.users.usagePages[slot]!;
      const truth = kernel.usagePages(uid);
      if (booked !== truth) wrong.push(`uid ${uid}: books ${booked}, truth ${truth}`);
    }
    const unknown = books.findUser(UNKNOWN_UID);
    if (unknown >= 0 && books.users.state[unknown] !== UserState.free) {
      const pages = books.users.usagePages[unknown]!;
      if (pages !== 0) wrong.push(`nobody's: ${pages}`);
    }
    if (wrong.length > 0) throw new Error(`I4: ${wrong.join("; ")}`);
  }

  private collectReports(): void {
    for (const ring of this.reportRings) {
      for (let report = readReport(ring); report !== undefined; report = readReport(ring)) {
        this.reports.push(report);
      }
    }
  }

  // -------------------------------------------------------------------------- the kill kernel

  open(pid: number): number {
    const process = this.kernel.processes.get(pid);
    if (process === undefined) return -3;
    this.handles.set(++this.nextHandle, { process, checkedUid: -1, checkedNs: -Infinity });
    return this.nextHandle;
  }

  private process(handle: number): FakeProcess {
    const open = this.handles.get(handle);
    if (open === undefined) throw new Error(`handle ${handle} is not open`);
    return open.process;
  }

  check(handle: number, _pid: number, uid: number): number {
    const process = this.process(handle);
    if (process.state !== "alive") return Refusal.gone;
    if (process.isProtected && this.options.sabotage !== "identity") return Refusal.protected;
    if (process.uid !== uid) return Refusal.otherUser;
    const open = this.handles.get(handle)!;
    open.checkedUid = uid;
    open.checkedNs = this.kernel.nowNs;
    return Refusal.none;
  }

  kill(handle: number, pid: number, signal: number): number {
    const { kernel, random } = this;
    const process = this.process(handle);
    if (process.pid !== pid) throw new Error(`I1: the handle of ${pid} is ${process.pid}'s`);
    if (process.state !== "alive") return -3;
    if (signal === Signal.none) return 0;
    if (process.isProtected) throw new Error(`I1: ${pid} is protected`);
    const { nowNs } = kernel;
    const { checkedUid: uid, checkedNs } = this.handles.get(handle)!;
    if (nowNs - checkedNs > CHECK_HOLDS_NS) throw new Error(`I1: ${pid} was not checked of late`);
    // Who shares the mm of a victim goes with it.
    const first = [...this.signalled.values()].find(({ mm }) => mm === process.mm);
    const isSharer = first !== undefined;
    if (isSharer) this.sharers++;
    else {
      this.assertNeeded(pid, uid);
      this.kills++;
    }
    const atNs = first?.atNs ?? nowNs;
    this.signalled.set(process, { atNs, uid, mm: process.mm, isSharer });
    this.killedIn.set(uid, this.sweepNumber);
    process.diesAtNs = nowNs + random.pick([1e5, 1e6, 2e7, 2.5e9]);
    return 0;
  }

  reap(): void {}

  hurry(): void {}

  /** Processes of a user that were signalled within the killer's patience and live on. */
  private dyingOf(uid: number): FakeProcess[] {
    const dying: FakeProcess[] = [];
    for (const [process, { atNs, uid: whose }] of this.signalled) {
      if (whose !== uid || process.state !== "alive") continue;
      if (this.kernel.nowNs - atNs < PATIENCE_NS) dying.push(process);
    }
    return dying;
  }

  /** I2: what would remain without the dying is over hard. */
  private assertNeeded(pid: number, uid: number): void {
    const { kernel, options, books } = this;
    const dying = this.dyingOf(uid);
    const names = `${pid} of uid ${uid}, while ${dying.map((other) => other.pid)} die`;
    let booked = chargedPages(books.users, books.findUser(uid));
    for (const other of dying) {
      const slot = books.findProcess(other.pid);
      if (slot >= 0) booked -= ownPages(books.processes, slot);
    }
    if (booked <= options.hardPages) throw new Error(`I2: ${names}, at ${booked} booked pages`);
    // Losses and restarts make the books wrong until a sweep; else nobody may suffer for nothing.
    if (!this.isStrict) return;
    const truth = kernel.heldPages(uid, new Set(dying.map(({ mm }) => mm)));
    const inFlight = this.inFlightPages(uid);
    if (truth + inFlight <= options.hardPages) {
      throw new Error(`I2: ${names}, at ${truth} true pages, ${inFlight} in flight`);
    }
  }

  sharesMm(pid: number, otherPid: number): boolean {
    const { processes } = this.kernel;
    const other = processes.get(otherPid);
    return other === undefined || processes.get(pid)?.mm === other.mm;
  }

  oomScoreAdj(pid: number): number {
    return this.kernel.processes.get(pid)?.oomScoreAdj ?? 0;
  }

  exited(handle: number): boolean {
    return this.process(handle).state !== "alive";
  }

  close(handle: number): void {
    if (!this.handles.delete(handle)) throw new Error(`handle ${handle} is closed twice`);
  }

  comm(): Uint8Array {
    return new Uint8Array(0);
  }

  nowNs(): number {
    this.kernel.nowNs += 50;
    return this.kernel.nowNs;
  }
}
