import { assert, assertEquals } from "@std/assert";
import { ProcFlag, RecordKind } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";
import {
  A,
  ANN,
  BOB,
  charged,
  fork,
  makeDesk,
  privatePages,
  ROOT,
} from "../../_support/share_desk.ts";

Deno.test("I10: a family counts once from the first page of a fork on, and nobody is killed", () => {
  const desk = makeDesk(600);
  for (let child = 1; child <= 8; child++) {
    const mmId = A + child;
    for (let built = 100; built <= 600; built += 100) {
      desk.foreign(ROOT, mmId, { anon: built }).step();
      assertEquals(charged(desk), 600);
    }
    desk.fork(ROOT, ROOT + child).step();
    assertEquals(charged(desk), 600);
  }
  assertEquals(desk.usage(ANN), 9 * 600);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
  assertEquals(desk.asked.at(-1)?.kind, RecordKind.measure);
});

Deno.test("I10: with the plain sum, the same family is over", () => {
  const desk = new Desk({ settings: { creditsShares: false } });
  desk.limit(ANN, 1000).proc(ROOT, ANN, {}).step().own(ROOT, A, { anon: 600 }).step();
  fork(desk, ROOT, 11, 0xb, 600);
  assertEquals(charged(desk), 1200);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("I10: a fork that was not seen from its beginning is credited when its child speaks", () => {
  const desk = makeDesk(600);
  desk.fork(ROOT, 11).own(11, 0xb, { anon: 602 }).step();
  assertEquals(charged(desk), 601, "at least the page of the event is its own");
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
  desk.own(11, 0xb, { anon: 700 }).step();
  assertEquals(charged(desk), 699);
});

Deno.test("I10: nor when it speaks of its file pages first", () => {
  const desk = makeDesk(600);
  // More than one page table at once: recording began in the middle of the fork.
  desk.foreign(ROOT, 0xb, { anon: 560 }).foreign(ROOT, 0xb, { anon: 600 }).fork(ROOT, 11);
  desk.own(11, 0xb, { file: 16 }).own(11, 0xb, { file: 18 }).own(11, 0xb, { anon: 601 }).step();
  assertEquals(charged(desk), 601);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
});

Deno.test("I10: nor when /proc tells of what it has not spoken of", () => {
  const desk = makeDesk(600);
  desk.foreign(ROOT, 0xb, { anon: 600 }).fork(ROOT, 11).own(11, 0xb, { file: 16 }).step();
  desk.proc(11, ANN, { file: 16, anon: 600 }, { flags: ProcFlag.mayShare }).step();
  assertEquals(charged(desk), 600);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
});

Deno.test("I10: what such a child executes is its own, and counts in full", () => {
  const desk = makeDesk(600);
  desk.fork(ROOT, 11).foreign(11, 0xc, { anon: 10 }).exec(11).own(11, 0xc, { anon: 401 }).step();
  assertEquals(charged(desk), 1001);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("I10: a reading from while an exec was under way is of the mm before it", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600).step();
  desk.foreign(11, 0xc, { anon: 3 });
  const readNs = desk.tick();
  desk.exec(11).step();
  // The sweeper read its pages before the exec, and hands them over after it.
  desk.proc(11, ANN, { anon: 600 }, { tsNs: readNs }).step();
  assertEquals(charged(desk), 603);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
});

Deno.test("an mm_id that comes back has none of the pages of the process that had it before", () => {
  const desk = makeDesk(100);
  // Its teardown is lost; the process is gone, and its number is not free yet.
  desk.proc(50, ANN, {}).step().own(50, 0xd, { shmem: 700, anon: 30 }).exit(50).step();
  desk.foreign(ROOT, 0xd, { anon: 60 }).foreign(ROOT, 0xd, { anon: 100 }).fork(ROOT, 11);
  desk.own(11, 0xd, { anon: 105 }).step();
  assertEquals([charged(desk), desk.pages(11)], [105, 105]);
});

Deno.test("I10: what a child takes for itself counts at once, and to the page", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600).own(11, 0xb, { anon: 1000 }).step();
  assertEquals(charged(desk), 1000);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
  desk.own(11, 0xb, { anon: 1001 }).step();
  assertEquals(charged(desk), 1001);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("I10: a parent that ends leaves its pages to its first child, whatever the order", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  fork(desk, ROOT, 12, 0xc, 600);
  desk.exit(ROOT).foreign(ROOT, A, { anon: 0 }).step();
  assertEquals([charged(desk), desk.usage(ANN)], [600, 1200]);
  desk.exit(11).foreign(11, 0xb, { anon: 0 }).step();
  assertEquals([charged(desk), desk.usage(ANN)], [600, 600]);
  desk.exit(12).foreign(12, 0xc, { anon: 0 }).step();
  assertEquals([charged(desk), desk.usage(ANN)], [0, 0]);
});

Deno.test("I10: a child that ends or executes a program takes its credit with it", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  fork(desk, ROOT, 12, 0xc, 600);
  assertEquals(privatePages(desk, ROOT), 0);
  desk.exit(11).foreign(11, 0xb, { anon: 0 }).step();
  assertEquals(charged(desk), 600);
  // exec: a new mm, and the end of the old one.
  desk.foreign(12, 0xd, { anon: 3 }).foreign(12, 0xc, { anon: 0 }).own(12, 0xd, { anon: 3 });
  desk.exec(12).step();
  assertEquals(charged(desk), 603);
  // Nobody has its pages too any more.
  assertEquals(privatePages(desk, ROOT), 600);
});

Deno.test("I10: the child of a program whose exec was not seen is not its heir when it is heard of", () => {
  const desk = makeDesk(600);
  // It has executed a program, whose events were lost, and forks then.
  desk.proc(ROOT, ANN, { anon: 300 }).step();
  fork(desk, ROOT, 11, 0xb, 300);
  assertEquals(charged(desk), 300);
  desk.own(ROOT, 0xd, { anon: 301 }).step();
  assertEquals([charged(desk), desk.usage(ANN)], [301, 601]);
});

Deno.test("I10: a grandchild is credited for what its parent has from its own", () => {
  const desk = makeDesk(300);
  fork(desk, ROOT, 11, 0xb, 300).own(11, 0xb, { anon: 400 }).step();
  fork(desk, 11, 12, 0xc, 400);
  assertEquals(charged(desk), 400);
  desk.exit(11).foreign(11, 0xb, { anon: 0 }).step();
  // 300 are the root's, 100 the grandchild's alone.
  assertEquals(charged(desk), 400);
  desk.exit(ROOT).foreign(ROOT, A, { anon: 0 }).step();
  assert(charged(desk) <= 400);
});

Deno.test("I10: pages that are swapped out stay shared, and stay credited", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  for (let swapped = 1; swapped <= 50; swapped++) {
    for (const [tid, mmId] of [[ROOT, A], [11, 0xb]] as const) {
      desk.foreign(tid, mmId, { anon: 600 - swapped }).foreign(tid, mmId, { swap: swapped });
    }
  }
  desk.step();
  assertEquals([charged(desk), desk.usage(ANN)], [600, 1200]);
});

Deno.test("a child that changes its user takes its credit along", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  desk.proc(11, BOB, { anon: 600 }).step();
  assertEquals([charged(desk, ANN), charged(desk, BOB)], [600, 0]);
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [600, 600]);
});

/** What an exec's events are; its birth may be read later. */
function execs(desk: Desk, tid: number, mmId: number): Desk {
  desk.foreign(tid, mmId, { anon: 1 }).own(tid, mmId, { file: 30 });
  return desk.exec(tid);
}

Deno.test("what a program takes counts at once, though its exec was read before its birth", () => {
  const desk = makeDesk(600);
  const bornNs = desk.tick();
  execs(desk, 11, 0xc).own(11, 0xc, { anon: 51 }).step();
  desk.fork(ROOT, 11, bornNs).step();
  assertEquals(charged(desk), 651);
  desk.own(11, 0xc, { swap: 20 }).own(11, 0xc, { anon: 60 }).step();
  assertEquals(charged(desk), 680);
});

Deno.test("and though its fork was not seen, and it does so before its exec is told of", () => {
  const desk = makeDesk(600).fork(ROOT, 11);
  desk.foreign(11, 0xc, { anon: 1 }).own(11, 0xc, { file: 30 }).own(11, 0xc, { swap: 20 });
  desk.exec(11).step();
  assertEquals(charged(desk), 621);
});

Deno.test("I10: shmem that others map is credited still when its birth, or /proc, tells of a program", () => {
  for (const teller of ["birth", "proc"] as const) {
    const desk = new Desk();
    desk.limit(ANN, 1000).proc(ROOT, ANN, {}).step().own(ROOT, A, { shmem: 600 }).step();
    const bornNs = desk.tick();
    execs(desk, 11, 0xc).own(11, 0xc, { shmem: 700 }).step();
    if (teller === "birth") desk.fork(ROOT, 11, bornNs).step();
    else desk.proc(11, ANN, { file: 30, anon: 1, shmem: 700 }).step();
    assertEquals(charged(desk), 701, teller);
    assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), [], teller);
  }
});

Deno.test("shmem of who has ended frees nobody of a charge: the next one counts from its first page on", () => {
  const desk = makeDesk(10, 100);
  desk.own(ROOT, A, { file: 20 }).step();
  for (let pid = 11; pid < 15; pid++) {
    desk.proc(pid, ANN, {}).step();
    for (let pages = 1; pages <= 90; pages++) {
      desk.own(pid, 0xb0 + pid, { shmem: pages }).step();
      assertEquals(charged(desk), 10 + pages);
    }
    assert(desk.orders().every(({ kind }) => kind !== "kill"));
    desk.exit(pid).foreign(pid, 0xb0 + pid, { shmem: 0 }).step();
    assertEquals(charged(desk), 10);
  }
  desk.proc(15, ANN, {}).step().own(15, 0xbf, { shmem: 91 }).step();
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("nor does shmem that a process has given back, or left by an exec", () => {
  const desk = makeDesk(0);
  desk.own(ROOT, A, { shmem: 500 }).step().own(ROOT, A, { shmem: 100 }).step();
  desk.proc(11, ANN, {}).step().own(11, 0xb, { shmem: 300 }).step();
  assertEquals(charged(desk), 300);
  desk.foreign(11, 0xc, { file: 5 }).own(11, 0xc, { file: 6 }).foreign(11, 0xb, { shmem: 0 })
    .step();
  assertEquals(charged(desk), 100);
  desk.own(ROOT, A, { shmem: 200 }).step();
  assertEquals(charged(desk), 200);
});

Deno.test("I10: shmem whose heir is its maker's child counts once, also when the next one maps it", () => {
  const desk = makeDesk(0);
  desk.own(ROOT, A, { shmem: 500 }).step();
  fork(desk, ROOT, 11, 0xb, 0).own(11, 0xb, { shmem: 500 }).step();
  assertEquals(charged(desk), 500);
  desk.exit(ROOT).foreign(ROOT, A, { shmem: 0 }).step();
  assert(charged(desk) <= 500);
  desk.proc(12, ANN, {}).step().own(12, 0xd, { shmem: 500 }).step();
  assertEquals(charged(desk), 500);
});

Deno.test("I10: shmem that comes to a user with a process is compared with what the user has", () => {
  const desk = makeDesk(0);
  for (const [pid, uid, pages] of [[11, BOB, 300], [12, BOB, 40]] as const) {
    desk.proc(pid, uid, {}).step().own(pid, 0xb0 + pid, { shmem: pages }).step();
  }
  desk.own(ROOT, A, { shmem: 200 }).step();
  assertEquals([charged(desk), charged(desk, BOB)], [200, 300]);
  desk.proc(11, ANN, { shmem: 300 }).step();
  assertEquals([charged(desk), charged(desk, BOB)], [300, 0]);
  // What BOB has left is not held against the new.
  desk.own(12, 0xb0 + 12, { shmem: 60 }).step();
  assertEquals(charged(desk, BOB), 20);
});

Deno.test("what is charged and credited by one record is no peak", () => {
  const desk = makeDesk(10);
  const peak = (): number => desk.books.users.peakPages[desk.books.findUser(ANN)]!;
  // A process that was forked by somebody with far more than the limit, as /proc tells first.
  desk.proc(11, ANN, { anon: 5000 }, { flags: ProcFlag.mayShare }).step();
  assertEquals([charged(desk), peak()], [10, 10]);
  // Its own events name its mm.
  desk.own(11, 0xb, { anon: 5001 }).step();
  assertEquals([charged(desk), peak()], [11, 11]);
  desk.own(ROOT, A, { shmem: 300 }).own(11, 0xb, { shmem: 300 }).step();
  assertEquals([charged(desk), peak()], [311, 311]);
});

Deno.test("a reading from after an exec does not charge what is still given back of the mm before it", () => {
  const desk = makeDesk(10);
  desk.own(11, 0xb, { anon: 500 }).step();
  const readTsNs = desk.tick();
  // By somebody who has read its page tables meanwhile.
  desk.foreign(99, 0xb, { anon: 400 }).step();
  desk.proc(11, ANN, { anon: 1 }, { tsNs: readTsNs }).step();
  assert(charged(desk) <= 11, `${charged(desk)}`);
  desk.foreign(11, 0xc, { anon: 1 }).own(11, 0xc, { anon: 2 }).foreign(99, 0xb, { anon: 0 });
  desk.exec(11).step();
  assertEquals(charged(desk), 12);
});
