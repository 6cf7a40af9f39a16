import { assert, assertEquals } from "@std/assert";
import { DEFAULT_CAPACITY } from "../../../pipeline/memory/memory.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const LAST_UID = 2000;
/** As many users as let each have its share of a table that is full. */
const USERS = 64;

/**
 * Steps of accounting until all is done, and records that each took. What a step does besides is
 * bounded by its code: no wall clock decides a test. bench/record_cost_bench.ts measures.
 */
function steps(desk: Desk): number {
  desk.publish();
  let count = 0;
  while (desk.accounting.step(desk.nowNs) > 0) count++;
  desk.step();
  return count;
}

Deno.test("the end of a sweep in which all have vanished takes many small steps", () => {
  const desk = new Desk({ capacity: { ...DEFAULT_CAPACITY, rules: 8 } });
  desk.limit(ANN, 1e6, 9e5, LAST_UID);
  const processes = 16_000;
  for (let i = 0; i < processes; i++) {
    desk.proc(10 + 4 * i, ANN + i % USERS, {}, {
      tids: [0, 1, 2].map((thread) => 10 + 4 * i + thread),
    });
    if (i % 1000 === 999) desk.stepUnchecked();
  }
  desk.stepUnchecked();
  assertEquals(desk.books.processSlots.used, processes);
  assertEquals(desk.books.taskSlots.used, 3 * processes);
  desk.tick(1e9);
  desk.sweep(() => {});
  const count = steps(desk);
  assertEquals([desk.books.processSlots.used, desk.books.taskSlots.used], [0, 0]);
  assert(count >= processes / 512, `${count} steps`);
});

Deno.test("between two parts of a sweep's end, other rings are served", () => {
  const desk = new Desk({ capacity: { ...DEFAULT_CAPACITY, rules: 8 } });
  desk.limit(ANN, 1e6, 9e5, LAST_UID).limit(3000, 100);
  for (let i = 0; i < 6000; i++) {
    desk.proc(10 + i, ANN + i % USERS, {});
    if (i % 1000 === 999) desk.stepUnchecked();
  }
  desk.proc(50_000, 3000, {}).stepUnchecked();
  desk.tick(1e9);
  desk.sweep(() => desk.proc(50_000, 3000, {}));
  desk.publish();
  // All records are taken, and the end of the sweep is begun.
  while (desk.accounting.books.processSlots.used > 5900) desk.accounting.step(desk.nowNs);
  desk.own(50_000, 0xf, { anon: 101 }).publish();
  desk.accounting.step(desk.nowNs);
  assert(desk.accounting.books.processSlots.used > 1000);
  assertEquals(desk.orders().map(({ uid }) => uid), [3000]);
});

Deno.test("a chain of 15 000 heirs is resolved in a loop", () => {
  const desk = new Desk({ capacity: { ...DEFAULT_CAPACITY, ringRecords: 65_536, rules: 8 } });
  desk.limit(ANN, 1e6);
  // The births of all come before anybody has told of the first: each has its parent's user.
  const length = 15_000;
  const first = 1000;
  for (let i = 0; i < length; i++) desk.fork(first + i, first + i + 1);
  desk.stepUnchecked();
  const { books } = desk;
  const owner = (pid: number): number =>
    books.users.uid[books.processes.userSlot[books.findProcess(pid)]!]!;
  const known = books.processSlots.used;
  assert(known > 4000, `${known}`);
  desk.proc(first, ANN, {}).step();
  assertEquals(owner(first), ANN);
  assertEquals(owner(first + Math.floor(known / 2)), ANN);
});

Deno.test("a reader that never stops leaves the sweeper its share: logins are taken", () => {
  const desk = new Desk({ capacity: { ringRecords: 4096 } });
  desk.limit(ANN, 1e6).limit(1001, 100).proc(10, ANN, {}).step();
  const batch = 64;
  let pages = 0;
  const storm = (): void => {
    for (let i = 0; i < batch; i++) desk.own(10, 0xa, { anon: ++pages });
    desk.publish();
  };
  storm();
  for (let pid = 20; pid < 28; pid++) desk.proc(pid, 1001, { anon: 10 });
  for (let turn = 0; turn < 4; turn++) {
    storm();
    desk.accounting.step(desk.nowNs, batch);
  }
  assertEquals(desk.usage(1001), 80);
});
