import { assert, assertEquals } from "@std/assert";
import { HeaderWord, ProcFlag } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const CARL = 1002;

function excess(desk: Desk, uid: number): number {
  return desk.books.users.excessProcesses[desk.books.findUser(uid)]!;
}

function kills(desk: Desk): number[] {
  return desk.orders().filter(({ kind }) => kind === "kill").map(({ uid }) => uid);
}

Deno.test("I7: a user that forks without end cannot take the rows of others, who never notice", () => {
  const desk = new Desk({ capacity: { processes: 128, tasks: 256, mms: 128 } });
  desk.limit(ANN, 1e6).limit(BOB, 100).limit(CARL, 100);
  desk.proc(10, ANN, {}).step();
  for (let child = 0; child < 200; child++) desk.fork(10, 100 + child).step();
  assert(desk.books.users.processCount[desk.books.findUser(ANN)]! <= 64);
  assertEquals(desk.memory.header[HeaderWord.degraded], 0);
  for (const [uid, first] of [[BOB, 1000], [CARL, 2000]] as const) {
    for (let pid = first; pid < first + 10; pid++) {
      desk.proc(pid, uid, {}).step().own(pid, pid, { anon: 9 }).step();
    }
    assertEquals([desk.usage(uid), desk.state(uid)], [90, "ok"]);
    desk.own(first, first, { anon: 20 }).step();
    assertEquals(kills(desk), [uid]);
  }
});

Deno.test("I7: threads and mms have shares too", () => {
  const desk = new Desk({ capacity: { processes: 64, tasks: 128, mms: 64 } });
  desk.limit(ANN, 1e6).limit(BOB, 100).proc(10, ANN, {}).step();
  for (let thread = 0; thread < 300; thread++) desk.thread(10, 1000 + thread).step();
  const { users } = desk.books;
  assertEquals(users.taskCount[desk.books.findUser(ANN)]! <= 64, true);
  // Threads that found no row still change their process's size, without rows of their own.
  desk.own(10, 0xa, { anon: 5 });
  for (let thread = 100; thread < 300; thread++) desk.own(1000 + thread, 0xa, { anon: thread });
  desk.step();
  assertEquals(desk.pages(10), 299);
  desk.proc(20, BOB, {}).step().own(20, 0xb, { anon: 101 }).step();
  assertEquals(kills(desk), [BOB]);
});

Deno.test("what finds no row is summed up in one row of its user by each sweep", () => {
  const desk = new Desk({
    capacity: { processes: 128, tasks: 256, mms: 128 },
    settings: { userProcessesMax: 40 },
  });
  desk.limit(ANN, 1e6).proc(10, ANN, { anon: 10 }).step();
  const sweep = (processes: number): void => {
    desk.sweep(() => {
      for (let pid = 10; pid < 10 + processes; pid++) desk.proc(pid, ANN, { anon: 10 });
    }).step();
  };
  sweep(60);
  assertEquals([desk.usage(ANN), excess(desk, ANN)], [600, 20]);
  sweep(60);
  assertEquals([desk.usage(ANN), excess(desk, ANN)], [600, 20]);
  sweep(45);
  assertEquals(excess(desk, ANN), 5);
  sweep(30);
  assertEquals([desk.usage(ANN), excess(desk, ANN)], [300, 0]);
});

Deno.test("a user with more processes than it may have counts as over its limit, by no page", () => {
  const desk = new Desk({
    capacity: { processes: 128, tasks: 256, mms: 128 },
    settings: { userProcessesMax: 40 },
  });
  desk.limit(ANN, 1e6).proc(10, ANN, {}).step();
  for (let child = 0; child < 39; child++) desk.fork(10, 100 + child).step();
  assertEquals([kills(desk), desk.state(ANN)], [[], "ok"]);
  desk.fork(10, 300).step();
  assertEquals([kills(desk), desk.state(ANN)], [[ANN], "hard"]);
});

Deno.test("processes that share their parent's mm add nothing to the row of the others", () => {
  const desk = new Desk({
    capacity: { processes: 128, tasks: 256, mms: 128 },
    settings: { userProcessesMax: 40 },
  });
  desk.limit(ANN, 1e6);
  desk.sweep(() => {
    desk.proc(10, ANN, { anon: 10 });
    for (let pid = 11; pid < 80; pid++) {
      desk.proc(pid, ANN, { anon: 10 }, { flags: ProcFlag.borrows });
    }
  }).step();
  assertEquals([desk.usage(ANN), excess(desk, ANN)], [10, 30]);
});
