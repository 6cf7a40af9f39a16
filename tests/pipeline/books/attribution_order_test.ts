/** Attribution converges in whatever order the events of two CPUs arrive. */
import { assert, assertEquals } from "@std/assert";
import { UNKNOWN_UID } from "../../../pipeline/books/books.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;

/** Mm ids; one is negative, as half of the real ones are. */
const A = 0x1111;
const B = -0x2222;
const C = 0x3333;

/** Ann's process 10 on mm A with 100 pages, Bob's process 20 on mm C with 50. */
function makeDesk(options: ConstructorParameters<typeof Desk>[0] = {}): Desk {
  const desk = new Desk(options);
  desk.proc(10, ANN, {}).proc(20, BOB, {}).step();
  return desk.own(10, A, { anon: 100 }).own(20, C, { anon: 50 }).step();
}

type Write = (desk: Desk) => void;

/** Every way to merge two lists that keeps the order of each. */
function* merges(first: readonly Write[], second: readonly Write[]): Generator<Write[]> {
  if (first.length === 0) yield [...second];
  else if (second.length === 0) yield [...first];
  else {
    for (const rest of merges(first.slice(1), second)) yield [first[0]!, ...rest];
    for (const rest of merges(first, second.slice(1))) yield [second[0]!, ...rest];
  }
}

/**
 * The lists are what two CPUs recorded; each record has its time as an offset. However they are
 * read, the result must be the same.
 */
function assertConverges(
  first: readonly Write[],
  second: readonly Write[],
  annPages: number,
  pagesByPid: Readonly<Record<number, number>>,
): void {
  let count = 0;
  for (const order of merges(first, second)) {
    const desk = makeDesk();
    for (const write of order) {
      write(desk);
      desk.step();
    }
    const names = order.map((write) => (first.includes(write) ? "0" : "1")).join("");
    assertEquals(desk.usage(ANN), annPages, `Ann, read as ${names}`);
    assertEquals(desk.usage(BOB), 50, `Bob, read as ${names}`);
    assertEquals(desk.usage(UNKNOWN_UID), 0, `nobody, read as ${names}`);
    for (const [pid, pages] of Object.entries(pagesByPid)) {
      assertEquals(Math.max(0, desk.pages(Number(pid))), pages, `${pid}, read as ${names}`);
    }
    count++;
  }
  assert(count > 1);
}

const at = (us: number): number => 10e9 + 1e6 + us * 1000;

Deno.test("any order: fork on one CPU, the child's life and death on the other", () => {
  const birth: Write[] = [
    (desk) => desk.foreign(10, B, { anon: 60 }, at(1)),
    (desk) => desk.foreign(10, B, { anon: 100 }, at(2)),
    (desk) => desk.fork(10, 11, at(3)),
    (desk) => desk.own(10, A, { anon: 101 }, at(20)),
  ];
  const life: Write[] = [
    (desk) => desk.own(11, B, { file: 16 }, at(5)),
    (desk) => desk.own(11, B, { anon: 130 }, at(6)),
  ];
  const death: Write[] = [
    (desk) => desk.exit(11, 1, at(10)),
    (desk) => desk.foreign(11, B, { file: 0 }, at(11)),
    (desk) => desk.foreign(11, B, { anon: 0 }, at(12)),
  ];
  assertConverges(birth, life, 231, { 10: 101, 11: 130 });
  assertConverges(birth, [...life, ...death], 101, { 10: 101, 11: 0 });
});

Deno.test("any order: a forked child that says nothing about its anonymous memory", () => {
  assertConverges(
    [
      (desk) => desk.foreign(10, B, { anon: 60 }, at(1)),
      (desk) => desk.foreign(10, B, { anon: 100, shmem: 4 }, at(2)),
      (desk) => desk.fork(10, 11, at(3)),
    ],
    [(desk) => desk.own(11, B, { file: 16 }, at(5))],
    204,
    { 10: 100, 11: 104 },
  );
});

Deno.test("any order: vfork on one CPU, the child's exec on the other", () => {
  assertConverges(
    [
      (desk) => desk.own(10, A, { anon: 105 }, at(1)),
      (desk) => desk.vfork(10, 11, at(2)),
      (desk) => desk.own(10, A, { anon: 107 }, at(30)),
    ],
    [
      (desk) => desk.foreign(11, B, { anon: 1 }, at(4)),
      (desk) => desk.own(11, A, { anon: 106 }, at(5)),
      (desk) => desk.own(11, A, { anon: 105 }, at(6)),
      (desk) => desk.own(11, B, { file: 3 }, at(8)),
      (desk) => desk.exec(11, 11, at(9)),
      (desk) => desk.own(11, B, { anon: 20 }, at(10)),
    ],
    127,
    { 10: 107, 11: 20 },
  );
});

Deno.test("any order: a thread's birth on one CPU, its events on the other", () => {
  assertConverges(
    [
      (desk) => desk.thread(10, 31, at(1)),
      (desk) => desk.own(10, A, { anon: 120 }, at(8)),
    ],
    [
      (desk) => desk.own(31, A, { anon: 110 }, at(3)),
      (desk) => desk.own(31, A, { anon: 111 }, at(4)),
      (desk) => desk.exit(31, 0, at(10)),
      (desk) => desk.free(31, at(11)),
    ],
    120,
    { 10: 120, 31: 0 },
  );
});

Deno.test("any order: fork, and the child's exec on the other CPU", () => {
  assertConverges(
    [
      (desk) => desk.foreign(10, B, { anon: 60 }, at(1)),
      (desk) => desk.foreign(10, B, { anon: 100 }, at(2)),
      (desk) => desk.fork(10, 11, at(3)),
    ],
    [
      (desk) => desk.own(11, B, { file: 16 }, at(5)),
      (desk) => desk.foreign(11, 0x7777, { anon: 1 }, at(6)),
      (desk) => desk.own(11, B, { anon: 101 }, at(7)),
      (desk) => desk.own(11, B, { anon: 100 }, at(8)),
      (desk) => desk.foreign(11, B, { file: 0, anon: 0 }, at(9)),
      (desk) => desk.own(11, 0x7777, { anon: 8 }, at(10)),
      (desk) => desk.exec(11, 11, at(11)),
    ],
    108,
    { 10: 100, 11: 8 },
  );
});

Deno.test("any order: a grandchild is born and its parent dies before the parent's birth is read", () => {
  assertConverges(
    [
      (desk) => desk.foreign(10, B, { anon: 100 }, at(1)),
      (desk) => desk.fork(10, 11, at(2)),
    ],
    [
      (desk) => desk.own(11, B, { file: 5 }, at(4)),
      (desk) => desk.foreign(11, 0x7777, { anon: 100 }, at(5)),
      (desk) => desk.fork(11, 12, at(6)),
      (desk) => desk.own(12, 0x7777, { anon: 104 }, at(7)),
    ],
    304,
    { 10: 100, 11: 100, 12: 104 },
  );
});

Deno.test("any order: a parent dies before the birth of its child is read", () => {
  assertConverges(
    [
      (desk) => desk.foreign(10, B, { anon: 60 }, at(1)),
      (desk) => desk.foreign(10, B, { anon: 100 }, at(2)),
      (desk) => desk.fork(10, 11, at(3)),
    ],
    [
      (desk) => desk.own(11, B, { anon: 103 }, at(4)),
      (desk) => desk.exit(10, 1, at(5)),
      (desk) => desk.foreign(10, A, { anon: 0 }, at(6)),
      (desk) => desk.free(10, at(7)),
    ],
    103,
    { 10: 0, 11: 103 },
  );
});
