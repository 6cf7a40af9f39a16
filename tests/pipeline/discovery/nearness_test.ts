import { assert, assertEquals } from "@std/assert";
import {
  CPU_GROWTH_BYTES_PER_NS,
  LOOK_EVERY_NS_MAX,
  machineGrowth,
  Nearness,
} from "../../../pipeline/discovery/nearness.ts";
import { CounterIndex, Role, TableWord } from "../../../pipeline/memory/layout.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import type { RecordedUsers } from "../../../pipeline/ports.ts";
import { SMALL } from "../../_support/desk.ts";
import { Random } from "../../_support/random.ts";

const UID = 1000;
const CPUS = 2;
const PAGE_BYTES = 4096;
/** Pages that all CPUs take in a nanosecond at most. */
const GROWTH = CPUS * CPU_GROWTH_BYTES_PER_NS / PAGE_BYTES;
const SECOND_NS = 1e9;
const GIB_PAGES = 2 ** 18;

/** Users that are as far as a test says, and a kernel that takes its time for a look. */
class FakeUsers implements RecordedUsers {
  isAttached = true;
  hasNews = false;
  isShort = false;
  nextNs = Infinity;
  refuses = false;
  refusesLooks = false;
  distancePages = 100 * GIB_PAGES;
  lookTakesNs = 100_000;
  nowNs = 0;
  looks = 0;
  attaches = 0;
  detaches = 0;
  /** As of the last look, or now while it is attached. */
  private seenPages = 0;

  admit(): boolean {
    return true;
  }
  rulesChanged(): void {}
  settle(): void {}
  userChanged(): void {}
  disarm(): void {}
  catchUp(): void {}
  attach(): boolean {
    if (this.refuses) return false;
    this.hasNews = false;
    this.isAttached = true;
    this.attaches++;
    return true;
  }
  detach(): void {
    this.isAttached = false;
    this.detaches++;
  }
  look(): boolean {
    this.looks++;
    this.nowNs += this.lookTakesNs;
    if (this.refusesLooks) return false;
    this.hasNews = false;
    this.seenPages = this.distancePages;
    return true;
  }
  takeRefusal(): undefined {}
  distances(visit: (uid: number, pages: number) => void): void {
    visit(UID, this.isAttached ? this.distancePages : this.seenPages);
  }
}

class Stage {
  readonly users = new FakeUsers();
  readonly memory = attachMemory(createMemory(SMALL));
  readonly nearness = new Nearness({
    memory: this.memory,
    users: this.users,
    clock: { nowNs: () => this.users.nowNs, suspendedNs: () => 0 },
    growthBytesPerNs: machineGrowth(CPUS, 0),
    pageBytes: PAGE_BYTES,
  });

  /** Lets it do what is due, until a time. */
  run(untilNs: number): this {
    const { users, nearness } = this;
    for (;;) {
      const nextNs = Math.max(users.nowNs, nearness.nextNs);
      if (nextNs > untilNs) break;
      users.nowNs = nextNs;
      nearness.step(nextNs);
    }
    users.nowNs = untilNs;
    return this;
  }
}

Deno.test("nobody near for two seconds: pages are not booked any more, and all are looked at", () => {
  const { users } = new Stage().run(1.5 * SECOND_NS);
  assertEquals([users.isAttached, users.looks], [true, 0]);
  const later = new Stage().run(2.5 * SECOND_NS).users;
  assertEquals([later.isAttached, later.looks > 0], [false, true]);
});

Deno.test("who is very far is looked at once a second", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  const before = stage.users.looks;
  stage.run(13 * SECOND_NS);
  assertEquals(stage.users.looks - before, 10);
});

Deno.test("with very many processes they are looked at less often, for 0.3 % of a CPU", () => {
  const stage = new Stage();
  stage.users.distancePages = 4000 * GIB_PAGES;
  stage.users.lookTakesNs = 6e6;
  stage.run(4 * SECOND_NS);
  const before = stage.users.looks;
  stage.run(44 * SECOND_NS);
  assertEquals(stage.users.looks - before, 20);
});

Deno.test("the nearer, the more often: distance by what all CPUs can take in that time", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  // 200 ms away, of which attaching takes 10.
  stage.users.distancePages = 0.2 * SECOND_NS * GROWTH;
  stage.run(4 * SECOND_NS);
  const before = stage.users.looks;
  stage.run(4 * SECOND_NS + 0.95 * SECOND_NS);
  assertEquals(stage.users.looks - before, 5);
  assertEquals(stage.users.isAttached, false);
});

Deno.test("too near to be looked at in time: each page is booked", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.users.distancePages = 0.02 * SECOND_NS * GROWTH;
  stage.run(5 * SECOND_NS);
  assertEquals(stage.users.isAttached, true);
});

Deno.test("where looks would cost more than a hundredth of a CPU, each page is booked", () => {
  const stage = new Stage();
  stage.users.lookTakesNs = 45e6;
  stage.run(60 * SECOND_NS);
  // It is tried again and again, as processes may have become fewer.
  assertEquals(stage.users.isAttached, true);
  assert(
    stage.users.looks * stage.users.lookTakesNs < 0.01 * 60 * SECOND_NS,
    `${stage.users.looks}`,
  );
});

Deno.test("one look that was held up brings nobody near", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.users.distancePages = 0.2 * SECOND_NS * GROWTH;
  stage.run(4.5 * SECOND_NS);
  stage.users.lookTakesNs = 20e6;
  stage.nearness.hurry();
  stage.nearness.step(stage.users.nowNs);
  stage.users.lookTakesNs = 100_000;
  stage.run(5 * SECOND_NS);
  assertEquals(stage.users.isAttached, false);
});

Deno.test("looks that a busy moment made dear are tried again within seconds", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  // 200 ms away: at most 2 ms a look, and 1 to be far again.
  stage.users.distancePages = 0.2 * SECOND_NS * GROWTH;
  stage.users.lookTakesNs = 5e6;
  stage.run(5 * SECOND_NS);
  assertEquals(stage.users.isAttached, true);
  stage.users.lookTakesNs = 200_000;
  stage.run(30 * SECOND_NS);
  assertEquals(stage.users.isAttached, false);
});

Deno.test("a promise counts as used", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  assertEquals(stage.users.isAttached, false);
  const { users } = stage.memory;
  users.uid[0] = UID;
  users.state[0] = 1;
  users.promisedPages[0] = stage.users.distancePages;
  const header = new Int32Array(stage.memory.buffer, stage.memory.plan.users);
  header[TableWord.highWater] = 1;
  stage.run(4.1 * SECOND_NS);
  assertEquals(stage.users.isAttached, true);
});

Deno.test("news are looked at at once", () => {
  const stage = new Stage().run(3.1 * SECOND_NS);
  const before = stage.users.looks;
  stage.users.hasNews = true;
  stage.nearness.step(stage.users.nowNs);
  assertEquals(stage.users.looks, before + 1);
  stage.nearness.hurry();
  stage.nearness.step(stage.users.nowNs);
  assertEquals(stage.users.looks, before + 2);
});

Deno.test("where the kernel refuses to attach, all are looked at as often as may be", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.users.refuses = true;
  stage.users.distancePages = 1;
  stage.run(4 * SECOND_NS);
  const before = stage.users.looks;
  stage.run(5 * SECOND_NS);
  assert(stage.users.looks - before >= 45, `${stage.users.looks - before} looks`);
  const counters = attachCounters(stage.memory, Role.sweeper);
  assert(counters[CounterIndex.attachFailures]! > 0);
  stage.users.refuses = false;
  assertEquals(stage.run(5.1 * SECOND_NS).users.isAttached, true);
});

Deno.test("where the kernel refuses looks, each page is booked", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.users.refusesLooks = true;
  assertEquals(stage.run(4.1 * SECOND_NS).users.isAttached, true);
});

Deno.test("where it refuses both, neither is asked for more often than fifty times a second", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.users.refuses = stage.users.refusesLooks = stage.users.hasNews = true;
  stage.users.lookTakesNs = 1000;
  const before = stage.users.looks;
  stage.run(4 * SECOND_NS);
  const looks = stage.users.looks - before;
  assert(looks > 10 && looks <= 51, `${looks} looks`);
});

Deno.test("before long work each page is booked, and two seconds from then on", () => {
  const stage = new Stage().run(3 * SECOND_NS);
  stage.nearness.attach(stage.users.nowNs);
  assertEquals(stage.users.isAttached, true);
  assertEquals(stage.run(4.9 * SECOND_NS).users.isAttached, true);
  assertEquals(stage.run(5.5 * SECOND_NS).users.isAttached, false);
});

Deno.test("who rides the line between near and far makes no change more than once in two seconds", () => {
  const stage = new Stage();
  const random = new Random(1);
  for (let ms = 0; ms < 60_000; ms += 10) {
    stage.users.distancePages = random.below(2) === 0 ? 100 * GIB_PAGES : GIB_PAGES / 16;
    stage.run(ms * 1e6);
  }
  assert(stage.users.attaches + stage.users.detaches <= 30, `${stage.users.attaches}`);
});

Deno.test("nobody reaches its soft limit unbooked, however fast and whenever it grows", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const stage = new Stage();
    const { users } = stage;
    users.distancePages = (1 + random.below(200)) * GIB_PAGES;
    stage.run((3 + random.below(1000) / 1000) * SECOND_NS);
    if (users.isAttached) continue;
    const rate = GROWTH * (1 + random.below(100)) / 100;
    let atNs = users.nowNs;
    while (!users.isAttached) {
      const nextNs = Math.max(users.nowNs, stage.nearness.nextNs);
      users.distancePages -= (nextNs - atNs) * rate;
      atNs = nextNs;
      assert(users.distancePages > 0, `seed ${seed}: past soft, and nobody has looked`);
      users.nowNs = nextNs;
      stage.nearness.step(nextNs);
    }
    assert(users.distancePages > 0, `seed ${seed}`);
  }
});

Deno.test("what looks have cost is counted, and since when each page is booked or none is", () => {
  const stage = new Stage().run(10 * SECOND_NS);
  const counters = attachCounters(stage.memory, Role.sweeper);
  assertEquals(counters[CounterIndex.looks], stage.users.looks);
  assertEquals(counters[CounterIndex.lookNs], stage.users.looks * stage.users.lookTakesNs);
  assert(counters[CounterIndex.nearSinceNs]! < 0);
  assertEquals(LOOK_EVERY_NS_MAX, SECOND_NS);
});

Deno.test("machineGrowth() takes the faster of what is expected and what was probed, and has an end", () => {
  assertEquals(machineGrowth(2, 0), 2 * CPU_GROWTH_BYTES_PER_NS);
  // One that got no huge page tells nothing.
  assertEquals(machineGrowth(2, 1), 2 * CPU_GROWTH_BYTES_PER_NS);
  assertEquals(machineGrowth(2, 80), 200);
  // All of 256 CPUs share the memory of two sockets.
  assertEquals(machineGrowth(256, 0), 1300);
});
