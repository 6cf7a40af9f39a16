import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../../../pipeline/messages/records.ts";
import { assert, assertEquals } from "@std/assert";
import { HeaderWord, ProcFlag, RecordKind } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const ROOT = 10;
const A = 0xa;

/** Charged pages of a user. */
function charged(desk: Desk, uid = ANN): number {
  const slot = desk.books.findUser(uid);
  const { usagePages, creditPages } = desk.books.users;
  return slot < 0 ? 0 : usagePages[slot]! - creditPages[slot]!;
}

/** What the end of a process would free. */
function privatePages(desk: Desk, tgid: number): number {
  const slot = desk.books.findProcess(tgid);
  const { pages, sharedPages } = desk.books.processes;
  return pages[slot]! - sharedPages[slot]!;
}

/** A process of ANN with so many anonymous pages. */
function makeDesk(pages: number, hardPages = 1000): Desk {
  const desk = new Desk();
  desk.limit(ANN, hardPages).limit(BOB, hardPages);
  return desk.proc(ROOT, ANN, {}).step().own(ROOT, A, { anon: pages }).step();
}

/** A fork as the kernel tells of it: the child's mm is built by its parent, which then names it. */
function fork(desk: Desk, parent: number, child: number, mmId: number, pages: number): Desk {
  for (let built = 1; built < pages; built += 100) desk.foreign(parent, mmId, { anon: built });
  return desk.foreign(parent, mmId, { anon: pages }).fork(parent, child).step();
}

/** A measuring of ANN. `found`: tgid, shared pages, credit, part of shareable pages. */
function measure(desk: Desk, number: number, found: readonly (readonly number[])[]): Desk {
  desk.sweeperPut(MEASURE_BEGIN, { number, uid: ANN }).step();
  assertEquals(desk.memory.header[HeaderWord.measureBegun], number);
  for (const [tgid, shared, credit, shareable = 0] of found) {
    desk.sweeperPut(MEASURED, {
      tgid: tgid!,
      number: number,
      sharedPages: shared!,
      creditPages: credit!,
      shareablePages: shareable,
    });
  }
  return desk.sweeperPut(MEASURE_END, { number, uid: ANN }).step();
}

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

Deno.test("I10: shmem that several map counts as much as the largest has, until it is measured", () => {
  const desk = makeDesk(0, 100);
  for (let pid = 11; pid < 19; pid++) {
    desk.proc(pid, ANN, {}).step().own(pid, 0xb0 + pid, { shmem: 40 }).step();
  }
  assertEquals([desk.usage(ANN), charged(desk)], [320, 40]);
  // One that maps more than all others has that much at least.
  desk.own(11, 0xb0 + 11, { shmem: 101 }).step();
  assertEquals(charged(desk), 101);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("I10: shmem that turns out to be each one's own counts in full", () => {
  const desk = makeDesk(0, 100);
  for (const pid of [11, 12, 13]) {
    desk.proc(pid, ANN, {}).step().own(pid, 0xb0 + pid, { shmem: 40 }).step();
  }
  assertEquals(charged(desk), 40);
  measure(desk, 1, [[11, 0, 0, 40], [12, 0, 0, 40], [13, 0, 0, 40]]);
  assertEquals(charged(desk), 120);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("a measuring finds what was copied: over by that, the user is killed", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  measure(desk, 1, [[ROOT, 600, 300], [11, 600, 300]]);
  assertEquals(charged(desk), 600);
  // The child has written to all: a page each, of which no event told.
  measure(desk, 2, [[ROOT, 0, 0], [11, 0, 0]]);
  assertEquals([charged(desk), privatePages(desk, 11)], [1200, 600]);
  assert(desk.orders().some(({ kind }) => kind === "kill"));
});

Deno.test("a measuring counts what was forked and mapped meanwhile as shared still", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  desk.sweeperPut(MEASURED, {
    tgid: ROOT,
    number: 1,
    sharedPages: 600,
    creditPages: 300,
    shareablePages: 0,
  }).step();
  fork(desk, ROOT, 12, 0xc, 600);
  desk.sweeperPut(MEASURED, {
    tgid: 11,
    number: 1,
    sharedPages: 600,
    creditPages: 400,
    shareablePages: 0,
  }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assert(charged(desk) <= 600, `${charged(desk)}`);
});

Deno.test("I10: who was forked while a measuring is under way is charged in parts, heir or not", () => {
  const desk = makeDesk(600);
  // Its row comes to the second child, which is its parent's heir for that.
  desk.proc(9, ANN, {}).own(9, 0x9, { anon: 1 }).step();
  fork(desk, ROOT, 11, 0xb, 600);
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  desk.exit(9).foreign(9, 0x9, { anon: 0 }).step();
  fork(desk, ROOT, 12, 0xc, 600);
  desk.exit(ROOT).foreign(ROOT, A, { anon: 0 }).step();
  assertEquals(charged(desk), 600);
  const parts = { sharedPages: 600, creditPages: 300, shareablePages: 0 };
  desk.sweeperPut(MEASURED, { tgid: 11, number: 1, ...parts });
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assert(charged(desk) <= 600, `${charged(desk)}`);
  measure(desk, 2, [[11, 600, 300], [12, 600, 300]]);
  assertEquals(charged(desk), 600);
});

Deno.test("I10: what is mapped while a measuring is under way is compared with what it has found", () => {
  const desk = makeDesk(0).proc(11, ANN, {}).proc(12, ANN, {}).step();
  desk.own(11, 0xb, { shmem: 350 }).own(12, 0xc, { shmem: 250 }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  // Each is found to have its pages alone; then the second gives some back, and maps the first's.
  for (const [tgid, pages] of [[11, 350], [12, 250]] as const) {
    desk.sweeperPut(MEASURED, {
      tgid: tgid,
      number: 1,
      sharedPages: 0,
      creditPages: 0,
      shareablePages: pages,
    });
  }
  desk.own(12, 0xc, { shmem: 220 }).own(12, 0xc, { shmem: 570 }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assertEquals(charged(desk), 570);
});

Deno.test("what is new while a measuring is under way counts when it ends", () => {
  const desk = makeDesk(0).proc(11, ANN, {}).step();
  desk.own(11, 0xb, { shmem: 350 }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  desk.sweeperPut(MEASURED, {
    tgid: 11,
    number: 1,
    sharedPages: 0,
    creditPages: 0,
    shareablePages: 350,
  });
  desk.own(11, 0xb, { shmem: 900 }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assertEquals(charged(desk), 900);
});

Deno.test("a measuring that could not read a process takes it as shared: it may be going", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  // The parent was gone when its turn came, the child has all pages alone by then.
  measure(desk, 1, [[11, 0, 0]]);
  assertEquals(charged(desk), 600);
});

Deno.test("lazily freed pages are credited, and count again when they are written to", () => {
  const desk = makeDesk(900);
  measure(desk, 1, [[ROOT, 800, 800]]);
  assertEquals(charged(desk), 100);
  desk.own(ROOT, A, { anon: 1700 }).step();
  assertEquals(charged(desk), 900);
  measure(desk, 2, [[ROOT, 0, 0]]);
  assertEquals(charged(desk), 1700);
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

Deno.test("a family that was there before toom is credited until it is measured", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000).proc(ROOT, ANN, { anon: 600 });
  for (const pid of [11, 12, 13]) {
    desk.proc(pid, ANN, { anon: 600 }, { flags: ProcFlag.mayShare });
  }
  desk.step();
  assertEquals([charged(desk), desk.usage(ANN)], [600, 2400]);
  assertEquals(desk.orders().filter(({ kind }) => kind === "kill"), []);
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
