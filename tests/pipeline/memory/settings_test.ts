import { assertEquals, assertThrows } from "@std/assert";
import { Member } from "../../../pipeline/memory/layout.ts";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { attachMemory, createMemory, DEFAULT_CAPACITY } from "../../../pipeline/memory/memory.ts";
import {
  DEFAULT_SETTINGS,
  type Settings,
  SettingsPublisher,
  SettingsView,
} from "../../../pipeline/memory/settings.ts";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { RulesPublisher, RulesView } from "../../../pipeline/limits/published_rules.ts";

const OTHER: Settings = {
  victimPolicy: "growing",
  countMask: 1 << Member.anon,
  creditsShares: false,
  dryRun: true,
  arms: false,
  kernelTrigger: false,
  psi: false,
  intervalMs: 250,
  minAvailableBytes: 5 * 2 ** 40 + 4097,
  machineVictim: "largest",
  userProcessesMax: 77,
  brake: "growers",
  lowerGraceMs: 60_000,
  plan: { signal: 15, graceMs: 250, ceilingPermille: 1200, unit: "session" },
  storm: { kills: 0, seconds: 7, then: "parent" },
};

function fields(settings: Settings): Settings {
  return { ...settings };
}

function page(): Int32Array {
  return attachMemory(createMemory({ ...DEFAULT_CAPACITY, processes: 64 })).settings;
}

Deno.test("a new memory has the default settings, and no user has more processes than fit", () => {
  const view = new SettingsView(page());
  assertEquals(fields(view.current), { ...DEFAULT_SETTINGS, userProcessesMax: 64 });
  assertEquals(view.refresh(), false);
});

Deno.test("SettingsView takes over every field that was published, once", () => {
  const words = page();
  const view = new SettingsView(words);
  const publisher = new SettingsPublisher(words);
  for (const settings of [OTHER, DEFAULT_SETTINGS, OTHER]) {
    publisher.publish(settings);
    assertEquals(view.refresh(), true);
    assertEquals(fields(view.current), settings);
    assertEquals(view.refresh(), false);
  }
});

Deno.test("limits and settings are on one page: each stays when the other changes", () => {
  const words = page();
  const view = new RulesView(words);
  const settings = new SettingsView(words);
  const rules = new LimitRules();
  rules.set({ uidFirst: 7, uidLast: 7, hardPages: 100, softPages: 90 });
  new RulesPublisher(words).publish(rules, OTHER);
  assertEquals([view.refresh(), view.hardPagesOf(7)], [true, 100]);
  assertEquals(fields(view.settings), OTHER);
  new SettingsPublisher(words).publish({ ...OTHER, dryRun: false });
  assertEquals([view.refresh(), view.hardPagesOf(7), view.settings.dryRun], [true, 100, false]);
  rules.clear(7, 7);
  new RulesPublisher(words).publish(rules);
  assertEquals([view.refresh(), view.hardPagesOf(7)], [true, 0]);
  assertEquals([settings.refresh(), fields(settings.current)], [true, { ...OTHER, dryRun: false }]);
});

Deno.test("settings that are out of range are refused, and what is published stays", () => {
  const words = page();
  const publisher = new SettingsPublisher(words);
  publisher.publish(OTHER);
  const view = new RulesView(words);
  view.refresh();
  const wrong: Partial<Settings>[] = [
    { countMask: 0 },
    { countMask: 16 },
    { intervalMs: 0 },
    { intervalMs: 0.5 },
    { minAvailableBytes: -1 },
    { minAvailableBytes: NaN },
    { machineVictim: "smallest" as "largest" },
    { userProcessesMax: 0 },
    { lowerGraceMs: -1 },
    { lowerGraceMs: 1.5 },
    { victimPolicy: "oldest" as Settings["victimPolicy"] },
  ];
  for (const one of wrong) {
    assertThrows(() => publisher.publish({ ...OTHER, ...one }), InvariantError);
    const rules = new LimitRules();
    assertThrows(
      () => new RulesPublisher(words).publish(rules, { ...OTHER, ...one }),
      InvariantError,
    );
  }
  assertEquals([view.refresh(), fields(view.settings)], [false, OTHER]);
});
