import { accountUidOf, gidOfAccount } from "../../../pipeline/limits/shared_groups.ts";
import { assert, assertEquals } from "@std/assert";
import { OWNERS_MAX, OWNERS_REGION_WORDS } from "../../../pipeline/memory/layout.ts";
import { UID_MAX } from "../../../pipeline/limits/limits.ts";
import {
  type OwnerRange,
  OwnersPublisher,
  OwnersView,
  OwnerTable,
} from "../../../pipeline/limits/owners.ts";
import { withSeeds } from "../../_support/random.ts";

function range(uidFirst: number, uidLast: number, ownerUid: number): OwnerRange {
  return { uidFirst, uidLast, ownerUid };
}

function region(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(OWNERS_REGION_WORDS * 4));
}

/** The words of the specification, without any cleverness. */
function ownerNaively(
  given: readonly OwnerRange[],
  people: readonly number[],
  uid: number,
): number {
  const isNamed = people.includes(uid) || given.some(({ ownerUid }) => ownerUid === uid);
  if (isNamed) return uid;
  const sorted = [...given].sort((a, b) => a.uidFirst - b.uidFirst || a.uidLast - b.uidLast);
  return sorted.find(({ uidFirst, uidLast }) => uidFirst <= uid && uid <= uidLast)?.ownerUid ?? uid;
}

Deno.test("OwnerTable and a view of it say what a naive model says", () => {
  withSeeds(60, (random) => {
    // Around both ends of the uids too, where signed words change their sign.
    const bases = [1, 100_000, 0x7ffffff0, UID_MAX - 60];
    const uid = (): number => random.pick(bases) + random.below(60);
    const given = Array.from({ length: random.below(12) }, () => {
      const uidFirst = uid();
      return range(
        uidFirst,
        Math.min(UID_MAX, uidFirst + random.below(20)),
        1000 + random.below(4),
      );
    });
    const people = Array.from({ length: random.below(6) }, uid);
    const { table } = OwnerTable.make(given, people);
    const words = region();
    new OwnersPublisher(words).publish(table);
    const view = new OwnersView(words);
    for (const base of bases) {
      for (let probe = Math.max(0, base - 2); probe < base + 85 && probe <= UID_MAX; probe++) {
        const expected = ownerNaively(given, people, probe);
        assertEquals(table.ownerOf(probe), expected, `${probe}`);
        assertEquals(view.ownerOf(probe), expected, `${probe}`);
      }
    }
    for (const [index, { uidFirst, uidLast }] of table.ranges.entries()) {
      assert(uidFirst <= uidLast);
      if (index > 0) assert(table.ranges[index - 1]!.uidLast < uidFirst);
    }
  });
});

Deno.test("OwnerTable tells of uids with two owners, and spares who has a name", () => {
  const { table, problems } = OwnerTable.make(
    [range(300, 399, 7), range(100, 199, 5), range(150, 249, 6), range(200, 299, 5)],
    [110, 320],
  );
  assertEquals(table.ranges, [
    range(100, 109, 5),
    range(111, 199, 5),
    range(200, 249, 6),
    range(250, 299, 5),
    range(300, 319, 7),
    range(321, 399, 7),
  ]);
  assertEquals(problems.length, 2);
  assert(problems[0]!.startsWith("uids from 150 are given to uid 5 and to uid 6"), problems[0]);
  assertEquals(table.covering({ uidFirst: 112, uidLast: 199 })?.ownerUid, 5);
  assertEquals(table.covering({ uidFirst: 109, uidLast: 112 }), undefined);
  // Neighbours of one owner are one range.
  assertEquals(OwnerTable.make([range(1, 5, 9), range(6, 7, 9)], []).table.ranges.length, 1);
});

Deno.test("OwnerTable holds as many ranges as there is room for, and says what is left out", () => {
  const many = Array.from(
    { length: OWNERS_MAX + 3 },
    (_, i) => range(1e6 + 2 * i, 1e6 + 2 * i, i + 1),
  );
  const { table, problems } = OwnerTable.make(many, []);
  assertEquals([table.ranges.length, problems.length], [OWNERS_MAX, 1]);
  const words = region();
  new OwnersPublisher(words).publish(table);
  const view = new OwnersView(words);
  assertEquals(view.ownerOf(1e6 + 2 * (OWNERS_MAX - 1)), OWNERS_MAX);
  assertEquals(view.ownerOf(1e6 + 2 * OWNERS_MAX), 1e6 + 2 * OWNERS_MAX);
});

Deno.test("OwnersView never sees half of a change made by another thread", async () => {
  const words = region();
  const source = `
    import { OwnersPublisher, OwnerTable } from ${
    JSON.stringify(import.meta.resolve("../../../pipeline/limits/owners.ts"))
  };
    self.onmessage = ({ data }) => {
      const publisher = new OwnersPublisher(data.words);
      // Uid 5000 is owner's in all tables, in ever other rows.
      for (let turn = 1; Atomics.load(data.stop, 0) === 0; turn = turn % 97 + 1) {
        const before = Array.from({ length: turn }, (_, i) => ({
          uidFirst: 10 * i + 10, uidLast: 10 * i + 12, ownerUid: 77,
        }));
        const one = { uidFirst: 5000 - turn, uidLast: 5000 + turn, ownerUid: 42 };
        publisher.publish(OwnerTable.make([...before, one], []).table);
      }
      self.postMessage("done");
    };
  `;
  const url = URL.createObjectURL(new Blob([source], { type: "application/javascript" }));
  const worker = new Worker(url, { type: "module" });
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const done = new Promise((resolve) => worker.onmessage = resolve);
  const view = new OwnersView(words);
  assertEquals(view.ownerOf(5000), 5000);
  worker.postMessage({ words, stop });
  const startMs = Date.now();
  while (view.ownerOf(5000) === 5000 && Date.now() - startMs < 10_000);
  let seen = 0;
  for (const endMs = Date.now() + 150; Date.now() < endMs; seen++) {
    for (let i = 0; i < 100; i++) assertEquals(view.ownerOf(5000), 42);
  }
  assert(seen > 10);
  Atomics.store(stop, 0, 1);
  await done;
  worker.terminate();
  URL.revokeObjectURL(url);
});

Deno.test("OwnerTable.withGroups(): members count for their group, and so does what is subordinate to them", () => {
  const { table: subordinate } = OwnerTable.make(
    [range(100_000, 100_999, 1000), range(200_000, 200_999, 1001), range(300_000, 300_999, 1002)],
    [1000, 1001, 1002],
  );
  const groups = [
    { accountUid: accountUidOf(50), memberUids: [1001, 1000] },
    { accountUid: accountUidOf(51), memberUids: [1001, 200_500] },
  ];
  const { table, problems } = subordinate.withGroups(groups);
  assertEquals(problems, []);
  const expected: readonly (readonly [uid: number, owner: number])[] = [
    [1000, accountUidOf(50)],
    [1001, accountUidOf(50)], // The first group of the two.
    [1002, 1002],
    [100_000, accountUidOf(50)],
    [200_499, accountUidOf(50)],
    [200_500, accountUidOf(51)], // Somebody of its own, be it in the midst of others' range.
    [200_501, accountUidOf(50)],
    [300_007, 1002],
    [accountUidOf(50), accountUidOf(50)],
    [0, 0],
  ];
  for (const [uid, owner] of expected) assertEquals(table.ownerOf(uid), owner, `${uid}`);
  assertEquals(gidOfAccount(accountUidOf(50)), 50);
  assertEquals(gidOfAccount(60_000), undefined);
  assertEquals(subordinate.withGroups([]).table, subordinate);
});
