import { assert, assertEquals } from "@std/assert";
import { ProcFlag } from "../../../pipeline/memory/layout.ts";
import { MEASURE_BEGIN, MEASURE_END, MEASURED } from "../../../pipeline/messages/records.ts";
import { Desk } from "../../_support/desk.ts";
import {
  A,
  ANN,
  BOB,
  charged,
  fork,
  makeDesk,
  measure,
  privatePages,
  ROOT,
} from "../../_support/share_desk.ts";

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
    sharedPages: 600,
    creditPages: 300,
    shareablePages: 0,
  }).step();
  fork(desk, ROOT, 12, 0xc, 600);
  desk.sweeperPut(MEASURED, {
    tgid: 11,
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
  desk.sweeperPut(MEASURED, { tgid: 11, ...parts });
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assert(charged(desk) <= 600, `${charged(desk)}`);
  measure(desk, 2, [[11, 600, 300], [12, 600, 300]]);
  assertEquals(charged(desk), 600);
});

Deno.test("I10: who is another user's while its parent is measured is not its heir when it is back", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  fork(desk, ROOT, 12, 0xc, 600);
  desk.proc(11, BOB, { anon: 600 }).step();
  measure(desk, 1, [[ROOT, 600, 400], [12, 600, 400]]);
  assertEquals([charged(desk), charged(desk, BOB)], [400, 0]);
  desk.proc(11, ANN, { anon: 600 }).step();
  desk.exit(ROOT).foreign(ROOT, A, { anon: 0 }).step();
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

Deno.test("I10: who is read from /proc while a measuring is under way is older than that, and may share", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000).proc(11, ANN, { anon: 600 }, { flags: ProcFlag.mayShare }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  // Accounting has begun anew, and hears of the parent only now: no measuring will read it.
  desk.proc(ROOT, ANN, { anon: 600 }).step();
  desk.sweeperPut(MEASURED, { tgid: 11, sharedPages: 600, creditPages: 300 });
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assertEquals([desk.usage(ANN), charged(desk)], [1200, 600]);
  measure(desk, 2, [[ROOT, 600, 300], [11, 600, 300]]);
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

Deno.test("parts of pages that were charged to who ends or gives back are orphaned until it is measured", () => {
  const desk = makeDesk(600);
  fork(desk, ROOT, 11, 0xb, 600);
  const orphaned = (): number => desk.books.users.orphanedPages[desk.books.findUser(ANN)]!;
  desk.own(11, 0xb, { anon: 590 }).step();
  assertEquals(orphaned(), 0, "whole pages are charged until it is measured");
  measure(desk, 1, [[ROOT, 600, 300], [11, 590, 295]]);
  desk.own(11, 0xb, { anon: 580 }).step();
  assertEquals(orphaned(), 10);
  desk.sweeperPut(MEASURE_BEGIN, { number: 2, uid: ANN }).step();
  desk.exit(11).foreign(11, 0xb, { anon: 0 }).step();
  desk.sweeperPut(MEASURE_END, { number: 2, uid: ANN }).step();
  assert(orphaned() >= 285, `${orphaned()}: it may have been read before the child ended`);
  measure(desk, 3, [[ROOT, 0, 0]]);
  assertEquals([charged(desk), orphaned()], [600, 0]);
});

Deno.test("a family that was measured stays charged, however often /proc says what it said", () => {
  const desk = new Desk();
  const forked = { flags: ProcFlag.mayShare };
  const tell = (pages: number): void => {
    desk.proc(ROOT, ANN, { anon: 600 }).proc(11, ANN, { anon: pages }, forked);
  };
  desk.limit(ANN, 1500).sweep(() => tell(600)).step();
  assertEquals(charged(desk), 600);
  measure(desk, 1, [[ROOT, 0, 0], [11, 0, 0]]);
  assertEquals(charged(desk), 1200);
  desk.sweep(() => tell(600)).step();
  assertEquals(charged(desk), 1200);
  // Not even after a loss; and what it grows by is its own or not: nobody has told.
  desk.lost().step().sweep(() => tell(600)).step();
  assertEquals(charged(desk), 1200);
  desk.sweep(() => tell(700)).step();
  assertEquals(charged(desk), 600);
});

Deno.test("nor is it credited for what /proc may be wrong by", () => {
  const desk = new Desk();
  const forked = { flags: ProcFlag.mayShare };
  const tell = (pages: number): void => {
    desk.proc(ROOT, ANN, { anon: 600 }).proc(11, ANN, { anon: pages }, forked);
  };
  desk.limit(ANN, 1500).sweep(() => tell(600), 50).step();
  measure(desk, 1, [[ROOT, 0, 0], [11, 0, 0]]);
  for (const pages of [590, 640]) {
    desk.lost().step().sweep(() => tell(pages), 50).step();
    assertEquals(charged(desk), 600 + pages);
  }
});

Deno.test("of shmem that was mapped since a measuring began, the most that may be another's is credited", () => {
  const desk = makeDesk(10, 1000);
  desk.own(ROOT, A, { shmem: 40 }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  desk.proc(11, ANN, {}).step().own(11, 0xb, { shmem: 300 }).step();
  const found = { sharedPages: 0, creditPages: 0, shareablePages: 40 };
  desk.sweeperPut(MEASURED, { tgid: ROOT, ...found }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  // 40 of the 300 may be those of the root.
  assertEquals(charged(desk), 310);
  desk.own(11, 0xb, { shmem: 400 }).step();
  assertEquals(charged(desk), 410);
});

Deno.test("nor is shmem credited that its maker took while it was measured, when nobody else has any", () => {
  const desk = makeDesk(10, 1000);
  desk.own(ROOT, A, { shmem: 40 }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  desk.own(ROOT, A, { shmem: 300 }).step();
  const found = { sharedPages: 0, creditPages: 0, mappedCreditPages: 0, shareablePages: 300 };
  desk.sweeperPut(MEASURED, { tgid: ROOT, ...found }).step();
  desk.own(ROOT, A, { shmem: 400 }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assertEquals(charged(desk), 410);
});

Deno.test("I10: of shmem that two take from each other while they are measured, each page counts once", () => {
  const desk = makeDesk(0).proc(11, ANN, {}).step();
  desk.own(ROOT, A, { shmem: 300 }).own(11, 0xb, { shmem: 200 }).step();
  desk.sweeperPut(MEASURE_BEGIN, { number: 1, uid: ANN }).step();
  const found = { sharedPages: 0, creditPages: 0, mappedCreditPages: 0 };
  desk.sweeperPut(MEASURED, { tgid: ROOT, ...found, shareablePages: 300 }).step();
  // It maps the root's; then it is read, and the root maps all of its.
  desk.own(11, 0xb, { shmem: 500 }).step();
  const both = { sharedPages: 300, creditPages: 150, mappedCreditPages: 150 };
  desk.sweeperPut(MEASURED, { tgid: 11, ...both, shareablePages: 350 }).step();
  desk.own(ROOT, A, { shmem: 500 }).step();
  desk.sweeperPut(MEASURE_END, { number: 1, uid: ANN }).step();
  assert(charged(desk) <= 500, `${charged(desk)}`);
  measure(desk, 2, [[ROOT, 500, 250, 250], [11, 500, 250, 250]]);
  assertEquals(charged(desk), 500);
});
