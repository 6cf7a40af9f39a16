import { assert, assertEquals, assertThrows } from "@std/assert";
import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import {
  LIMIT_PROCESSES_MAX,
  type LimitRule,
  RULES_MAX,
  RulesFullError,
  UID_MAX,
} from "../../../pipeline/limits/limits.ts";
import { LimitState, STATE_FILE_NAME } from "../../../service/limits/state_file.ts";

const PAGE_BYTES = 4096;
const NOW = new Date("2026-08-22T10:00:00.000Z");

function rule(uid: number, hardPages: number, uidLast = uid): LimitRule {
  return { uidFirst: uid, uidLast, hardPages, softPages: Math.max(1, Math.floor(hardPages / 2)) };
}

function open(dirPath: string, base: readonly LimitRule[] = []): Promise<LimitState> {
  return LimitState.open({ dirPath, base, pageBytes: PAGE_BYTES, now: () => NOW });
}

async function withDir(test: (dirPath: string) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    await test(`${parent}/state/toom`);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

function names(dirPath: string): string[] {
  return [...Deno.readDirSync(dirPath)].map(({ name }) => name).sort();
}

Deno.test("LimitState makes its folder for root only and starts with the command line", async () => {
  await withDir(async (dir) => {
    const state = await open(dir, [rule(1, 10)]);
    assertEquals(state.problem, undefined);
    assertEquals((await Deno.stat(dir)).mode! & 0o777, 0o700);
    assertEquals(state.list(), [{ ...rule(1, 10), origin: "command-line" }]);
    assertEquals(names(dir), []);
  });
});

Deno.test("LimitState goes on with what was set though it could not be written", async () => {
  await withDir(async (dir) => {
    const base = [rule(1, 10), rule(2, 20)];
    const first = await open(dir, base);
    const inTheWay = `${dir}/${STATE_FILE_NAME}.new-${Deno.pid}`;
    await Deno.mkdir(`${inTheWay}/x`, { recursive: true });
    assertEquals((await first.set(rule(1, 11))).persisted, false);
    assertEquals((await first.clear(2, 2)).persisted, false);
    const overrides = JSON.parse(JSON.stringify(first.listOverrides()));
    const options = { dirPath: dir, base, pageBytes: PAGE_BYTES, now: () => NOW };
    const second = await LimitState.open({ ...options, overrides });
    assertEquals(second.list(), first.list());
    await Deno.remove(inTheWay, { recursive: true });
    assertEquals(await second.keep(), { persisted: true });
    assertEquals((await open(dir, base)).list(), first.list());
  });
});

Deno.test("LimitState.checkRoom() refuses what set() would refuse, and changes nothing", async () => {
  await withDir(async (dir) => {
    const state = await open(dir, Array.from({ length: RULES_MAX }, (_, i) => rule(i + 1, 10)));
    state.checkRoom(rule(1, 20));
    assertThrows(() => state.checkRoom(rule(9999, 20)), RulesFullError);
    assertEquals(state.list().length, RULES_MAX);
  });
});

Deno.test("LimitState keeps the brake of a limit across restarts", async () => {
  await withDir(async (dir) => {
    const state = await open(dir, []);
    await state.set({ ...rule(1, 11), brake: "growers" });
    await state.set(rule(2, 12));
    const rules = (await open(dir, [])).rules;
    assertEquals([rules.find(1)?.brake, rules.find(2)?.brake], ["growers", undefined]);
  });
});

Deno.test("LimitState keeps what was set and cleared across restarts", async () => {
  await withDir(async (dir) => {
    const base = [rule(1, 10), rule(2, 20), rule(1000, 30, 1999)];
    const first = await open(dir, base);
    assertEquals(await first.set(rule(1, 11)), { persisted: true });
    assertEquals(await first.set(rule(5, 50)), { persisted: true });
    assertEquals(await first.set(rule(6, 60)), { persisted: true });
    assertEquals(await first.clear(2, 2), { cleared: true, persisted: true });
    assertEquals(await first.clear(6, 6), { cleared: true, persisted: true });
    assertEquals((await first.clear(1000, 1998)).cleared, false);
    assertEquals((await Deno.stat(`${dir}/${STATE_FILE_NAME}`)).mode! & 0o777, 0o600);

    const second = await open(dir, base);
    assertEquals(second.list(), first.list());
    assertEquals(second.list(), [
      { ...rule(5, 50), origin: "control" },
      { ...rule(1, 11), origin: "control" },
      { ...rule(1000, 30, 1999), origin: "command-line" },
    ]);
    assertEquals(second.shadowed(), [rule(1, 10), rule(2, 20)]);
    assertEquals(names(dir), [STATE_FILE_NAME]);

    // What is set again after a clear is there again.
    await second.set(rule(2, 22));
    assertEquals((await open(dir, base)).rules.find(2)?.hardPages, 22);
  });
});

Deno.test("LimitState keeps that somebody has no limit", async () => {
  await withDir(async (dir) => {
    const none = { hardPages: NO_LIMIT_PAGES, softPages: NO_LIMIT_PAGES };
    const base = [rule(1000, 30, 1999), { uidFirst: 1001, uidLast: 1001, ...none }];
    const first = await open(dir, base);
    await first.set({ uidFirst: 1002, uidLast: 1002, ...none });
    const second = await open(dir, base);
    assertEquals(second.problem, undefined);
    assertEquals(second.list(), first.list());
    assertEquals(second.rules.find(1001)?.hardPages, NO_LIMIT_PAGES);
    assertEquals(second.rules.find(1002)?.softPages, NO_LIMIT_PAGES);
    assertEquals(second.rules.find(1003)?.hardPages, 30);
  });
});

Deno.test("LimitState forgets a tombstone once its rule has left the command line", async () => {
  await withDir(async (dir) => {
    const base = [rule(1, 10)];
    await (await open(dir, base)).clear(1, 1);
    assertEquals((await open(dir, base)).list(), []);
    const without = await open(dir, []);
    await without.set(rule(9, 9));
    assertEquals((await open(dir, base)).rules.find(1)?.hardPages, 10);
  });
});

Deno.test("LimitState.clear() of a limit set over the command line's leaves none at all", async () => {
  await withDir(async (dir) => {
    const base = [rule(1, 10)];
    const state = await open(dir, base);
    await state.set(rule(1, 5));
    assertEquals((await state.clear(1, 1)).cleared, true);
    assertEquals(state.rules.find(1), undefined);
    assertEquals((await open(dir, base)).rules.find(1), undefined);
  });
});

Deno.test("LimitState puts a file aside that it cannot understand, and goes on", async () => {
  const override = { uidFirst: 1, uidLast: 1, hardBytes: 8192, softBytes: 4096 };
  const contents: readonly (string | Uint8Array<ArrayBuffer>)[] = [
    "",
    "{",
    "null",
    "[]",
    "\0\0\0\0",
    new Uint8Array([0xff, 0xfe, 0x80]),
    '{"version":2,"overrides":[]}',
    '{"version":1}',
    '{"version":1,"overrides":[],"more":1}',
    JSON.stringify({ version: 1, overrides: [{ ...override, uidFirst: -1 }] }),
    JSON.stringify({ version: 1, overrides: [{ ...override, uidFirst: 2 }] }),
    JSON.stringify({ version: 1, overrides: [{ ...override, softBytes: 9000 }] }),
    JSON.stringify({ version: 1, overrides: [{ ...override, hardBytes: 1.5 }] }),
    JSON.stringify({ version: 1, overrides: [{ uidFirst: 1, uidLast: 1, cleared: false }] }),
    JSON.stringify({ version: 1, overrides: Array(5000).fill(override) }),
    `{"version":1,"overrides":[]}${" ".repeat(2 ** 20)}`,
  ];
  for (const content of contents) {
    await withDir(async (dir) => {
      await Deno.mkdir(dir, { recursive: true });
      const path = `${dir}/${STATE_FILE_NAME}`;
      await Deno.writeFile(
        path,
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
      const state = await open(dir, [rule(1, 10)]);
      const aside = `${STATE_FILE_NAME}.corrupt-${NOW.toISOString()}`;
      assertEquals(names(dir), [aside]);
      assert(state.problem?.includes(aside) && !state.problem.includes("\n"), state.problem);
      assertEquals(state.rules.find(1)?.hardPages, 10);
      assertEquals((await state.set(rule(2, 20))).persisted, true);
      assertEquals((await open(dir)).rules.find(2)?.hardPages, 20);
    });
  }
});

Deno.test("LimitState survives more limits than there is room for", async () => {
  await withDir(async (dir) => {
    const state = await open(dir);
    for (let uid = 1; uid <= 3; uid++) await state.set(rule(uid, 10));
    const base = Array.from({ length: RULES_MAX }, (_, index) => rule(1000 + index, 10));
    const full = await open(dir, base);
    assertEquals(full.rules.count, RULES_MAX);
    assertEquals(full.problem?.startsWith("3 limits"), true);
    assertEquals((await open(dir)).rules.count, 3);
  });
});

Deno.test("LimitState keeps a change in force that it cannot write down, and says so", async () => {
  await withDir(async (dir) => {
    const state = await open(dir, [rule(1, 10)]);
    await Deno.remove(dir);
    const kept = await state.set(rule(2, 20));
    assertEquals(kept.persisted, false);
    assert(kept.problem?.startsWith(`Cannot write ${dir}/`), kept.problem);
    assertEquals(state.rules.find(2)?.hardPages, 20);
    const cleared = await state.clear(1, 1);
    assertEquals([cleared.cleared, cleared.persisted], [true, false]);
    // Nothing was lost for good: the next write that works has it all.
    await Deno.mkdir(dir);
    assertEquals((await state.set(rule(3, 30))).persisted, true);
    const next = await open(dir, [rule(1, 10)]);
    assertEquals(next.list().map(({ uidFirst }) => uidFirst), [3, 2]);
  });
});

Deno.test("LimitState writes changes made at once one after the other", async () => {
  await withDir(async (dir) => {
    const state = await open(dir);
    await Promise.all(Array.from({ length: 40 }, (_, n) => state.set(rule(n + 1, 10 + n))));
    assertEquals((await open(dir)).rules.count, 40);
    assertEquals(names(dir), [STATE_FILE_NAME]);
  });
});

Deno.test("LimitState.rebase() forgets tombstones of rules that are gone, and so does the file", async () => {
  await withDir(async (dir) => {
    const state = await open(dir, [rule(1, 10), rule(2, 20)]);
    await state.clear(1, 1);
    await state.set(rule(2, 25));
    assertEquals(state.rebase([rule(1, 11), rule(2, 21)]), false);
    assertEquals(state.list().map(({ uidFirst, hardPages }) => [uidFirst, hardPages]), [[2, 25]]);
    assertEquals(state.rebase([rule(3, 30)]), true);
    await state.keep();
    for (const one of [state, await open(dir, [rule(3, 30)])]) {
      assertEquals(one.list().map(({ uidFirst }) => uidFirst), [3, 2]);
    }
    // The rule is back: nobody has cleared this one.
    assertEquals((await open(dir, [rule(1, 10)])).list().map(({ uidFirst }) => uidFirst), [2, 1]);
  });
});

Deno.test("LimitState.reset() goes back to the base, now and after a restart", async () => {
  await withDir(async (dir) => {
    const base = [rule(1, 10), rule(2, 20)];
    const state = await open(dir, base);
    await state.set(rule(1, 11));
    await state.clear(2, 2);
    await state.set(rule(3, 33));
    for (const uid of [1, 2, 3]) {
      assertEquals(await state.reset(uid, uid), { cleared: true, persisted: true });
      assertEquals(await state.reset(uid, uid), { cleared: false, persisted: true });
    }
    for (const one of [state, await open(dir, base)]) {
      assertEquals(one.list().map(({ uidFirst, hardPages }) => [uidFirst, hardPages]), [
        [2, 20],
        [1, 10],
      ]);
      assertEquals(one.overridden(), []);
    }
  });
});

Deno.test("LimitState keeps the plan of a limit across restarts, and that of the base where none is said", async () => {
  await withDir(async (dir) => {
    const plan = { signal: 15, graceMs: 2000 };
    const base = [{ ...rule(3, 10), plan: { unit: "session" as const }, storm: { kills: 5 } }];
    const state = await open(dir, base);
    await state.set({ ...rule(1, 11), plan, storm: { then: "parent" } });
    await state.set(rule(3, 20));
    await state.set(rule(2, 12));
    const rules = (await open(dir, base)).rules;
    assertEquals([rules.find(1)?.plan, rules.find(1)?.storm], [plan, { then: "parent" }]);
    assertEquals(rules.find(2)?.plan, undefined);
    assertEquals(
      [rules.find(3)?.hardPages, rules.find(3)?.plan, rules.find(3)?.storm],
      [20, { unit: "session" }, { kills: 5 }],
    );
  });
});

Deno.test("LimitState keeps victim policy and processes of a limit across restarts, and those of the base where none are said", async () => {
  await withDir(async (dir) => {
    const base = [{ ...rule(3, 10), victim: "growing" as const, processesMax: 7 }];
    const state = await open(dir, base);
    await state.set({ ...rule(1, 11), victim: "largest=2,culprit=1", processesMax: 5 });
    await state.set(rule(2, 12));
    await state.set(rule(3, 20));
    const again = await open(dir, base);
    const of = (uid: number): unknown => {
      const found = again.rules.find(uid);
      return [found?.hardPages, found?.victim, found?.processesMax];
    };
    assertEquals(
      [of(1), of(2), of(3)],
      [[11, "largest=2,culprit=1", 5], [12, undefined, undefined], [20, "growing", 7]],
    );
    await again.set({ ...rule(3, 21), victim: "newest", processesMax: 8 });
    const { rules } = await open(dir, base);
    assertEquals([rules.find(3)?.victim, rules.find(3)?.processesMax], ["newest", 8]);
  });
});

Deno.test("LimitState keeps brake and counted members of a limit, and those of the base where none are said", async () => {
  await withDir(async (dir) => {
    const base = [{ ...rule(3, 10), brake: "all" as const, countMask: 3 }];
    const state = await open(dir, base);
    await state.set({ ...rule(1, 11), countMask: 9 });
    await state.set(rule(2, 12));
    await state.set(rule(3, 20));
    for (const { rules } of [state, await open(dir, base)]) {
      const of = (uid: number): unknown => [rules.find(uid)?.brake, rules.find(uid)?.countMask];
      const wanted = [[undefined, 9], [undefined, undefined], ["all", 3]];
      assertEquals([of(1), of(2), of(3)], wanted);
    }
    await state.set({ ...rule(3, 21), brake: "off", countMask: 15 });
    const { rules } = await open(dir, base);
    assertEquals([rules.find(3)?.brake, rules.find(3)?.countMask], ["off", 15]);
  });
});

Deno.test("LimitState puts a file aside in which counted members are none", async () => {
  for (const count of ["anom", "", "anon+sum", 7]) {
    await withDir(async (dir) => {
      await Deno.mkdir(dir, { recursive: true });
      const override = { uidFirst: 1, uidLast: 1, hardBytes: 8192, softBytes: 4096, count };
      const content = JSON.stringify({ version: 1, overrides: [override] });
      await Deno.writeTextFile(`${dir}/${STATE_FILE_NAME}`, content);
      const state = await open(dir, []);
      assert(state.problem?.includes("Cannot understand"), `${count}: ${state.problem}`);
      assertEquals(state.list(), []);
    });
  }
});

Deno.test("LimitState puts a file aside in which a victim policy is none", async () => {
  for (const victim of ["largst", "largest=0", "", 7]) {
    await withDir(async (dir) => {
      await Deno.mkdir(dir, { recursive: true });
      const override = { uidFirst: 1, uidLast: 1, hardBytes: 8192, softBytes: 4096, victim };
      const content = JSON.stringify({ version: 1, overrides: [override] });
      await Deno.writeTextFile(`${dir}/${STATE_FILE_NAME}`, content);
      const state = await open(dir, []);
      assert(state.problem?.includes("Cannot understand"), `${victim}: ${state.problem}`);
      assertEquals(state.list(), []);
    });
  }
});

Deno.test("LimitState reads back the largest state that it can write", async () => {
  await withDir(async (dir) => {
    const uids = Array.from({ length: RULES_MAX }, (_, i) => UID_MAX - 2 * i);
    const more = {
      brake: "growers",
      victim: "largest=100,newest=100,growing=100,culprit=100",
      processesMax: LIMIT_PROCESSES_MAX,
      countMask: 15,
      plan: { signal: 64, graceMs: 3_600_000, ceilingPermille: 10_000, unit: "process" },
      storm: { kills: 100, seconds: 3600, then: "session" },
    } as const;
    const base = uids.map((uid) => rule(uid - 1, 10));
    const cleared = base.map((one) => ({
      uidFirst: one.uidFirst,
      uidLast: one.uidLast,
      cleared: true as const,
    }));
    const set = uids.map((uid) => ({
      uidFirst: uid,
      uidLast: uid,
      hardBytes: 2 ** 43 - PAGE_BYTES,
      softBytes: 2 ** 43 - PAGE_BYTES,
      brake: more.brake,
      victim: more.victim,
      count: "file+anon+swap+shmem",
      maxProcesses: more.processesMax,
      plan: more.plan,
      storm: more.storm,
    }));
    const options = { dirPath: dir, base, pageBytes: PAGE_BYTES, now: () => NOW };
    await Deno.mkdir(dir, { recursive: true });
    const full = await LimitState.open({ ...options, overrides: [...set, ...cleared] });
    assertEquals(await full.keep(), { persisted: true });
    const again = await open(dir, base);
    assertEquals(again.problem, undefined);
    assertEquals(again.list(), full.list());
    assertEquals(again.list()[0]?.plan, more.plan);
  });
});
