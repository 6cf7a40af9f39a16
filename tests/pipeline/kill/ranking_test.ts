import { assertEquals } from "@std/assert";
import { GROWTH_BUCKET_NS } from "../../../pipeline/memory/layout.ts";
import { RANKED_MAX, Ranking } from "../../../pipeline/kill/ranking.ts";
import type { VictimPolicy } from "../../../pipeline/memory/settings.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;

function ranked(
  desk: Desk,
  policy: VictimPolicy,
  uid = ANN,
  spared: readonly number[] = [],
): number[] {
  const ranking = new Ranking(desk.memory, policy);
  const { tgid } = desk.books.processes;
  ranking.rank(desk.books.findUser(uid), desk.nowNs, (slot) => spared.includes(tgid[slot]!));
  return ranking.best.slice(0, ranking.count).map(({ pid }) => pid);
}

Deno.test("largest: by counted pages; others' and empty processes are not ranked", () => {
  const desk = new Desk();
  desk.proc(10, ANN, { anon: 5, file: 9000 }).proc(11, ANN, { anon: 70 }).proc(12, ANN, {});
  desk.proc(13, ANN, { anon: 40, swap: 20 }).proc(20, BOB, { anon: 999 }).step();
  assertEquals(ranked(desk, "largest"), [11, 13, 10]);
  assertEquals(ranked(desk, "largest", BOB), [20]);
  assertEquals(ranked(desk, "largest", ANN, [11]), [13, 10]);
});

Deno.test("no more than the best eight are kept, in order", () => {
  const desk = new Desk({ capacity: { processes: 128, tasks: 256, mms: 128 } });
  for (let i = 0; i < 40; i++) desk.proc(100 + (i * 7) % 40, ANN, { anon: 1 + (i * 7) % 40 });
  desk.step();
  const expected = Array.from({ length: RANKED_MAX }, (_, i) => 139 - i);
  assertEquals(ranked(desk, "largest"), expected);
});

Deno.test("newest: by birth", () => {
  const desk = new Desk();
  for (const [pid, startTicks] of [[10, 300], [11, 100], [12, 200]] as const) {
    desk.proc(pid, ANN, { anon: 5 }, { startTicks });
  }
  desk.step().foreign(11, 0x77, { anon: 5 }).fork(11, 13).step();
  assertEquals(ranked(desk, "newest"), [13, 10, 12, 11]);
});

Deno.test("growing: by what was gained in the last second, not by size", () => {
  const desk = new Desk();
  desk.proc(10, ANN, { anon: 9000 }).proc(11, ANN, { anon: 10 }).proc(12, ANN, { anon: 10 }).step();
  desk.own(10, 0x10, { anon: 9000 }).own(11, 0x11, { anon: 10 }).own(12, 0x12, { anon: 10 }).step();
  for (let bucket = 0; bucket < 12; bucket++) {
    desk.tick(GROWTH_BUCKET_NS);
    desk.own(11, 0x11, { anon: 20 + 20 * bucket });
    if (bucket < 2) desk.own(12, 0x12, { anon: 5000 + bucket });
    desk.own(10, 0x10, { anon: 9000 - bucket }).step();
  }
  assertEquals(ranked(desk, "growing"), [11, 12, 10]);
  const ranking = new Ranking(desk.memory, "growing");
  const slot = desk.books.findProcess(11);
  assertEquals(ranking.gainedPages(slot, desk.nowNs), 140 + 20);
  assertEquals(ranking.gainedPages(slot, desk.nowNs + 5e9), 0, "long ago");
});

Deno.test("growing: what was there before toom did not grow", () => {
  const desk = new Desk();
  desk.proc(10, ANN, { anon: 9000 }).proc(11, ANN, { anon: 10 }).step();
  desk.own(11, 0x11, { anon: 11 }).step();
  assertEquals(ranked(desk, "growing")[0], 11);
});
