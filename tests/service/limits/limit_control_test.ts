import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type LimitRule, RULES_MAX, RulesFullError } from "../../../pipeline/limits/limits.ts";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { UserState } from "../../../pipeline/memory/layout.ts";
import { RulesView } from "../../../pipeline/limits/published_rules.ts";
import { unpackPolicy } from "../../../pipeline/memory/victim_policy.ts";
import {
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
} from "../../../pipeline/memory/memory.ts";
import { DEFAULT_SETTINGS } from "../../../pipeline/memory/settings.ts";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { LimitControl } from "../../../service/limits/limit_control.ts";
import { LimitState } from "../../../service/limits/state_file.ts";

const UID = 60010;

function rule(uid: number, hardPages: number): LimitRule {
  return { uidFirst: uid, uidLast: uid, hardPages, softPages: hardPages >> 1 };
}

interface Stage {
  readonly control: LimitControl;
  readonly memory: Memory;
  readonly events: JournalEvent[];
  readonly woken: () => number;
  /** The state cannot be written any more. */
  readonly breakFolder: () => Promise<void>;
}

async function withControl(
  base: readonly LimitRule[],
  test: (stage: Stage) => Promise<void>,
): Promise<void> {
  const parent = await Deno.makeTempDir();
  const dirPath = `${parent}/state`;
  const memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, rules: RULES_MAX }, 1));
  const events: JournalEvent[] = [];
  const journal = new Journal({ nowNs: () => 1, now: () => new Date(0) });
  journal.subscribe({ name: "test", take: ({ event }) => void events.push(event) });
  const now = (): Date => new Date(0);
  const state = await LimitState.open({ dirPath, base, pageBytes: 4096, now });
  let woken = 0;
  const control = new LimitControl({
    memory,
    state,
    settings: DEFAULT_SETTINGS,
    journal,
    subuidPath: undefined,
    groups: [],
    pageBytes: 4096,
    wake: () => void woken++,
  });
  const breakFolder = async (): Promise<void> => {
    await Deno.remove(dirPath, { recursive: true });
    await Deno.writeTextFile(dirPath, "no folder");
  };
  try {
    await test({ control, memory, events, woken: () => woken, breakFolder });
  } finally {
    control.close();
    await Deno.remove(parent, { recursive: true });
  }
}

/** What workers see. */
function published(memory: Memory): number {
  const view = new RulesView(memory.settings);
  view.refresh();
  return view.find(UID)?.hardPages ?? 0;
}

Deno.test("LimitControl publishes at once, wakes who must look, remembers and tells", async () => {
  await withControl([], async ({ control, memory, events, woken }) => {
    control.begin(0);
    assertEquals(published(memory), 0);
    const set = control.set(rule(UID, 500));
    assertEquals([published(memory), woken()], [500, 1], "before it is written down");
    assertEquals(await set, { persisted: true });
    assertEquals(await control.clear(UID, UID), { persisted: true, cleared: true });
    assertEquals(await control.clear(UID, UID), { persisted: true, cleared: false });
    assertEquals([published(memory), woken()], [0, 3]);
    assertEquals(events.map((one) => one.event === "limit" && [one.action, one.hardPages]), [
      ["set", 500],
      ["clear", 500],
    ]);
  });
});

Deno.test("LimitControl: a victim policy that is set while running is published, told, and stays at a reload", async () => {
  await withControl([{ ...rule(UID, 500), victim: "largest" }], async (stage) => {
    const { control, memory, events } = stage;
    control.begin(0);
    const view = new RulesView(memory.settings);
    const policy = (): string => {
      view.refresh();
      return unpackPolicy(view.victimPolicyOf(UID));
    };
    await control.set({ ...rule(UID, 600), victim: "newest", processesMax: 9 });
    assertEquals([policy(), view.find(UID)?.processesMax], ["newest", 9]);
    const told = events.find((one) => one.event === "limit");
    assertEquals(
      told?.event === "limit" && [told.victim, told.maxProcesses],
      ["newest", 9],
    );
    control.reload([{ ...rule(UID, 700), victim: "growing" }], DEFAULT_SETTINGS);
    assertEquals([policy(), published(memory)], ["newest", 600]);
    await control.reset(UID, UID);
    assertEquals([policy(), published(memory)], ["growing", 700]);
  });
});

Deno.test("LimitControl: a limit that cannot be kept is in force, and its problem told", async () => {
  await withControl([], async ({ control, memory, events, breakFolder }) => {
    await breakFolder();
    const kept = await control.set(rule(UID, 500));
    assertEquals([kept.persisted, published(memory)], [false, 500]);
    const error = events.find((one) => one.event === "error");
    assertEquals(error?.event === "error" && error.where, "state");
  });
});

Deno.test("LimitControl: a limit for which there is no room is neither in force nor told", async () => {
  const base = Array.from({ length: RULES_MAX }, (_, i) => rule(70_000 + i, 10));
  await withControl(base, async ({ control, memory, events, woken }) => {
    control.begin(0);
    await assertRejects(() => control.set(rule(UID, 500)), RulesFullError);
    assertEquals([published(memory), woken(), events], [0, 0, []]);
  });
});

Deno.test("LimitControl tells of the limits of a start, and of those that do not hold", async () => {
  await withControl([rule(UID, 500)], async ({ control, events }) => {
    await control.set(rule(UID, 700));
    events.length = 0;
    control.announce();
    assertEquals(events.map((one) => one.event === "config" ? one.message : one), [
      `--limit for uid ${UID} does not hold: toom limit has changed it since`,
      {
        event: "limit",
        action: "set",
        origin: "control",
        uidFirst: UID,
        uidLast: UID,
        hardPages: 700,
        softPages: 350,
        hardBytes: 700 * 4096,
        softBytes: 350 * 4096,
        brake: null,
        victim: null,
        count: null,
        maxProcesses: null,
        plan: null,
      },
    ]);
    events.length = 0;
    await control.announceAgain();
    assertEquals(events.map((one) => one.event), ["config"]);
  });
});

Deno.test("LimitControl.reload() puts other rules below what was set while running, all or none", async () => {
  await withControl([rule(UID, 100), rule(UID + 1, 100), rule(UID + 2, 100)], async (stage) => {
    const { control, memory, events } = stage;
    const view = new RulesView(memory.settings);
    await control.set(rule(UID, 50));
    await control.clear(UID + 1, UID + 1);
    events.length = 0;
    const place = { origin: "config", subject: "bob", place: "a:1" } as const;
    const base = [
      { ...rule(UID, 200), processesMax: 7, ...place },
      { ...rule(UID + 1, 200), ...place },
      { ...rule(UID + 3, 200), ...place },
    ];
    const settings = { ...DEFAULT_SETTINGS, victimPolicy: "newest" } as const;
    const { set, cleared } = control.reload(base, settings);
    assertEquals(view.refresh(), true);
    assertEquals(view.settings.victimPolicy, "newest");
    // The set one keeps its memory, and has the processes of the file; the cleared one stays so.
    assertEquals(view.list(), [rule(UID + 3, 200), { ...rule(UID, 50), processesMax: 7 }]);
    assertEquals([set, cleared], [2, 1]);
    assertEquals(
      events.map((event) =>
        event.event === "limit" && [event.action, event.uidFirst, event.origin]
      ),
      [["clear", UID + 2, "command-line"], ["set", UID + 3, "config"], ["set", UID, "control"]],
    );
    assertEquals(control.list().map(({ origin }) => origin), ["config", "control"]);
    assertEquals(
      control.overridden().map(({ uidFirst, running, configured }) =>
        [uidFirst, running?.hardPages, configured?.hardPages].join(" ")
      ),
      [`${UID} 50 200`, `${UID + 1}  200`],
    );
    const tooMany = Array.from({ length: RULES_MAX + 1 }, (_, index) => rule(70_000 + index, 9));
    assertThrows(() => control.reload(tooMany, DEFAULT_SETTINGS), RulesFullError);
    assertEquals(view.refresh(), false);
    assertEquals(control.list().length, 2);
  });
});

Deno.test("LimitControl tells who has more than a lowered limit, and when it loses processes", async () => {
  await withControl([rule(UID, 1000)], async ({ control, memory, events }) => {
    const messages = (): string[] =>
      events.splice(0).flatMap((event) => event.event === "config" ? [event.message] : []);
    const { users } = memory;
    users.uid[0] = UID;
    users.hardPages[0] = 1000;
    users.usagePages[0] = 512;
    users.creditPages[0] = 0;
    users.state[0] = UserState.ok;
    const settings = { ...DEFAULT_SETTINGS, lowerGraceMs: 60_000 };
    control.reload([rule(UID, 512)], settings);
    assertEquals(messages(), []);
    control.reload([rule(UID, 256)], settings);
    const has = `uid ${UID} has 2.0 MiB, more than its new limit of 1.0 MiB: it loses processes`;
    assertEquals(messages(), [`${has} in 60 s unless it gives memory back`]);
    await control.set({ ...rule(UID, 256), isAtOnce: true });
    assertEquals(messages(), [`${has} now`]);
    // A first limit: it had none.
    users.hardPages[0] = NO_LIMIT_PAGES;
    await control.set(rule(UID, 100));
    assertEquals(messages(), []);
  });
});
