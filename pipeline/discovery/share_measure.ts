/**
 * Measures what a user's processes share, one process after the other, off the sweeper's thread.
 *
 * @module
 */
import { CounterIndex, HeaderWord, ProcessFlag, ProcessState } from "../memory/layout.ts";
import { MeasureSchedule } from "../books/measure_schedule.ts";
import { ReadingCost } from "../books/reading_cost.ts";
import type { Memory } from "../memory/memory.ts";
import type { MemberMask } from "../memory/settings.ts";
import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../messages/records.ts";
import type { RecordWriter } from "../messages/record_writer.ts";
import { ProcTrial } from "./proc_trial.ts";
import { type RollupKib, sharesOf } from "../books/smaps_shares.ts";
import { UserRows } from "../books/user_rows.ts";
import { readLivingThread } from "../living_thread.ts";
import { type Clock, type Proc, ProcStatus } from "../ports.ts";

/** What measuring needs of the kernel besides /proc/PID/status. */
export interface ShareFacts {
  /** Page faults without I/O of a process, all threads, since its start; -1 when it is gone. */
  readMinorFaults(pid: number): number;
  /** What the process of a living thread shares; may take 12 ms a GiB, elsewhere. Undefined when it is gone or may not be read. */
  readRollup(tid: number): Promise<RollupKib | undefined>;
}

export interface ShareMeasureContext {
  readonly memory: Memory;
  readonly writer: RecordWriter;
  readonly clock: Clock;
  readonly proc: Proc;
  readonly facts: ShareFacts;
  /** CPUs that the users' programs run on. */
  readonly cpus: number;
  readonly pageBytes: number;
  /** The members that count for a user. */
  readonly countMaskOf: (uid: number) => MemberMask;
  /** The sweeper's. */
  readonly counters: Float64Array;
  /** Hands over what was written so far. */
  readonly publish: () => void;
}

/** A process is what the books have when it has at least this part of the pages, but for a few. */
const BOOKED_PART = 0.75;
const BOOKED_PAGES_SPREAD = 64;

/** A measuring under way. */
interface Run {
  readonly number: number;
  readonly uid: number;
  /** Row of the user. */
  readonly slot: number;
  readonly pids: readonly number[];
  next: number;
  costNs: number;
  lazyPages: number;
}

/** Whether accounting has begun a measuring is asked this often; mostly it has by the first time. */
const ASK_EVERY_NS = 0.1e6;

export class ShareMeasure {
  private readonly context: ShareMeasureContext;
  private readonly schedule: MeasureSchedule;
  private readonly rows: UserRows;
  private readonly cost = new ReadingCost();
  private readonly trial: ProcTrial;
  private readonly before = new ProcStatus();
  private readonly after = new ProcStatus();
  private run: Run | undefined;
  /** Of the last measuring. */
  private number: number;
  private reading = false;

  constructor(context: ShareMeasureContext) {
    this.context = context;
    this.rows = new UserRows(context.memory);
    const { proc, facts, counters } = context;
    this.trial = new ProcTrial(proc, () => counters[CounterIndex.procFailures]!++);
    // Rows remember by which measuring they were read: it must not be taken for a predecessor's, of
    // which one may have been announced and not begun.
    const begun = Atomics.load(context.memory.header, HeaderWord.measureBegun);
    this.number = begun === 0 ? 0 : begun + 1;
    this.schedule = new MeasureSchedule(
      context.memory,
      context.cpus,
      (userSlot) => this.pidsOf(userSlot),
      (pid) => this.trial.run(() => facts.readMinorFaults(pid)) ?? -1,
    );
  }

  /** Whether the event loop must turn for a reading to end. */
  get isWaiting(): boolean {
    return this.reading;
  }

  /** When {@link step} has something to do again. */
  get nextNs(): number {
    const { memory, clock } = this.context;
    if (this.run === undefined) return this.schedule.nextNs;
    // Until accounting has begun it there is nothing to do; to ask all the time would keep others,
    // the supervisor among them, from this CPU.
    const hasBegun = Atomics.load(memory.header, HeaderWord.measureBegun) === this.run.number;
    return hasBegun ? 0 : clock.nowNs() + ASK_EVERY_NS;
  }

  /** A user is over its limit but for its credit. */
  hurry(): void {
    this.schedule.hurry();
  }

  /** Goes on with what is under way, or begins with whose turn it is. Never waits. */
  step(): void {
    if (this.reading) return;
    const { memory, clock, writer } = this.context;
    const nowNs = clock.nowNs();
    if (this.run === undefined) {
      const slot = this.schedule.next(nowNs);
      if (slot < 0) return;
      const uid = memory.users.uid[slot]!;
      const number = ++this.number;
      const begin = writer.open(MEASURE_BEGIN, nowNs);
      begin.number = number;
      begin.uid = uid;
      writer.close();
      this.run = {
        number,
        uid,
        slot,
        pids: this.schedule.begin(slot, nowNs),
        next: 0,
        costNs: 0,
        lazyPages: 0,
      };
      return;
    }
    if (Atomics.load(memory.header, HeaderWord.measureBegun) !== this.run.number) return;
    this.readNext(this.run);
  }

  /** Reads one process; its end, or the end of all, is told when the reading is there. */
  private readNext(run: Run): void {
    const { clock, counters, publish, facts } = this.context;
    const pid = run.pids[run.next++];
    if (pid === undefined) {
      this.end(run);
      return;
    }
    const tid = this.read(pid, this.before);
    if (tid === 0) return;
    this.reading = true;
    const startNs = clock.nowNs();
    facts.readRollup(tid).then((rollup) => {
      const costNs = this.cost.of(clock.nowNs() - startNs, this.mappedPages());
      run.costNs += costNs;
      counters[CounterIndex.measureNs]! += costNs;
      this.reading = false;
      if (
        rollup !== undefined && this.read(pid, this.after) !== 0 && this.isBooked(run, pid)
      ) {
        this.tell(run, pid, rollup);
      }
      publish();
    }, () => {
      this.reading = false;
    });
  }

  /** @returns A thread of it that lives; 0 when it is gone, or cannot be read now. */
  private read(pid: number, out: ProcStatus): number {
    return this.trial.run(() => readLivingThread(this.context.proc, pid, out)) ?? 0;
  }

  /**
   * Whether what was read is what the books have of a process. It has far less when it has executed a
   * program of which accounting has not heard yet: then the shares of what it had are not known.
   */
  private isBooked(run: Run, pid: number): boolean {
    const { memory, countMaskOf, pageBytes } = this.context;
    const { processes, users } = memory;
    const countMask = countMaskOf(run.uid);
    const { rssAnonKib, rssFileKib, rssShmemKib, vmSwapKib } = this.after;
    const kib = [rssFileKib, rssAnonKib, vmSwapKib, rssShmemKib];
    const countedKib = kib.reduce(
      (sum, one, member) => sum + ((countMask >> member) & 1 ? one : 0),
      0,
    );
    const pages = countedKib * 1024 / pageBytes;
    const { rows, count } = this.rows.of(run.slot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.tgid[slot] !== pid || users.uid[processes.userSlot[slot]!] !== run.uid) {
        continue;
      }
      return pages >= processes.pages[slot]! * BOOKED_PART - BOOKED_PAGES_SPREAD;
    }
    return false;
  }

  /** Pages of the process that is read, as of before. */
  private mappedPages(): number {
    const { rssAnonKib, rssFileKib, rssShmemKib } = this.before;
    return (rssAnonKib + rssFileKib + rssShmemKib) * 1024 / this.context.pageBytes;
  }

  private tell(run: Run, pid: number, rollup: RollupKib): void {
    const { writer, clock, countMaskOf, pageBytes } = this.context;
    const shares = sharesOf(rollup, this.before, this.after, {
      countMask: countMaskOf(run.uid),
      pageBytes,
    });
    run.lazyPages += shares.lazyPages;
    const measured = writer.open(MEASURED, clock.nowNs());
    measured.tgid = pid;
    measured.mappedCreditPages = shares.mappedCreditPages;
    measured.sharedPages = shares.sharedPages;
    measured.creditPages = shares.creditPages;
    measured.shareablePages = shares.shareablePages;
    writer.close();
  }

  private end(run: Run): void {
    const { writer, clock, counters } = this.context;
    counters[CounterIndex.measurings]!++;
    const end = writer.open(MEASURE_END, clock.nowNs());
    end.number = run.number;
    end.uid = run.uid;
    writer.close();
    this.schedule.end(run.uid, run.costNs, run.lazyPages);
    this.run = undefined;
  }

  /** Living processes of a user that have memory of their own. */
  private *pidsOf(userSlot: number): Iterable<number> {
    const { processes } = this.context.memory;
    const { rows, count } = this.rows.of(userSlot);
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.userSlot[slot] !== userSlot) continue;
      if (processes.state[slot] !== ProcessState.alive || processes.tgid[slot]! <= 0) continue;
      if ((processes.flags[slot]! & ProcessFlag.borrower) === 0) yield processes.tgid[slot]!;
    }
  }
}
