import { assert, assertEquals } from "@std/assert";
import { MEASURE_SHARE, MeasureSchedule } from "../../../pipeline/books/measure_schedule.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const MS = 1e6;

/** ANN has so many counted pages, of which some are credited, of 1000; and faults told by hand. */
class World {
  readonly desk = new Desk({ capacity: { users: 16 } });
  readonly schedule: MeasureSchedule;
  readonly faults = new Map<number, number>();
  nowNs = 1e9;

  constructor() {
    this.desk.limit(ANN, 1000).limit(BOB, 1000);
    this.desk.proc(10, ANN, {}).proc(20, BOB, {}).step();
    this.faults.set(10, 0).set(11, 0).set(20, 0);
    this.schedule = new MeasureSchedule(
      this.desk.memory,
      2,
      (slot) => slot === this.row(ANN) ? [10, 11] : [20],
      (pid) => this.faults.get(pid) ?? -1,
    );
  }

  row(uid: number): number {
    return this.desk.books.findUser(uid);
  }

  has(uid: number, countedPages: number, creditPages: number): this {
    const { users } = this.desk.memory;
    users.usagePages[this.row(uid)] = countedPages;
    users.creditPages[this.row(uid)] = creditPages;
    return this;
  }

  /** Who is measured now, after so long. */
  next(afterNs = 0): number {
    this.nowNs += afterNs;
    const slot = this.schedule.next(this.nowNs);
    return slot < 0 ? 0 : this.desk.memory.users.uid[slot]!;
  }

  measure(uid: number, costNs = 1 * MS, lazyPages = 0): this {
    this.schedule.begin(this.row(uid), this.nowNs);
    this.schedule.end(uid, costNs, lazyPages);
    return this;
  }
}

Deno.test("who is below half of its limit, or has none, is never measured", () => {
  const world = new World().has(ANN, 500, 0);
  for (let look = 0; look < 20; look++) assertEquals(world.next(1e9), 0);
  world.has(ANN, 0, 0).desk.unlimit(ANN).step();
  world.has(ANN, 1e6, 1e5);
  assertEquals(world.next(1e9), 0);
});

Deno.test("who shares nothing is measured when it has grown by an eighth of its limit, no more", () => {
  const world = new World().has(ANN, 501, 0);
  assertEquals(world.next(1e9), ANN);
  world.measure(ANN).has(ANN, 625, 0);
  assertEquals(world.next(1e9), 0);
  world.has(ANN, 627, 0);
  assertEquals(world.next(1e9), ANN);
});

Deno.test("whose credit decides is measured at once, and then when faults may have copied enough", () => {
  const world = new World().has(ANN, 5000, 4400);
  assertEquals(world.next(), ANN);
  world.measure(ANN);
  assertEquals(world.next(10 * MS), 0);
  world.faults.set(10, 200).set(11, 199);
  assertEquals(world.next(10 * MS), 0);
  world.faults.set(11, 200);
  assertEquals(world.next(10 * MS), ANN);
});

Deno.test("faults of processes that were born, and of one that is gone, count", () => {
  const world = new World().has(ANN, 5000, 4400);
  world.faults.delete(11);
  world.measure(ANN);
  world.faults.set(10, 150).set(11, 100);
  assertEquals(world.next(10 * MS), 0);
  world.faults.delete(11);
  world.faults.set(10, 300);
  assertEquals(world.next(300 * MS), ANN);
});

Deno.test("lazily freed pages may be taken back at any time", () => {
  const world = new World().has(ANN, 1500, 1100).measure(ANN, 1 * MS, 599);
  assertEquals(world.next(10 * MS), 0);
  world.measure(ANN, 1 * MS, 600);
  assertEquals(world.next(10 * MS), ANN);
});

Deno.test("what others give back may have been shared with those that stay", () => {
  const world = new World().has(ANN, 1950, 1400).measure(ANN);
  assertEquals(world.next(10 * MS), 0);
  world.has(ANN, 1400, 850);
  assertEquals(world.next(300 * MS), ANN);
});

Deno.test("nobody holds more than is counted, whatever was copied or given back", () => {
  const world = new World().has(ANN, 3000, 2500).measure(ANN);
  world.has(ANN, 1001, 10);
  world.faults.set(10, 5000);
  assertEquals(world.next(10 * MS), ANN);
  world.measure(ANN).has(ANN, 1005, 10);
  assertEquals(world.next(10 * MS), 0);
  world.faults.set(10, 10_000);
  assertEquals(world.next(300 * MS), ANN);
});

Deno.test("all measuring takes a twentieth of a CPU in the long run", () => {
  const world = new World().has(ANN, 5000, 4001).has(BOB, 5000, 4001);
  const costNs = 40 * MS;
  let spentNs = 0;
  const untilNs = world.nowNs + 60e9;
  while (world.nowNs < untilNs) {
    for (const pid of [10, 20]) world.faults.set(pid, world.faults.get(pid)! + 1000);
    const uid = world.next(5 * MS);
    if (uid === 0) continue;
    world.nowNs += costNs;
    world.measure(uid, costNs);
    spentNs += costNs;
  }
  assert(spentNs <= 60e9 * MEASURE_SHARE + 600 * MS, `${spentNs / 1e9} s`);
  assert(spentNs >= 60e9 * MEASURE_SHARE * 0.8, `${spentNs / 1e9} s`);
});

Deno.test("two users that copy are measured in turn", () => {
  const world = new World().has(ANN, 5000, 4001).has(BOB, 5000, 4001);
  const turns: number[] = [];
  for (let look = 0; look < 8; look++) {
    for (const pid of [10, 20]) world.faults.set(pid, world.faults.get(pid)! + 1000);
    const uid = world.next(300 * MS);
    turns.push(uid);
    world.measure(uid);
  }
  assertEquals(new Set(turns), new Set([ANN, BOB]));
  for (let i = 1; i < turns.length; i++) assert(turns[i] !== turns[i - 1]);
});

Deno.test("the nearer a user may be to its limit, the sooner it is looked at again", () => {
  const far = new World();
  far.desk.limit(ANN, 800_000).step();
  far.has(ANN, 900_000, 500_000).measure(ANN).next(1 * MS);
  const near = new World().has(ANN, 5000, 4100).measure(ANN);
  near.next(1 * MS);
  assert(near.schedule.nextNs - near.nowNs < far.schedule.nextNs - far.nowNs);
  assert(near.schedule.nextNs - near.nowNs <= 5 * MS);
});

Deno.test("when it has taken more time than it may, it says when it has to be asked again", () => {
  const world = new World().has(ANN, 1200, 300);
  assertEquals(world.next(), ANN);
  world.measure(ANN, 540 * MS);
  const { schedule } = world;
  assertEquals(world.next(), 0);
  for (const hurries of [false, true]) {
    if (hurries) schedule.hurry();
    assert(schedule.nextNs >= world.nowNs + 40 * MS / MEASURE_SHARE, `at ${schedule.nextNs}`);
  }
  world.faults.set(10, 400);
  world.nowNs = schedule.nextNs;
  assertEquals(world.next(), ANN, "and then it measures");
});
