import { assert, assertEquals } from "@std/assert";
import type { RollupKib } from "../../../pipeline/books/smaps_shares.ts";
import { ShareMeasure } from "../../../pipeline/discovery/share_measure.ts";
import { CounterIndex, Member, Role } from "../../../pipeline/memory/layout.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import { RingProducer } from "../../../pipeline/memory/ring.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import { type ProcStatus, STATE_ZOMBIE } from "../../../pipeline/ports.ts";
import { Desk } from "../../_support/desk.ts";
import { FakeProc } from "../../_support/fake_proc.ts";

const ANN = 1000;
const BOB = 1001;
const HARD_PAGES = 1000;
const PAGE_BYTES = 4096;
const KIB = PAGE_BYTES / 1024;
const COUNT_MASK = 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem;

/** What a process has, as /proc says at this moment. */
interface Held {
  anonPages: number;
  shmemPages: number;
}

class HeldProc extends FakeProc {
  readonly held = new Map<number, Held>();

  override readStatus(id: number, out: ProcStatus): boolean {
    if (!super.readStatus(id, out)) return false;
    const held = this.held.get(out.tgid);
    if (held === undefined) return false;
    if (out.state === STATE_ZOMBIE) return true;
    out.rssAnonKib = held.anonPages * KIB;
    out.rssShmemKib = held.shmemPages * KIB;
    return true;
  }
}

/** The real accounting, and a measuring of it by a /proc whose readings end when the test says so. */
class Stage {
  readonly desk = new Desk({ settings: { countMask: COUNT_MASK, creditsShares: true } });
  readonly proc = new HeldProc();
  readonly counters = attachCounters(this.desk.memory, Role.sweeper);
  /** Readings under way. */
  readonly asked: { pid: number; end: (rollup?: RollupKib) => void; fail: () => void }[] = [];
  private measure: ShareMeasure;
  private readonly ring: RingProducer;

  constructor() {
    const { memory } = this.desk;
    this.desk.limit(ANN, HARD_PAGES).limit(BOB, HARD_PAGES);
    for (const [pid, uid] of [[10, ANN], [11, ANN], [20, BOB]] as const) {
      this.desk.proc(pid, uid, {});
      this.proc.entries.set(pid, { uid });
    }
    this.desk.step();
    this.ring = new RingProducer(memory.buffer, memory.plan.sweeperRing);
    this.measure = this.start();
  }

  /** A sweeper that begins, or takes the place of another. */
  start(): ShareMeasure {
    return this.measure = new ShareMeasure({
      memory: this.desk.memory,
      writer: new RecordWriter(this.ring, () => {
        throw new Error("the ring is full");
      }),
      clock: { nowNs: () => this.desk.tick(), suspendedNs: () => 0 },
      proc: this.proc,
      facts: {
        readMinorFaults: (pid) => this.proc.held.has(pid) ? 0 : -1,
        readRollup: (pid) =>
          new Promise((end, fail) => this.asked.push({ pid, end, fail: () => fail(new Error()) })),
      },
      cpus: 2,
      counters: this.counters,
      publish: () => this.ring.publish(),
      countMaskOf: () => COUNT_MASK,
      pageBytes: PAGE_BYTES,
    });
  }

  /** When the sweeper is to come again, from now. */
  get inNs(): number {
    return this.measure.nextNs - this.desk.nowNs;
  }

  /** A turn of the sweeper alone. */
  step(): void {
    this.measure.step();
    this.ring.publish();
  }

  get isWaiting(): boolean {
    return this.measure.isWaiting;
  }

  /** A process has so much: the kernel says so in events and in /proc. */
  has(pid: number, anonPages: number, shmemPages = 0): this {
    this.proc.held.set(pid, { anonPages, shmemPages });
    this.desk.own(pid, 100 + pid, { anon: anonPages, shmem: shmemPages }).step();
    return this;
  }

  /** A turn of the sweeper, and then of accounting. */
  async turn(): Promise<void> {
    this.measure.step();
    this.ring.publish();
    this.desk.step();
    await Promise.resolve();
  }

  /** Turns until a reading is under way. @returns It. */
  async reading(): Promise<(typeof this.asked)[number]> {
    for (let turn = 0; turn < 5 && !this.isWaiting; turn++) await this.turn();
    assert(this.isWaiting, "a reading is under way");
    return this.asked.at(-1)!;
  }

  /** The reading under way ends, and its result is in the books. */
  async ended(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert(!this.isWaiting);
    this.desk.step();
  }

  /** So many turns, more than are needed. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await this.turn();
  }

  get measurings(): number {
    return this.counters[CounterIndex.measurings]!;
  }

  charged(uid: number): number {
    const row = this.desk.books.findUser(uid);
    const { usagePages, creditPages } = this.desk.memory.users;
    return usagePages[row]! - creditPages[row]!;
  }

  /** Whether the measuring of that number has told of a process. */
  isMeasured(pid: number, number = 1): boolean {
    const { books, memory } = this.desk;
    const mm = memory.processes.mmSlot1[books.findProcess(pid)]! - 1;
    return memory.mms.measureNumber[mm] === number;
  }
}

/** Of a process with so many pages, of which others map those of the second and third. */
function rollup(
  anonPages: number,
  sharedAnonPages: number,
  shmemPages = 0,
  pssShmemPages = shmemPages,
): RollupKib {
  return {
    anonymousKib: anonPages * KIB,
    pssAnonKib: (anonPages - sharedAnonPages / 2) * KIB,
    pssFileKib: 0,
    pssShmemKib: pssShmemPages * KIB,
    swapKib: 0,
    swapPssKib: 0,
    lazyFreeKib: 0,
    privateKib: (anonPages - sharedAnonPages) * KIB +
      (pssShmemPages === shmemPages ? shmemPages * KIB : 0),
    sharedKib: (sharedAnonPages + (pssShmemPages === shmemPages ? 0 : shmemPages)) * KIB,
  };
}

Deno.test("a measuring credits what two processes share once", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  assertEquals(stage.charged(ANN), 1200);
  for (const pid of [10, 11]) {
    const reading = await stage.reading();
    assertEquals(reading.pid, pid);
    assertEquals(stage.charged(ANN), 1200, "not before all are read");
    reading.end(rollup(600, 500));
    await stage.ended();
  }
  await stage.turn();
  assertEquals([stage.charged(ANN), stage.measurings], [700, 1]);
  assert(stage.counters[CounterIndex.measureNs]! > 0);
});

Deno.test("nobody is read before accounting has begun to keep apart what comes later", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  const { header } = stage.desk.memory;
  await stage.turn();
  // As if accounting had begun an older one only.
  const begun = header.slice();
  header.fill(0);
  await stage.turn();
  await stage.turn();
  assertEquals([stage.isWaiting, stage.asked.length], [false, 0]);
  header.set(begun);
  await stage.turn();
  assertEquals(stage.asked.map(({ pid }) => pid), [10]);
});

Deno.test("what is mapped after its process was read counts, as nobody was found to have it", async () => {
  const stage = new Stage().has(10, 50, 600).has(11, 50, 600);
  (await stage.reading()).end(rollup(50, 0, 600, 300));
  await stage.ended();
  const second = await stage.reading();
  stage.has(10, 50, 700);
  second.end(rollup(50, 0, 600, 300));
  await stage.ended();
  await stage.turn();
  const row = stage.desk.books.findUser(ANN);
  assertEquals(stage.desk.memory.users.shareablePages[row], 700);
  assertEquals(stage.charged(ANN), 100 + 700, "600 of both and 100 of one");
  // Those who unmap them again are charged for no page that nobody has.
  stage.has(10, 50, 600);
  assert(stage.charged(ANN) <= 100 + 600, `${stage.charged(ANN)}`);
});

Deno.test("what is mapped after its process was read may be what others were found to have", async () => {
  const stage = new Stage().has(10, 50, 100).has(11, 50, 900);
  (await stage.reading()).end(rollup(50, 0, 100, 50));
  await stage.ended();
  const second = await stage.reading();
  // Those of the other: both map the same 900 now.
  stage.has(10, 50, 900);
  second.end(rollup(50, 0, 900, 850));
  await stage.ended();
  await stage.turn();
  assertEquals(stage.charged(ANN), 100 + 900);
});

Deno.test("what a process maps while it is read makes its credit too high rather than too low", async () => {
  const stage = new Stage().has(10, 50, 600).has(11, 50, 600);
  const first = await stage.reading();
  stage.has(10, 50, 700);
  first.end(rollup(50, 0, 600, 300));
  await stage.ended();
  (await stage.reading()).end(rollup(50, 0, 600, 300));
  await stage.ended();
  await stage.turn();
  const charged = stage.charged(ANN);
  assert(charged <= 100 + 700 && charged >= 100 + 600, `${charged}`);
});

Deno.test("a process that has executed a program of which accounting has not heard is not told of", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  const first = await stage.reading();
  // The new program has 20 pages, and the books those of the old one.
  stage.proc.held.set(10, { anonPages: 20, shmemPages: 0 });
  first.end(rollup(20, 0));
  await stage.ended();
  (await stage.reading()).end(rollup(600, 500));
  await stage.ended();
  await stage.turn();
  assertEquals([stage.isMeasured(10), stage.isMeasured(11)], [false, true]);
  // What the old one had may have been shared.
  assertEquals(stage.charged(ANN), 600 - 250);
});

for (const [pages, isBooked] of [[386, true], [385, false], [650, true]] as const) {
  Deno.test(`a process of 600 pages in the books is ${isBooked ? "" : "not "}that of ${pages} in /proc`, async () => {
    const stage = new Stage().has(10, 600).has(11, 600);
    const first = await stage.reading();
    stage.proc.held.set(10, { anonPages: pages, shmemPages: 0 });
    first.end(rollup(pages, 0));
    await stage.ended();
    assertEquals(stage.isMeasured(10), isBooked);
  });
}

Deno.test("a process that is another user's by now is not told of", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  const first = await stage.reading();
  const { processes } = stage.desk.memory;
  const row = stage.desk.books.findProcess(10);
  const before = processes.userSlot[row]!;
  processes.userSlot[row] = stage.desk.books.findUser(BOB);
  first.end(rollup(600, 500));
  await new Promise((resolve) => setTimeout(resolve, 0));
  processes.userSlot[row] = before;
  stage.desk.step();
  assertEquals(stage.isMeasured(10), false);
});

Deno.test("who is gone, cannot be read or fails does not keep the others from being measured", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  (await stage.reading()).end(undefined);
  await stage.ended();
  (await stage.reading()).fail();
  await stage.ended();
  await stage.turn();
  assertEquals(stage.measurings, 1);
  assertEquals([stage.isMeasured(10), stage.isMeasured(11)], [false, false]);
  assertEquals(stage.charged(ANN), 0, "both are credited in full: what they share is not known");

  const other = new Stage().has(10, 600).has(11, 600);
  await other.turn();
  other.proc.held.delete(10);
  (await other.reading()).end(rollup(600, 0));
  assertEquals(other.asked.map(({ pid }) => pid), [11]);
});

Deno.test("who cannot be read in /proc is not measured, before and after the reading of its shares", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  await stage.turn();
  stage.proc.readsLeft = 0;
  await stage.turn();
  const reading = await stage.reading();
  stage.proc.readsLeft = 0;
  reading.end(rollup(600, 0));
  await stage.ended();
  await stage.turn();
  assertEquals(stage.measurings, 1);
  assertEquals([stage.isMeasured(10), stage.isMeasured(11)], [false, false]);
});

Deno.test("a user below half of its limit is not measured", async () => {
  const stage = new Stage().has(20, 400);
  await stage.turns();
  assertEquals([stage.asked.length, stage.measurings], [0, 0]);
});

Deno.test("until accounting has begun a measuring there is a pause before it is asked again", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  stage.step();
  stage.step();
  assert(stage.inNs > 0, "others have the CPU meanwhile");
  stage.desk.step();
  assert(stage.inNs <= 0, "it has");
  await stage.reading();
});

Deno.test("a process whose leader has exited is measured by a thread that lives", async () => {
  const stage = new Stage();
  stage.proc.entries.set(11, { uid: ANN, tids: [11, 12], isLeaderDead: true });
  stage.has(10, 600).has(11, 600);
  (await stage.reading()).end(rollup(600, 0));
  await stage.ended();
  const reading = await stage.reading();
  assertEquals(reading.pid, 12);
  reading.end(rollup(600, 0));
  await stage.ended();
  await stage.turn();
  assertEquals([stage.charged(ANN), stage.measurings], [1200, 1]);
});

Deno.test("what a predecessor has measured is not taken for a successor's measuring", async () => {
  const stage = new Stage().has(10, 600).has(11, 600);
  for (const end of [rollup(600, 0), rollup(600, 0)]) {
    (await stage.reading()).end(end);
    await stage.ended();
  }
  await stage.turn();
  assertEquals(stage.charged(ANN), 1200);
  stage.start();
  (await stage.reading()).end(rollup(600, 0));
  await stage.ended();
  // It may be going at this moment, so it is taken as shared.
  (await stage.reading()).end(undefined);
  await stage.ended();
  await stage.turn();
  assertEquals([stage.charged(ANN), stage.measurings], [600, 2]);
});
