/** What the roles do when the settings change under them. */
import { assertEquals } from "@std/assert";
import { DegradedReason } from "../../pipeline/messages/reports.ts";
import { type Settings, SettingsPublisher } from "../../pipeline/memory/settings.ts";
import { Member } from "../../pipeline/memory/layout.ts";
import { Desk } from "../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;

function publish(desk: Desk, change: Partial<Settings>): void {
  desk.settings = { ...desk.settings, ...change };
  new SettingsPublisher(desk.memory.settings).publish(desk.settings);
}

Deno.test("accounting: other counted members need another accounting, which has all read again", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000);
  const read = (): Desk => desk.proc(10, ANN, { anon: 100, file: 30, shmem: 7 });
  desk.sweep(read).step();
  assertEquals([desk.usage(ANN), desk.accounting.isOutdated], [107, false]);
  publish(desk, { countMask: 1 << Member.anon | 1 << Member.file });
  desk.step();
  assertEquals(desk.accounting.isOutdated, true);
  desk.startAccounting(DegradedReason.settings);
  desk.step();
  assertEquals(desk.accounting.isOutdated, false);
  desk.sweep(read).step();
  assertEquals(desk.usage(ANN), 130);
});

Deno.test("accounting: members of a limit count for its users only, from another accounting on", () => {
  const desk = new Desk();
  const fileToo = { countMask: 1 << Member.anon | 1 << Member.file };
  desk.limit(ANN, 1000).limit(BOB, 1000, 900, BOB, fileToo);
  const read = (): void => {
    for (const uid of [ANN, BOB]) desk.proc(uid, uid, { anon: 100, file: 30, shmem: 7 });
  };
  desk.sweep(read).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [107, 130]);
  assertEquals(desk.accounting.isOutdated, false);
  // Who has no row yet is counted as its limit says from the beginning.
  desk.limit(BOB + 1, 1000, 900, BOB + 1, fileToo).step();
  assertEquals(desk.accounting.isOutdated, false);
  desk.proc(1002, BOB + 1, { anon: 1, file: 2, shmem: 4 }).step();
  assertEquals(desk.usage(BOB + 1), 3);
  desk.limit(ANN, 1000, 900, ANN, fileToo).limit(BOB, 1000).step();
  assertEquals(desk.accounting.isOutdated, true);
  desk.startAccounting(DegradedReason.settings);
  desk.step();
  assertEquals(desk.accounting.isOutdated, false);
  desk.sweep(read).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [130, 107]);
});

Deno.test("accounting: a user's most processes count from the next batch on", () => {
  const desk = new Desk({ settings: { userProcessesMax: 2 } });
  desk.limit(ANN, 1000);
  for (const pid of [10, 11, 12]) desk.proc(pid, ANN, { anon: 10 });
  desk.step();
  assertEquals(desk.usage(ANN), 20);
  publish(desk, { userProcessesMax: 3 });
  desk.proc(12, ANN, { anon: 10 }).step();
  assertEquals(desk.usage(ANN), 30);
});

Deno.test("accounting: a user's limit may leave it fewer processes than others have", () => {
  const desk = new Desk({ settings: { userProcessesMax: 3 } });
  desk.limit(ANN, 1000, 900, ANN, { processesMax: 2 }).limit(BOB, 1000);
  for (const pid of [10, 11, 12]) {
    desk.proc(pid, ANN, { anon: 10 }).proc(pid + 10, BOB, { anon: 10 });
  }
  desk.step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [20, 30]);
  assertEquals(desk.orders().map(({ kind }) => kind), ["kill"]);
  // More than all may have is no more than that.
  desk.limit(ANN, 1000, 900, ANN, { processesMax: 9 });
  for (const pid of [12, 13]) desk.proc(pid, ANN, { anon: 10 });
  desk.step();
  assertEquals(desk.usage(ANN), 30);
});

Deno.test("accounting: without arms, soft orders nothing", () => {
  const desk = new Desk();
  desk.limit(ANN, 1000, 900);
  desk.proc(10, ANN, { anon: 10 }).step();
  publish(desk, { arms: false });
  desk.own(10, 70, { anon: 950 }).step();
  assertEquals(desk.orders(), []);
  publish(desk, { arms: true });
  desk.own(10, 70, { anon: 970 }).step();
  assertEquals(desk.orders().map(({ kind }) => kind), ["arm"]);
});
