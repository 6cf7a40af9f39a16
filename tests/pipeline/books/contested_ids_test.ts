import { assertEquals } from "@std/assert";
import { ContestedIds } from "../../../pipeline/books/contested_ids.ts";
import { RecordKind } from "../../../pipeline/memory/layout.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const SAME = 0x5a5a;

/** Two living processes of two users whose mms have one id: as many pages as they really have. */
function makeDesk(): Desk {
  const desk = new Desk();
  desk.limit(ANN, 500).limit(BOB, 500);
  return desk.proc(10, ANN, { anon: 100 }).proc(20, BOB, { anon: 400 }).step();
}

Deno.test("two mms of one id do not flip between two users, and are read from /proc from then on", () => {
  const desk = makeDesk();
  for (let turn = 0; turn < 6; turn++) {
    desk.own(10, SAME, { anon: 101 + turn }).own(20, SAME, { anon: 401 + turn }).step();
  }
  assertEquals(desk.books.findMm(SAME), -1);
  const wanted = desk.asked.filter(({ kind }) => kind === RecordKind.resolve).map(({ tid }) => tid);
  assertEquals(new Set(wanted), new Set([10, 20]));
  desk.proc(10, ANN, { anon: 107 }).proc(20, BOB, { anon: 407 }).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [107, 407]);
  // Further events of that id change neither.
  desk.own(10, SAME, { anon: 3 }).foreign(20, SAME, { anon: 450 }).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [107, 407]);
  desk.proc(20, BOB, { anon: 501 }).step();
  assertEquals(desk.orders().map(({ kind, uid }) => [kind, uid]).at(-1), ["kill", BOB]);
});

Deno.test("who takes part in a contest is read again while it acts, a hundred times a second at most", () => {
  const desk = makeDesk();
  for (let turn = 0; turn < 3; turn++) desk.own(10, SAME, { anon: 1 }).own(20, SAME, { anon: 2 });
  desk.step();
  const before = desk.asked.length;
  for (let event = 0; event < 50; event++) desk.own(10, SAME, { anon: 50 + event });
  desk.step();
  assertEquals(desk.asked.length - before <= 2, true);
  desk.tick(10e6);
  desk.own(10, SAME, { anon: 99 }).step();
  assertEquals(desk.asked.length - before <= 4 && desk.asked.length > before, true);
});

Deno.test("when one of the two is gone, the id is the other's again", () => {
  const desk = makeDesk();
  for (let turn = 0; turn < 3; turn++) desk.own(10, SAME, { anon: 1 }).own(20, SAME, { anon: 2 });
  desk.step().exit(20).free(20).step();
  desk.proc(10, ANN, { anon: 7 }).step().own(10, SAME, { anon: 150 }).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [150, 0]);
});

Deno.test("ContestedIds sees a contest only when a loser comes back, and forgets the oldest", () => {
  const ids = new ContestedIds();
  const one = { tgid: 1, slot: 1, generation: 0 };
  const other = { tgid: 2, slot: 2, generation: 0 };
  assertEquals(ids.moves(7, one, other), false);
  assertEquals(ids.moves(7, other, { tgid: 3, slot: 3, generation: 0 }), false);
  assertEquals(
    ids.moves(7, { tgid: 3, slot: 3, generation: 0 }, { ...other, generation: 1 }),
    false,
  );
  assertEquals(ids.isEmpty, true);
  for (let id = 100; id < 300; id++) {
    ids.moves(id, one, other);
    assertEquals(ids.moves(id, other, one), true);
  }
  assertEquals([ids.claimantsOf(100), ids.claimantsOf(299)?.length], [undefined, 2]);
});
