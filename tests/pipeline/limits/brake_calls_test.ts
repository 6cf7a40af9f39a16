import { assert, assertEquals } from "@std/assert";
import { BrakeCalls } from "../../../pipeline/limits/brake_calls.ts";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { RulesPublisher, RulesView } from "../../../pipeline/limits/published_rules.ts";
import { HeaderWord } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { type BrakeMode, DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import { Desk, SMALL } from "../../_support/desk.ts";

function viewOf(
  brake: BrakeMode,
  rules: LimitRules,
  { settings } = attachMemory(createMemory(SMALL)),
): RulesView {
  new RulesPublisher(settings).publish(rules, { ...DEFAULT_SETTINGS, brake });
  const view = new RulesView(settings);
  view.refresh();
  return view;
}

Deno.test("the sweeper is woken once a millisecond and user, for those who may be braked", () => {
  const rules = new LimitRules();
  for (const [uid, brake] of [[1, undefined], [2, "off"], [3, "all"]] as const) {
    const limit = { uidFirst: uid, uidLast: uid, hardPages: 100, softPages: 90 };
    rules.set(brake === undefined ? limit : { ...limit, brake });
  }
  for (const brake of ["off", "growers"] as const) {
    let woken = 0;
    const memory = attachMemory(createMemory(SMALL));
    const calls = new BrakeCalls(memory, viewOf(brake, rules, memory), () => woken++);
    const countOf = (uid: number, times: readonly number[]): number => {
      woken = 0;
      calls.limit(uid, uid);
      for (const ns of times) calls.grown(uid, ns);
      return woken;
    };
    const times = [5e6, 5.2e6, 5.9e6, 6e6, 6.1e6, 9e6];
    assertEquals(countOf(1, times), brake === "off" ? 0 : 3);
    assertEquals(countOf(2, times), 0, "its limit says so");
    assertEquals(countOf(3, times), 3);
    assertEquals(countOf(4, times), 0, "no limit");
  }
});

Deno.test("who is braked is as the rule says, else as the settings do", () => {
  const rules = new LimitRules();
  rules.set({ uidFirst: 1, uidLast: 9, hardPages: 100, softPages: 90 });
  assertEquals(viewOf("off", rules).brakesAnybody, false);
  assertEquals(viewOf("all", rules).brakeOf(5), "all");
  assertEquals(viewOf("all", rules).brakeOf(10), "off", "no limit, no brake");
  rules.set({ uidFirst: 5, uidLast: 5, hardPages: 100, softPages: 90, brake: "growers" });
  const view = viewOf("off", rules);
  assertEquals([view.brakesAnybody, view.brakeOf(5), view.brakeOf(4)], [true, "growers", "off"]);
  assertEquals(view.list(), rules.list(), "nothing of a rule gets lost on its way");
});

Deno.test("accounting asks for the brake above soft, and not at hard", () => {
  const desk = new Desk({ settings: { brake: "growers" } });
  let calls = 0;
  desk.accounting["enforcement"]["brake"]["wake" as never] = (() => calls++) as never;
  desk.limit(1000, 1000, 900).sweep(() => desk.proc(7, 1000, { anon: 100 })).step();
  for (let pages = 100; pages <= 890; pages += 10) desk.own(7, 5, { anon: pages }).tick(1e6);
  desk.step();
  assertEquals(calls, 0);
  for (let pages = 901; pages <= 1000; pages++) {
    desk.own(7, 5, { anon: pages }).tick(1e6);
    desk.step();
  }
  const above = calls;
  assertEquals(above > 5 && above <= 100, true, `${above} calls`);
  for (let pages = 1001; pages <= 1100; pages++) {
    desk.own(7, 5, { anon: pages }).tick(1e6);
    desk.step();
  }
  assertEquals(calls, above, "on the way of a kill it does nothing");
});

Deno.test("accounting asks for the brake above soft less what was promised, from the moment on", () => {
  const desk = new Desk({ settings: { brake: "growers" } });
  let calls = 0;
  desk.accounting["enforcement"]["brake"]["wake" as never] = (() => calls++) as never;
  desk.limit(1000, 1000, 900).sweep(() => desk.proc(7, 1000, { anon: 100 })).step();
  const grow = (from: number, to: number): void => {
    for (let pages = from; pages <= to; pages++) {
      desk.own(7, 5, { anon: pages }).tick(1e6);
      desk.step();
    }
  };
  const promise = (pages: number): void => {
    const { users, header } = desk.memory;
    const slot = users.uid.indexOf(1000);
    Atomics.store(users.promisedPages, slot, pages);
    Atomics.add(header, HeaderWord.promiseChanges, 1);
  };
  grow(101, 500);
  assertEquals(calls, 0);
  promise(300);
  desk.step();
  grow(501, 600);
  assertEquals(calls, 0, "at the line");
  grow(601, 640);
  assert(calls > 1, `${calls} calls`);
  // Who shrinks and grows again is asked for again.
  desk.own(7, 5, { anon: 400 }).step();
  calls = 0;
  grow(401, 600);
  assertEquals(calls, 0);
  grow(601, 640);
  assert(calls > 1, `${calls} calls`);
  promise(0);
  desk.step();
  grow(641, 700);
  calls = 0;
  grow(701, 900);
  assertEquals(calls, 0, "nothing is promised any more");
  grow(901, 940);
  assert(calls > 1, `${calls} calls`);
});
