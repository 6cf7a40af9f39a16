import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { DEFAULT_PLAN } from "../../../pipeline/memory/kill_plan.ts";
import { RULE_WORDS, SettingsWord } from "../../../pipeline/memory/layout.ts";
import {
  formatUidRange,
  HARD_PAGES_MAX,
  isNoLimit,
  type LimitRule,
  limitRule,
  LimitRules,
  parseSoft,
  parseUidRange,
  RULES_MAX,
  RulesFullError,
  SOFT_DEFAULT,
  UID_MAX,
} from "../../../pipeline/limits/limits.ts";
import {
  RULES_REGION_WORDS,
  RulesPublisher,
  RulesView,
} from "../../../pipeline/limits/published_rules.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";

/** A small generator with a seed (mulberry32): whole numbers below `bound`. */
function randomBelow(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

function rule(uidFirst: number, uidLast: number, hardPages = 100): LimitRule {
  return { uidFirst, uidLast, hardPages, softPages: Math.max(1, Math.floor(hardPages * 0.9)) };
}

function region(rows = RULES_MAX): Int32Array {
  return new Int32Array(new SharedArrayBuffer((SettingsWord.rules + rows * RULE_WORDS) * 4));
}

/** The words of the specification, without any cleverness. */
function findNaively(rules: readonly LimitRule[], uid: number): LimitRule | undefined {
  const covering = rules.filter(({ uidFirst, uidLast }) => uid >= uidFirst && uid <= uidLast);
  const width = ({ uidFirst, uidLast }: LimitRule): number => uidLast - uidFirst;
  const narrowest = Math.min(...covering.map(width));
  return covering.filter((one) => width(one) === narrowest)
    .reduce<LimitRule | undefined>(
      (best, one) => best === undefined || one.uidFirst > best.uidFirst ? one : best,
      undefined,
    );
}

Deno.test("LimitRules finds what a naive model finds, and so does a view of them", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const below = randomBelow(seed);
    // Around both ends of the uids too, where signed words change their sign.
    const bases = [0, 1000, 0x7ffffff0, UID_MAX - 40];
    const uid = (): number => bases[below(bases.length)]! + below(40);
    const rules = new LimitRules();
    const model = new Map<string, LimitRule>();
    const words = region();
    const publisher = new RulesPublisher(words);
    const view = new RulesView(words);
    for (let step = 0; step < 120; step++) {
      const [a, b] = [uid(), uid()];
      const uidFirst = Math.min(a, b);
      const uidLast = below(2) === 0 ? uidFirst : Math.max(a, b);
      const key = `${uidFirst}-${uidLast}`;
      if (below(4) === 0) {
        assertEquals(rules.clear(uidFirst, uidLast), model.delete(key));
      } else {
        const made = rule(uidFirst, uidLast, 1 + below(1000));
        rules.set(made);
        model.set(key, made);
      }
      const probe = uid();
      const expected = findNaively([...model.values()], probe);
      assertEquals(rules.find(probe), expected, `seed ${seed} step ${step} uid ${probe}`);
      publisher.publish(rules);
      assert(view.refresh());
      assertEquals(view.find(probe), expected);
      assertEquals(view.find(probe | 0), expected);
      assertEquals(view.hardPagesOf(probe), expected?.hardPages ?? 0);
      assertEquals(view.softPagesOf(probe), expected?.softPages ?? 0);
    }
    assertEquals(rules.count, model.size);
    assertEquals(view.list(), rules.list().map((one) => ({ ...one })));
  }
});

Deno.test("LimitRules.find() does not depend on the order of set()", () => {
  const all = [rule(1000, 1999), rule(1500, 2499), rule(0, UID_MAX), rule(1600, 1600, 7)];
  const forward = new LimitRules();
  const backward = new LimitRules();
  for (const one of all) forward.set(one);
  for (const one of all.toReversed()) backward.set(one);
  assertEquals(forward.list(), backward.list());
  assertEquals(forward.find(1550)?.uidFirst, 1500);
  assertEquals(forward.find(1600)?.hardPages, 7);
  assertEquals(forward.find(5)?.uidFirst, 0);
});

Deno.test("LimitRules.set() is bounded, and a full table can still replace and clear", () => {
  const rules = new LimitRules();
  for (let uid = 1; uid <= RULES_MAX; uid++) rules.set(rule(uid, uid));
  assertThrows(() => rules.set(rule(9999, 9999)), RulesFullError, "1024 rules");
  assertEquals(rules.count, RULES_MAX);
  rules.set(rule(1, 1, 5));
  assertEquals(rules.find(1)?.hardPages, 5);
  assert(rules.clear(2, 2));
  rules.set(rule(9999, 9999));
});

Deno.test("LimitRules.set() refuses impossible rules", () => {
  const rules = new LimitRules();
  const wrong: readonly LimitRule[] = [
    { uidFirst: 2, uidLast: 1, hardPages: 1, softPages: 1 },
    { uidFirst: -1, uidLast: 1, hardPages: 1, softPages: 1 },
    { uidFirst: 1, uidLast: UID_MAX + 1, hardPages: 1, softPages: 1 },
    { uidFirst: 1, uidLast: 1, hardPages: 0, softPages: 0 },
    { uidFirst: 1, uidLast: 1, hardPages: 1, softPages: 2 },
    { uidFirst: 1, uidLast: 1, hardPages: 1.5, softPages: 1 },
    { uidFirst: 1, uidLast: 1, hardPages: HARD_PAGES_MAX + 1, softPages: 1 },
    { uidFirst: NaN, uidLast: 1, hardPages: 1, softPages: 1 },
  ];
  for (const one of wrong) assertThrows(() => rules.set(one), InvariantError);
  assertEquals(rules.count, 0);
});

Deno.test("limitRule() takes soft as 90 % of hard, rounds down, and keeps 1 <= soft <= hard", () => {
  const uids = { uidFirst: 10071, uidLast: 10071 };
  assertEquals(limitRule(uids, 16777216, SOFT_DEFAULT, 4096), {
    ...uids,
    hardPages: 4096,
    softPages: 3686,
  });
  assertEquals(limitRule(uids, 4096, SOFT_DEFAULT, 4096).softPages, 1);
  assertEquals(limitRule(uids, 8191, { kind: "bytes", bytes: 8191 }, 4096).softPages, 1);
  assertThrows(() => limitRule(uids, 4095, SOFT_DEFAULT, 4096), FormatError, "one page");
  assertThrows(
    () => limitRule(uids, 2 ** 44, SOFT_DEFAULT, 4096),
    FormatError,
    "at most 8.0 TiB",
  );
  assertThrows(
    () => limitRule(uids, 8192, { kind: "bytes", bytes: 8193 }, 4096),
    FormatError,
    "at most the hard one",
  );
});

Deno.test("parseSoft() reads a percentage of hard, or a size", () => {
  assertEquals(parseSoft("80%"), { kind: "percent", percent: 80 });
  assertEquals(parseSoft("99.5 %"), { kind: "percent", percent: 99.5 });
  assertEquals(parseSoft("60MiB"), { kind: "bytes", bytes: 60 * 2 ** 20 });
  for (
    const text of ["", "0", "0%", "101%", "-5%", "x", "80%%", "1000%", "90", "1", "99.5", "4096"]
  ) {
    assertThrows(() => parseSoft(text), FormatError, "expected");
  }
});

Deno.test("parseUidRange() reads what formatUidRange() writes", () => {
  for (const text of ["0", "1000", "1000-59999", `${UID_MAX}`, `1-${UID_MAX}`]) {
    assertEquals(formatUidRange(parseUidRange(text)!), text);
  }
  for (const text of ["", "bob", "-5", "1-", "1-2-3", "0x10", "1 - 2", "1.5"]) {
    assertEquals(parseUidRange(text), undefined, text);
  }
  for (const text of ["4294967295", "1-4294967295", "5-4", "0-10", "99999999999999999999"]) {
    assertThrows(() => parseUidRange(text), FormatError, "expected");
  }
});

Deno.test("a rule of no limit wins by precedence, and its users count as having none", () => {
  const words = region();
  const rules = new LimitRules();
  const none = limitRule({ uidFirst: 1500, uidLast: 1500 }, Infinity, SOFT_DEFAULT, 4096);
  rules.set(rule(1000, 1999));
  rules.set(none);
  rules.set(limitRule({ uidFirst: 1600, uidLast: 1699 }, Infinity, SOFT_DEFAULT, 4096));
  rules.set(rule(1650, 1650, 5));
  assertEquals(rules.find(1500), none);
  assertEquals(isNoLimit(none), true);
  new RulesPublisher(words).publish(rules);
  const view = new RulesView(words);
  view.refresh();
  for (const uid of [1500, 1600, 1699]) {
    assertEquals([view.find(uid), view.hardPagesOf(uid), view.softPagesOf(uid)], [undefined, 0, 0]);
  }
  assertEquals([view.hardPagesOf(1501), view.hardPagesOf(1650)], [100, 5]);
  assertEquals(view.list(), rules.list());
  // The most that is a limit is not the same.
  const most = limitRule({ uidFirst: 1, uidLast: 1 }, HARD_PAGES_MAX * 4096, SOFT_DEFAULT, 4096);
  assertEquals([most.hardPages, isNoLimit(most)], [HARD_PAGES_MAX, false]);
});

Deno.test("RulesView.refresh() is false when nothing is new, and keeps the old while writing", () => {
  const words = region();
  const publisher = new RulesPublisher(words);
  const view = new RulesView(words);
  assertEquals(view.refresh(), false);
  const rules = new LimitRules();
  rules.set(rule(1000, 1000, 10));
  publisher.publish(rules);
  assertEquals(view.refresh(), true);
  assertEquals(view.refresh(), false);
  // A supervisor in the middle of writing, or dead there.
  Atomics.add(words, SettingsWord.sequence, 1);
  Atomics.store(words, SettingsWord.rules + 2, 99);
  assertEquals(view.refresh(), false);
  assertEquals(view.hardPagesOf(1000), 10);
  rules.set(rule(1000, 1000, 20));
  new RulesPublisher(words).publish(rules);
  assertEquals(Atomics.load(words, SettingsWord.sequence) & 1, 0);
  assertEquals(view.refresh(), true);
  assertEquals(view.hardPagesOf(1000), 20);
});

Deno.test("RulesPublisher.publish() survives the wrap of the sequence and refuses overflow", () => {
  const words = region(2);
  Atomics.store(words, SettingsWord.sequence, 0x7ffffffe);
  const publisher = new RulesPublisher(words);
  const view = new RulesView(words);
  const rules = new LimitRules();
  rules.set(rule(1, 1));
  publisher.publish(rules);
  assert(view.refresh());
  assertEquals(view.hardPagesOf(1), 100);
  rules.set(rule(2, 2));
  rules.set(rule(3, 3));
  assertThrows(() => publisher.publish(rules), InvariantError, "do not fit");
  assertEquals(RULES_REGION_WORDS, region().length);
});

/** The name of a module, for source text. */
function moduleText(file: string): string {
  return JSON.stringify(import.meta.resolve(`../../../pipeline/limits/${file}`));
}

Deno.test("RulesView never sees half of a change made by another thread", async () => {
  const words = region(64);
  const source = `
    import { LimitRules } from ${moduleText("limits.ts")};
    import { RulesPublisher } from ${moduleText("published_rules.ts")};
    self.onmessage = ({ data }) => {
      const publisher = new RulesPublisher(data.words);
      for (let pages = 1; Atomics.load(data.stop, 0) === 0; pages = pages % 1000 + 1) {
        const rules = new LimitRules();
        for (let uid = 1; uid <= 1 + pages % 64; uid++) {
          rules.set({ uidFirst: uid, uidLast: uid, hardPages: pages, softPages: pages });
        }
        publisher.publish(rules);
      }
      self.postMessage("done");
    };
  `;
  const url = URL.createObjectURL(new Blob([source], { type: "application/javascript" }));
  const worker = new Worker(url, { type: "module" });
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const done = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage({ words, stop });
  const view = new RulesView(words);
  const endMs = Date.now() + 10_000;
  let refreshed = 0;
  while (refreshed < 300 && Date.now() < endMs) {
    if (!view.refresh()) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      continue;
    }
    refreshed++;
    const list = view.list();
    const pages = list[0]!.hardPages;
    assertEquals(list.length, 1 + pages % 64);
    for (const one of list) assertEquals([one.hardPages, one.softPages], [pages, pages]);
  }
  Atomics.store(stop, 0, 1);
  await done;
  worker.terminate();
  URL.revokeObjectURL(url);
  assert(refreshed > 10, `only ${refreshed} refreshes`);
});

Deno.test("a rule's ceiling of processes reaches the view, and is left out where it says nothing", () => {
  const rules = new LimitRules();
  rules.set({ ...rule(1000, 1000), processesMax: 7 });
  rules.set(rule(1001, 1001));
  const words = region();
  new RulesPublisher(words).publish(rules);
  const view = new RulesView(words);
  assert(view.refresh());
  assertEquals(view.find(1000), { ...rule(1000, 1000), processesMax: 7 });
  assertEquals(view.find(1001), rule(1001, 1001));
  for (const processesMax of [0, -1, 1.5, NaN]) {
    assertThrows(() => rules.set({ ...rule(1, 1), processesMax }), InvariantError);
  }
});

Deno.test("a rule's plan and storm reach the view, each part of them by itself", () => {
  const rules = new LimitRules();
  const plan = { signal: 15, graceMs: 0, ceilingPermille: 1000, unit: "scope" } as const;
  const storm = { kills: 0, seconds: 1, then: "session" } as const;
  rules.set({ ...rule(1000, 1000), plan, storm });
  rules.set({ ...rule(1001, 1001), plan: { unit: "process" }, storm: { then: "off" } });
  rules.set(rule(1002, 1002));
  const words = region();
  new RulesPublisher(words).publish(rules);
  const view = new RulesView(words);
  assert(view.refresh());
  assertEquals(view.find(1000), { ...rule(1000, 1000), plan, storm });
  assertEquals(view.find(1001), {
    ...rule(1001, 1001),
    plan: { unit: "process" },
    storm: { then: "off" },
  });
  assertEquals(view.find(1002), rule(1002, 1002));
  assertEquals(view.planOf(view.find(1001)), { ...DEFAULT_PLAN, unit: "process" });
  assertEquals(view.stormOf(view.find(1000)), storm);
  assertEquals(view.planOf(undefined), DEFAULT_PLAN);
  const wrong = [{ signal: 0 }, { signal: 65 }, { graceMs: -1 }, { ceilingPermille: 999 }];
  for (const plan of wrong) {
    assertThrows(() => rules.set({ ...rule(1, 1), plan }), InvariantError);
  }
  for (const storm of [{ kills: -1 }, { kills: 1001 }, { seconds: 0 }]) {
    assertThrows(() => rules.set({ ...rule(1, 1), storm }), InvariantError);
  }
});
