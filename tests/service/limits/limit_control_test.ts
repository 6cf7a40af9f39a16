import { assertEquals, assertRejects } from "@std/assert";
import { type LimitRule, RULES_MAX, RulesFullError } from "../../../pipeline/limits/limits.ts";
import { RulesView } from "../../../pipeline/limits/published_rules.ts";
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
      },
    ]);
    events.length = 0;
    await control.announceAgain();
    assertEquals(events.map((one) => one.event), ["config"]);
  });
});
