/**
 * The brake over one user, step by step. Longer than 450 lines, because each test needs the same scene.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { UNLIMITED } from "../../../pipeline/brake/brake_kernel.ts";
import { familyIdOf } from "../../../pipeline/brake/marks.ts";
import { CounterIndex, HeaderWord, Role } from "../../../pipeline/memory/layout.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import { BELOW, HARD, MS, RESERVE, Scene, SOFT, UID } from "../../_support/brake_scene.ts";
import { PAGE_BYTES } from "../../_support/fake_brake.ts";

Deno.test("at soft a grower may use what is left, and nobody beside it is touched", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.process(8, 1000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 6900);
  scene.pass(2);
  assertEquals(scene.kernel.sets, [], "below soft");
  scene.grows(7, 200);
  scene.pass(1);
  assertEquals(scene.desk.state(UID), "soft");
  const left = HARD - 18_100 - RESERVE;
  assertEquals(scene.kernel.softPages(7), 17_100 + left);
  assertEquals(scene.kernel.softPages(8), Infinity);
  const [report] = scene.reports();
  assertEquals(report!.name, "refused");
  assertEquals(report!.values, {
    uid: UID,
    pid: 7,
    leftPages: left,
    dataLimitPages: 17_100 + left,
    usagePages: 18_100,
    softPages: SOFT,
    hardPages: HARD,
  });
  assertEquals(new TextDecoder().decode(report!.text), "p7");
  scene.grows(7, 100);
  scene.pass(3);
  assertEquals(scene.kernel.softPages(7), 17_100 + left, "what it uses of its share moves nothing");
  assertEquals(scene.reports(), [], "told once");
  const users = scene.desk.memory.users;
  assertEquals(users.refusals[scene.desk.books.findUser(UID)], 1);
});

Deno.test("growers share by their pace, and what all may use never passes hard", () => {
  const scene = new Scene();
  scene.process(7, 8000);
  scene.process(8, 7000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 3000);
  scene.grows(8, 1000);
  scene.pass(1);
  assertEquals([scene.kernel.softPages(7), scene.kernel.softPages(8)], [
    11_000 + Math.floor((HARD - 19_000 - RESERVE) * 3 / 4),
    8000 + Math.floor((HARD - 19_000 - RESERVE) / 4),
  ]);
  const sum = scene.kernel.softPages(7) + scene.kernel.softPages(8);
  assert(sum <= HARD - RESERVE);
});

Deno.test("what is mapped and not touched comes off, what lies idle for good does not", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  // Stacks of threads: mapped before, never touched.
  scene.kernel.processes.get(7)!.dataPages += 5000;
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  const first = scene.kernel.softPages(7);
  assertEquals(first, 18_100 + 5000 + (HARD - 18_100 - RESERVE));
  scene.kernel.processes.get(7)!.dataPages += 1000;
  scene.desk.own(7, 107, { anon: 18_120 }).step();
  scene.kernel.processes.get(7)!.touchedPages = 18_120;
  scene.pass(40);
  assertEquals(scene.kernel.softPages(7), first, "it cannot map more and more of what it leaves");
  // It touches of the stacks after all.
  scene.kernel.processes.get(7)!.touchedPages = 19_500;
  scene.kernel.processes.get(7)!.dataPages = 19_500 + 4500;
  scene.desk.own(7, 107, { anon: 19_500 }).step();
  scene.pass(40);
  assertEquals(scene.kernel.softPages(7), 19_500 + 4500 + (HARD - 19_500 - RESERVE));
});

Deno.test("a limit of its own is never raised, and its hard one never touched", () => {
  const scene = new Scene();
  const own = BigInt(18_200 * PAGE_BYTES);
  scene.process(7, 10_000, { softBytes: own, hardBytes: own + 4096n });
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(50);
  assertEquals([scene.soft(7), scene.kernel.sets], [own, []]);
  scene.grows(7, 1800);
  scene.pass(50);
  assert(scene.soft(7) <= own);
  assertEquals(scene.kernel.processes.get(7)!.hardBytes, own + 4096n);
  scene.grows(7, -9000);
  scene.pass(400);
  assertEquals(scene.soft(7), own);
});

Deno.test("all is given back when the user falls below, but not at once, and not for a moment", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  scene.grows(7, 17_900 - 18_100);
  scene.pass(300);
  assert(scene.soft(7) < UNLIMITED, "below soft, but not by enough");
  scene.grows(7, BELOW - 17_900);
  scene.pass(50);
  assert(scene.soft(7) < UNLIMITED, "not for long enough");
  scene.grows(7, 2000);
  scene.pass(100);
  assert(scene.soft(7) < UNLIMITED, "it was for a moment");
  scene.grows(7, BELOW - 19_499);
  scene.pass(200);
  assertEquals(scene.soft(7), UNLIMITED);
  assertEquals(scene.record.families.size, 0, "and nothing stays written down");
  assertEquals(attachCounters(scene.desk.memory, Role.sweeper)[CounterIndex.braked], 0);
});

Deno.test("children that have inherited it are given it back, those born meanwhile too", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.process(6, 10, { softBytes: 0n });
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  const lowered = scene.soft(7);
  scene.kernel.ticks += 5;
  scene.kernel.fork(7, 20);
  scene.kernel.fork(20, 21);
  // Who has the value and was there before has set it itself.
  scene.kernel.processes.get(6)!.softBytes = lowered;
  scene.kernel.beforeSet = () => {
    scene.kernel.beforeSet = () => {};
    // In the middle of giving it back.
    scene.kernel.fork(21, 22);
  };
  scene.desk.unlimit(UID).step();
  scene.setRules();
  scene.pass(1);
  scene.pass(300);
  for (const pid of [7, 20, 21, 22]) assertEquals(scene.soft(pid), UNLIMITED, `${pid}`);
  assertEquals(scene.soft(6), lowered);
  assertEquals(scene.record.families.size, 0);
});

Deno.test("the family goes on when who it began with ends, and ends with its last", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  scene.kernel.ticks += 5;
  scene.kernel.fork(7, 20);
  scene.desk.fork(7, 20).own(20, 120, { anon: 18_100 }).step();
  scene.kernel.processes.delete(7);
  scene.desk.exit(7).step();
  scene.pass(300);
  assertEquals(familyIdOf(scene.soft(20)) === 0 ? scene.soft(20) : UNLIMITED, UNLIMITED);
});

Deno.test("after kill -9 the next one gives back what was left", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  scene.kernel.ticks += 5;
  scene.kernel.fork(7, 20);
  scene.grows(7, -9000);
  scene.restart();
  scene.pass(200);
  assertEquals([scene.soft(7), scene.soft(20)], [UNLIMITED, UNLIMITED]);
  assertEquals(scene.record.families.size, 0);
});

Deno.test("braked again before all was given back, it is the same family", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  scene.restart();
  // The successor finds it lowered, and the user above soft.
  scene.grows(7, 100);
  scene.desk.nowNs += MS;
  scene.brake.step(scene.desk.nowNs);
  const id = familyIdOf(scene.soft(7));
  assert(id !== 0);
  assertEquals(scene.record.families.get(id)?.softBytes, UNLIMITED, "not the lowered value");
  scene.desk.unlimit(UID).step();
  scene.setRules();
  scene.pass(200);
  assertEquals(scene.soft(7), UNLIMITED);
});

Deno.test("who raises its limit again is left alone, and gains nothing else", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(1);
  const own = 5_000_000_000n;
  scene.kernel.processes.get(7)!.softBytes = own;
  scene.grows(7, 1000);
  scene.pass(30);
  scene.grows(7, 500);
  scene.pass(30);
  assertEquals(scene.soft(7), own);
  assertEquals(scene.reports().length, 1);
  scene.desk.unlimit(UID).step();
  scene.setRules();
  scene.pass(200);
  assertEquals(scene.soft(7), own, "it is not given back what it had");
});

Deno.test("a limit that a process sets while its limit is being set is put back, and the next too", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  const own = [4_000_000_000n, 5_000_000_000n, 6_000_000_000n];
  scene.kernel.beforeSet = (pid) => {
    const next = own.shift();
    if (next !== undefined) scene.kernel.processes.get(pid)!.softBytes = next;
  };
  scene.grows(7, 8100);
  scene.pass(30);
  assertEquals(scene.soft(7), 6_000_000_000n, "the last that it has set");
  scene.desk.unlimit(UID).step();
  scene.setRules();
  scene.pass(200);
  assertEquals(scene.soft(7), 6_000_000_000n);
});

Deno.test("what cannot be written down is not lowered, nor who may not be", () => {
  const scene = new Scene();
  scene.record.isFull = true;
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.pass(30);
  assertEquals(scene.kernel.sets, []);
  const counters = attachCounters(scene.desk.memory, Role.sweeper);
  const unwritten = counters[CounterIndex.brakeFailures]!;
  assert(unwritten > 0, "counted");
  scene.record.isFull = false;
  scene.kernel.processes.get(7)!.isRefused = true;
  scene.grows(7, 20);
  scene.pass(300);
  assertEquals(scene.soft(7), UNLIMITED);
  assertEquals(counters[CounterIndex.brakeFailures], unwritten + 1, "once a second at most");
  assertEquals(scene.reports(), []);
});

Deno.test("a number that has come to another user's process is not lowered", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  scene.grows(7, 8100);
  scene.kernel.processes.get(7)!.uid = 1001;
  scene.pass(30);
  assertEquals(scene.kernel.sets, []);
});

Deno.test("who asks before it allocates is not braked, and what is promised is not left", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.process(8, 2000);
  scene.desk.nowNs += 2000 * MS;
  const { users, processes } = scene.desk.memory;
  const slot = scene.desk.books.findProcess(8);
  processes.asksGeneration1[slot] = processes.generation[slot]! + 1;
  Atomics.store(users.promisedPages, scene.desk.books.findUser(UID), 700);
  scene.grows(8, 1000);
  scene.grows(7, 6000);
  scene.pass(1);
  assertEquals(scene.kernel.softPages(8), Infinity);
  assertEquals(scene.kernel.softPages(7), 16_000 + (HARD - 19_000 - 700 - RESERVE));
});

Deno.test("what is promised is kept: growers are braked when the rest is used up", () => {
  const scene = new Scene();
  scene.process(7, 10_000);
  scene.desk.nowNs += 2000 * MS;
  Atomics.store(scene.desk.memory.users.promisedPages, scene.desk.books.findUser(UID), 5000);
  scene.grows(7, 2900);
  scene.pass(30);
  assertEquals(scene.kernel.sets, [], "12900 and 5000 are not above 18000");
  scene.grows(7, 200);
  scene.pass(30);
  assertEquals(scene.desk.state(UID), "ok");
  assertEquals(scene.kernel.softPages(7), HARD - 5000 - RESERVE);
});

Deno.test("books in doubt, a dry run, and a limit without the brake lower nobody", () => {
  for (const what of ["doubt", "dry run", "rule"]) {
    const scene = new Scene();
    if (what === "dry run") {
      const { desk } = scene;
      desk.settings = { ...desk.settings, dryRun: true };
    }
    scene.process(7, 10_000);
    scene.desk.nowNs += 2000 * MS;
    if (what === "doubt") {
      Atomics.store(scene.desk.memory.header, HeaderWord.degraded, 1);
      scene.desk.memory.users.doubtTsNs[scene.desk.books.findUser(UID)] = 1;
    } else if (what === "rule") {
      scene.desk.brake(UID, HARD, SOFT, "off").step();
      scene.setRules();
    } else {
      scene.desk.publishSettings();
      scene.setRules();
    }
    scene.grows(7, 8100);
    scene.pass(30);
    assertEquals(scene.kernel.sets, [], what);
  }
});

Deno.test("where all are braked, each has a limit below soft too, and each child inherits it", () => {
  const scene = new Scene("all");
  scene.process(7, 1000);
  scene.process(8, 500);
  scene.pass(300);
  const left = HARD - 1500 - RESERVE;
  assertEquals(scene.kernel.softPages(7), 1000 + left);
  assertEquals(scene.kernel.softPages(8), 500 + left);
  assertEquals(scene.reports(), [], "nobody is refused anything yet");
  scene.kernel.ticks += 5;
  scene.kernel.fork(7, 20);
  scene.desk.fork(7, 20).own(20, 120, { anon: 1000 }).step();
  scene.pass(300);
  assertEquals(scene.record.families.size, 2, "a child is of its parent's family");
  assertEquals(familyIdOf(scene.soft(20)), familyIdOf(scene.soft(7)));
  scene.desk.unlimit(UID).step();
  scene.setRules();
  scene.pass(300);
  for (const pid of [7, 8, 20]) assertEquals(scene.soft(pid), UNLIMITED);
});

Deno.test("where all are braked, what was just mapped is no idle memory, and later it may be", () => {
  const scene = new Scene("all");
  scene.process(7, 1000);
  scene.kernel.processes.get(7)!.dataPages = 5000;
  scene.pass(300);
  const left = HARD - 1000 - RESERVE;
  assertEquals(scene.kernel.softPages(7), 1000 + left);
  scene.pass(1500);
  assertEquals(scene.kernel.softPages(7), 5000 + left, "stacks of threads, as it seems");
});

Deno.test("sixteen limits are set in one look, and the rest a millisecond later", () => {
  const scene = new Scene("all", 200_000, 180_000);
  for (let pid = 10; pid < 40; pid++) scene.process(pid, 100);
  scene.kernel.sets.length = 0;
  scene.desk.nowNs += 200 * MS;
  scene.brake.step(scene.desk.nowNs);
  assertEquals(scene.kernel.sets.length, 16);
  scene.pass(3);
  assertEquals(scene.kernel.sets.length, 30);
});
