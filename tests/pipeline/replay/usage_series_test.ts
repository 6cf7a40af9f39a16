/** What a chart of a replay is drawn from. */
import { assertEquals } from "@std/assert";
import { UsageSeries } from "../../../pipeline/replay/usage_series.ts";
import { Desk } from "../../_support/desk.ts";

const ANN = 1000;
const STRETCH_NS = 1e6;

Deno.test("who would have been killed uses nothing any more, though it goes on", () => {
  const desk = new Desk().limit(ANN, 1000);
  desk.proc(10, ANN, {}).proc(11, ANN, {}).step();
  desk.own(10, 0xa, { anon: 500 }).own(11, 0xb, { anon: 200 }).step();
  const series = new UsageSeries();
  const sample = (): number => {
    series.sample(desk.tick(STRETCH_NS), desk.books, false);
    return series.of(ANN).at(-1)!;
  };
  assertEquals(sample(), 700);
  series.killed(10, desk.books);
  assertEquals(sample(), 200);
  desk.own(10, 0xa, { anon: 600 }).own(11, 0xb, { anon: 210 }).step();
  assertEquals(sample(), 210);
  // It gives its memory back, and the pid comes back.
  desk.exit(10).step();
  assertEquals(sample(), 210);
  desk.foreign(10, 0xa, { anon: 0 }).step();
  desk.proc(10, ANN, { anon: 50 }, { startTicks: 7 }).step();
  assertEquals(sample(), 260);
});
