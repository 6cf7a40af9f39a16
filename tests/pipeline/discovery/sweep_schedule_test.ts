import { assert, assertEquals } from "@std/assert";
import { SweepSchedule } from "../../../pipeline/discovery/sweep_schedule.ts";

const MS = 1e6;

/** A schedule that has swept at 0, with an interval of a second. */
function swept(intervalMs = 1000): SweepSchedule {
  const schedule = new SweepSchedule(() => intervalMs);
  assert(schedule.isDue(0, false), "the first sweep is due at once");
  assertEquals(schedule.begin(0), false);
  return schedule;
}

Deno.test("SweepSchedule sweeps at every interval", () => {
  const schedule = swept();
  assertEquals(schedule.isDue(999 * MS, false), false);
  assertEquals(schedule.waitMs(400 * MS), 600);
  assertEquals(schedule.isDue(1000 * MS, false), true);
  schedule.begin(1000 * MS);
  assertEquals(schedule.isDue(1999 * MS, false), false);
});

Deno.test("SweepSchedule sweeps soon when something was missed, but not over and over", () => {
  const schedule = swept();
  schedule.want();
  assertEquals(schedule.isDue(49 * MS, false), false);
  assertEquals(schedule.waitMs(10 * MS), 20);
  assertEquals(schedule.isDue(50 * MS, false), true);
  assertEquals(schedule.begin(50 * MS), false, "not for a loss");
  assertEquals(schedule.isDue(200 * MS, false), false);
});

Deno.test("SweepSchedule tells the sweep after a loss that it is one", () => {
  const schedule = swept();
  schedule.wantAfterLoss();
  schedule.want();
  assertEquals(schedule.isDue(60 * MS, false), true);
  assertEquals(schedule.begin(60 * MS), true);
  schedule.want();
  assertEquals(schedule.begin(200 * MS), false);
});

Deno.test("SweepSchedule waits for the list of traced tasks, and no longer than 200 ms", () => {
  const schedule = swept();
  schedule.want();
  assertEquals(schedule.isDue(60 * MS, true), false);
  assertEquals(schedule.isDue(259 * MS, true), false);
  assertEquals(schedule.isDue(260 * MS, true), true);
  schedule.begin(260 * MS);
  schedule.want();
  assertEquals(schedule.isDue(320 * MS, true), false, "and each sweep anew");
  assertEquals(schedule.isDue(330 * MS, false), true);
});

Deno.test("SweepSchedule follows an interval that changes", () => {
  let intervalMs = 1000;
  const schedule = new SweepSchedule(() => intervalMs);
  schedule.begin(0);
  assertEquals(schedule.isDue(500 * MS, false), false);
  intervalMs = 400;
  assertEquals([schedule.waitMs(300 * MS), schedule.isDue(500 * MS, false)], [100, true]);
});

Deno.test("SweepSchedule sweeps later where sweeps cost more than they may, but not what was missed", () => {
  const schedule = new SweepSchedule(() => 1000, () => 0.001);
  schedule.begin(0);
  schedule.ended(20 * MS);
  assertEquals(schedule.isDue(19_999 * MS, false), false);
  assertEquals(schedule.waitMs(5000 * MS), 15_000);
  assertEquals(schedule.isDue(20_000 * MS, false), true);
  schedule.begin(20_000 * MS);
  schedule.ended(20_020 * MS);
  schedule.want();
  assertEquals(schedule.isDue(20_100 * MS, false), true);
});
