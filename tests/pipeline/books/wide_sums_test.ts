import { assertEquals } from "@std/assert";
import { bornNsOf, packProc } from "../../../pipeline/memory/layout.ts";
import { HARD_PAGES_MAX } from "../../../pipeline/limits/limits.ts";
import { Ranking } from "../../../pipeline/kill/ranking.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const TIB_PAGES = 2 ** 28;

Deno.test("sums past 8 TiB neither wrap nor shrink: 6, 6 and 9 TiB at a limit of 7", () => {
  const desk = new Desk();
  desk.limit(ANN, 7 * TIB_PAGES);
  for (const pid of [10, 11, 12]) desk.proc(pid, ANN, {});
  desk.step().own(10, 0xa, { anon: 6 * TIB_PAGES }).step();
  assertEquals(desk.state(ANN), "ok");
  desk.own(11, 0xb, { anon: 6 * TIB_PAGES }).step();
  assertEquals([desk.usage(ANN), desk.state(ANN)], [12 * TIB_PAGES, "hard"]);
  // A member is at most 2^31 - 1 pages in a record; two of them make a process larger than that.
  desk.own(12, 0xc, { anon: 7 * TIB_PAGES, swap: 2 * TIB_PAGES }).step();
  assertEquals([desk.usage(ANN), desk.state(ANN)], [21 * TIB_PAGES, "hard"]);
  assertEquals([desk.pages(12), desk.orders().at(-1)?.kind], [9 * TIB_PAGES, "kill"]);
  const ranking = new Ranking(desk.memory, "largest");
  ranking.rank(desk.books.findUser(ANN), desk.nowNs, () => false);
  assertEquals(ranking.best[0]!.pid, 12);
  desk.own(12, 0xc, { anon: 0, swap: 0 }).step();
  assertEquals(desk.usage(ANN), 12 * TIB_PAGES);
});

Deno.test("a user with the largest limit there is, and one without any, have no order by their size", () => {
  const desk = new Desk();
  desk.limit(ANN, HARD_PAGES_MAX, HARD_PAGES_MAX);
  for (const pid of [10, 11, 12]) desk.proc(pid, 1001, {});
  desk.step();
  for (const pid of [10, 11, 12]) desk.own(pid, pid, { anon: 7 * TIB_PAGES });
  desk.step();
  assertEquals([desk.usage(1001), desk.state(1001), desk.orders()], [21 * TIB_PAGES, "ok", []]);
});

Deno.test("births of processes that run for years keep their order", () => {
  const yearMs = 365 * 86_400_000;
  for (const bornMs of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, yearMs, 50 * yearMs]) {
    const low = bornMs % 2 ** 32 | 0;
    assertEquals(bornNsOf(low, packProc(3, bornMs)), bornMs * 1e6);
    assertEquals(packProc(3, bornMs) & 0xff, 3);
  }
  const desk = new Desk();
  desk.nowNs = 2 * yearMs * 1e6;
  const births = [[10, 300], [11, yearMs / 10], [12, 2 ** 31 + 5], [13, yearMs / 20]] as const;
  for (const [pid, startTicks] of births) desk.proc(pid, ANN, { anon: 5 }, { startTicks });
  desk.step();
  const ranking = new Ranking(desk.memory, "newest");
  ranking.rank(desk.books.findUser(ANN), desk.nowNs, () => false);
  assertEquals(ranking.best.slice(0, 4).map(({ pid }) => pid), [11, 12, 13, 10]);
});
