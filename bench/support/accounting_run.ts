/**
 * The real accounting agent on a memory of its own, with a made load in its ring, and a killer that
 * answers every order to arm and never has to kill.
 *
 * @module
 */
import { writeRecord } from "../../tests/_support/records.ts";
import { Accounting } from "../../pipeline/accounting.ts";
import { UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { Member } from "../../pipeline/memory/layout.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import {
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
  SIDE_RING_RECORDS,
} from "../../pipeline/memory/memory.ts";
import type { View } from "../../pipeline/messages/codec.ts";
import { ORDER, PROC, PROC_PAGES, TASK } from "../../pipeline/messages/records.ts";
import { RecordWriter } from "../../pipeline/messages/record_writer.ts";
import { RingConsumer, RingProducer } from "../../pipeline/memory/ring.ts";
import { BASE_PAGES, Load } from "./load.ts";

/** The members that count unless told otherwise. */
export const COUNT_MASK = 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem;
const FIRST_UID = 60_000;
const HARD_PAGES = 1 << 30;
const USERS = 8192;

export interface AccountingRunOptions {
  readonly processes: number;
  readonly users: number;
  readonly aboveSoft: boolean;
  /** Events in a row of one process. */
  readonly run: number;
  /** Records of the ring; one {@link AccountingRun.fill} fills it. */
  readonly ringRecords?: number;
}

export class AccountingRun {
  readonly memory: Memory;
  readonly accounting: Accounting;
  private readonly load: Load;
  private readonly writer: RecordWriter;
  private readonly orders: RingConsumer;
  private readonly order: View<typeof ORDER.fields>;
  private readonly records: number;

  constructor(options: AccountingRunOptions) {
    const { processes, users, aboveSoft, run, ringRecords = 65_536 } = options;
    this.records = ringRecords;
    this.memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, users: USERS, ringRecords }));
    const { buffer, plan } = this.memory;
    const rules = new LimitRules();
    const softPages = aboveSoft ? 1 : HARD_PAGES - 1;
    rules.set({ uidFirst: 0, uidLast: 2 ** 31 - 1, hardPages: HARD_PAGES, softPages });
    new RulesPublisher(this.memory.settings).publish(rules);
    this.accounting = new Accounting(this.memory, {
      unknownUid: UNKNOWN_UID,
      marginPages: 0,
      wakeSweeper: () => {},
      wakeCoordinator: () => {},
    });
    this.accounting.start();
    this.writer = new RecordWriter(new RingProducer(buffer, plan.readerRings[0]!), () => {
      throw new Error("the ring is full");
    });
    this.orders = new RingConsumer(buffer, plan.orderRing);
    this.order = ORDER.view(this.orders.words);
    this.load = new Load({ processes, run });
    this.announce(processes, users);
  }

  /** What /proc says of them all. */
  private announce(processes: number, users: number): void {
    const { buffer, plan } = this.memory;
    const ring = new RingProducer(buffer, plan.sweeperRing);
    const sweeper = new RecordWriter(ring, () => {
      throw new Error("the ring is full");
    });
    for (let i = 0; i < processes; i++) {
      const pid = this.load.firstPid + i;
      const uid = FIRST_UID + i % users;
      writeRecord(sweeper, PROC, 1, { tgid: pid, uid, startTicks: 1, bornLow: 1 });
      writeRecord(sweeper, PROC_PAGES, 1, { tgid: pid, anonPages: BASE_PAGES });
      writeRecord(sweeper, TASK, 1, { tid: pid, tgid: pid });
      if (ring.pending < SIDE_RING_RECORDS - 3) continue;
      ring.publish();
      this.drain();
    }
    ring.publish();
    this.drain();
  }

  /** Fills the ring. @returns Records written. */
  fill(): number {
    this.load.toRecords(this.records, this.writer);
    this.writer.ring.publish();
    return this.records;
  }

  /** Works all of it off. @returns Records taken. */
  drain(): number {
    const { accounting } = this;
    let records = 0;
    for (let taken = accounting.step(0); taken > 0; taken = accounting.step(0)) {
      records += taken;
      this.answerOrders();
    }
    return records;
  }

  /** Each batch finds the killer done with what the last one ordered. */
  private answerOrders(): void {
    const { orders } = this;
    const { armsDone } = this.accounting.books.users;
    for (let word = orders.next(); word >= 0; word = orders.next()) {
      armsDone[this.order.at(word).userSlot]!++;
    }
    orders.release();
  }
}
