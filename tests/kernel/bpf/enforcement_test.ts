import { assert, assertEquals } from "@std/assert";
import type { KernelSlot } from "../../../kernel/bpf/kernel_books.ts";
import { BpfRecordKind, Mode, TELL_EVERY_NS } from "../../../kernel/bpf/programs/books_layout.ts";
import { Refused } from "../../../kernel/bpf/programs/enforce.ts";
import { type TestRecord, until, type Workload } from "./support.ts";
import {
  canSignalOthers,
  FEW_PAGES,
  HUGE_PAGES,
  mayProtect,
  MIB_PAGES,
  OTHER,
  OTHER_UID,
  RIDE_TOUCHES,
  Scene,
  UID,
  USER,
  why,
} from "./enforcement_scene.ts";

/** What each case does. What is left afterwards is checked for all. */
const CASES: readonly [name: string, run: (scene: Scene) => Promise<void>][] = [
  ["one process dies of the first page over, before it can use it", async (scene) => {
    const hog = await scene.hog(64);
    const limitPages = scene.limit(8 * MIB_PAGES, scene.slotOf(hog));
    const had = scene.pages;
    await hog.go();
    assertEquals((await hog.status).signal, "SIGKILL");
    const records = scene.records();
    assertEquals(records.length, 1, "one record");
    const { kind, other, uid, pages, totalPages } = records[0]!;
    assertEquals({ kind, other, uid, pages, totalPages }, {
      kind: BpfRecordKind.killed,
      other: hog.pid,
      uid: UID,
      pages: limitPages + 1,
      totalPages: limitPages + 1,
    });
    const touched = scene.touchedBy(hog);
    assert(touched <= limitPages - had, `${touched} pages, ${limitPages - had} allowed`);
    assert(touched > limitPages - had - FEW_PAGES, `${touched} pages of ${limitPages - had}`);
  }],

  ["with huge pages it dies within one of them", async (scene) => {
    const hog = await scene.hog(64, "hughog");
    const limitPages = scene.limit(8 * MIB_PAGES + 77, scene.slotOf(hog));
    await hog.go();
    assertEquals((await hog.status).signal, "SIGKILL");
    const [first, ...more] = scene.records();
    assertEquals([first?.kind, more.length], [BpfRecordKind.killed, 0]);
    const over = first!.totalPages - limitPages;
    assert(over >= 1 && over <= HUGE_PAGES, `${over} pages over`);
  }],

  ["with shared memory it dies of the first pages over", async (scene) => {
    const hog = await scene.hog(64, "sharehog");
    const limitPages = scene.limit(8 * MIB_PAGES, scene.slotOf(hog));
    await hog.go();
    assertEquals((await hog.status).signal, "SIGKILL");
    const [first, ...more] = scene.records();
    assertEquals([first?.kind, more.length], [BpfRecordKind.killed, 0]);
    const over = first!.totalPages - limitPages;
    assert(over >= 1 && over <= FEW_PAGES, `${over} pages over`);
  }],

  ...[2, 4].map((hogs): [string, (scene: Scene) => Promise<void>] => [
    `of ${hogs} that grow, another dies; while what is pending suffices nobody else does`,
    async (scene) => {
      const victim = await scene.quiet(96);
      const growers = await Promise.all(
        Array.from({ length: hogs }, () => scene.hog(64 / hogs)),
      );
      // With the victim all cannot have what they want; without it they can.
      const limitPages = scene.limit(16 * MIB_PAGES, scene.slotOf(victim));
      for (const grower of growers) await grower.go();
      for (const grower of growers) assert(await grower.says("done"), "it lives");
      const records = scene.records();
      if (!canSignalOthers) {
        assertEquals(scene.kills, 0);
        assert(records.length > 0, "told");
        for (const { result } of records) assertEquals(result, Refused.notCurrent);
        return;
      }
      assertEquals((await victim.status).signal, "SIGKILL");
      assertEquals(records.map(({ kind, other }) => ({ kind, other })), [{
        kind: BpfRecordKind.killed,
        other: victim.pid,
      }]);
      const { totalPages, pages } = records[0]!;
      assert(totalPages > limitPages, "it was over");
      assert(totalPages <= limitPages + hogs * FEW_PAGES, `${totalPages - limitPages} pages over`);
      assert(pages >= 96 * MIB_PAGES, `${pages} pages of the victim`);
      assertEquals(scene.kills, 1);
    },
  ]),

  ["all that grow die one after the other, when each is named", async (scene) => {
    const hogs = await Promise.all(Array.from({ length: 4 }, () => scene.hog(64)));
    const limitPages = scene.limit(8 * MIB_PAGES);
    for (const hog of hogs) await hog.go();
    const ended = new Set<Workload>();
    for (const hog of hogs) hog.status.then(() => ended.add(hog));
    const records: TestRecord[] = [];
    // This process names who has most, as often as it can.
    for (let round = 0; ended.size < hogs.length && round < 2000; round++) {
      const alive = scene.books.slotsOf(USER).filter(({ isDying }) => !isDying)
        .sort((a, b) => b.pages - a.pages);
      scene.candidate(alive[0]);
      records.push(...scene.records());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    // Where a program ends only whom it interrupts, those that were not named in their turn finish.
    if (!canSignalOthers) return;
    const kills = [...records, ...scene.records()].filter(({ kind }) =>
      kind === BpfRecordKind.killed
    );
    assertEquals(new Set(kills.map(({ other }) => other)).size, kills.length, "each once");
    for (const { totalPages } of kills) assert(totalPages > limitPages);
    for (const hog of hogs) {
      const { signal } = await hog.end();
      const wasKilled = kills.some(({ other }) => other === hog.pid);
      assertEquals(signal, wasKilled ? "SIGKILL" : null);
    }
    assert(kills.length >= 3, `${kills.length} kills of 4 with 64 MiB each and room for 8`);
  }],

  ["of many that end by themselves while they are killed nothing stays pending", async (scene) => {
    const mother = scene.start(UID, "brood", Math.min(3000, RIDE_TOUCHES / 100), 3);
    await mother.go();
    scene.limit(0);
    let isDone = false;
    const done = mother.says("done").then(() => isDone = true);
    while (!isDone) {
      for (let look = 0; look < 20; look++) {
        const children = scene.books.slotsOf(USER).filter(({ tgid, isDying }) =>
          tgid !== mother.pid && !isDying
        );
        scene.candidate(children.at(-1));
        scene.chargeForks();
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await done;
    if (canSignalOthers) assert(scene.kills > 0, "some were killed");
    assert(await until(() => scene.books.slotsOf(USER).length === 1), "the mother is left");
    assertEquals(scene.books.users.read(USER).pendingPages, 0);
  }],

  ["a process that is over already dies of its next page", async (scene) => {
    const hog = await scene.hog(64);
    scene.limit(-1, scene.slotOf(hog));
    await hog.go();
    assertEquals((await hog.status).signal, "SIGKILL");
    assertEquals(scene.kills, 1);
    assert(scene.touchedBy(hog) === 0, "not one page");
  }],

  ...refusals([
    ["is protected by oom_score_adj", Refused.protected, async (scene) => {
      const candidate = await scene.quiet(4);
      protect(candidate.pid);
      return scene.slotOf(candidate);
    }],
    ["has another uid by now", Refused.protected, async (scene) => {
      const candidate = scene.start(0, "become", 4, UID, OTHER_UID);
      await candidate.go();
      await candidate.says("full");
      const slot = scene.slotOf(candidate);
      await candidate.goOn();
      await candidate.says("done");
      return slot;
    }],
    ["has ended", Refused.noCandidate, async (scene) => {
      const candidate = await scene.quiet(4);
      const slot = scene.slotOf(candidate);
      await candidate.end();
      await until(() => scene.books.slotsOf(USER).every(({ index }) => index !== slot.index));
      return slot;
    }],
    ["has executed another program", Refused.noCandidate, async (scene) => {
      const candidate = scene.start(UID, "execute", 4);
      await candidate.go();
      await candidate.says("full");
      const slot = scene.slotOf(candidate);
      candidate.forget();
      await candidate.goOn();
      await candidate.go();
      await candidate.says("done");
      return slot;
    }],
    ["has a slot that is another process's", Refused.noCandidate, async (scene) => {
      const candidate = await scene.quiet(4);
      const { tgid } = scene.slotOf(candidate);
      return { ...scene.slotOf(await scene.quiet(4)), tgid };
    }],
    [
      "has a slot that is another user's",
      Refused.noCandidate,
      async (scene) => scene.slotOf(await scene.quiet(4, OTHER_UID), OTHER),
    ],
    ["is a process whose leader has ended", Refused.protected, async (scene) => {
      const candidate = scene.start(UID, "leader", 4);
      await candidate.go();
      await candidate.says("done");
      return scene.slotOf(candidate);
    }],
    ["has not been named", Refused.noCandidate, () => Promise.resolve(undefined)],
  ]),

  ["who is over and protected lives, and is told of", async (scene) => {
    const hog = await scene.hog(16);
    protect(hog.pid);
    scene.limit(MIB_PAGES, scene.slotOf(hog));
    await hog.go();
    assert(await hog.says("done"), "it lives");
    checkTold(scene, Refused.protected);
  }],

  ["in mode wake nobody dies, and it is told of", async (scene) => {
    const hog = await scene.hog(16);
    scene.limit(MIB_PAGES, scene.slotOf(hog), Mode.wake);
    await hog.go();
    assert(await hog.says("done"), "it lives");
    checkTold(scene, Refused.noCandidate);
  }],

  ["in mode book nobody dies, and nothing is told", async (scene) => {
    const hog = await scene.hog(16);
    scene.limit(MIB_PAGES, scene.slotOf(hog), Mode.book);
    await hog.go();
    assert(await hog.says("done"), "it lives");
    assertEquals([scene.kills, scene.records().length], [0, 0]);
  }],

  [
    `nobody dies at the limit (${RIDE_TOUCHES} touches), and one page lower somebody does`,
    async (scene) => {
      const threads = Math.max(2, navigator.hardwareConcurrency);
      const pagesEach = 37;
      const rounds = Math.ceil(RIDE_TOUCHES / threads / pagesEach);
      const rider = scene.start(UID, "ride", threads, pagesEach, rounds);
      await rider.go();
      await rider.says("full");
      scene.limit(0, scene.slotOf(rider));
      await rider.goOn();
      assert(await rider.says("done"), "it lives");
      const { kills, refusals, unconfirmed } = scene.books.users.read(USER);
      assertEquals(
        [kills, refusals, scene.records().length],
        [0, 0, 0],
        `${unconfirmed} unconfirmed`,
      );
      // Control: the same, one page less.
      const control = scene.start(UID, "ride", threads, pagesEach, rounds);
      await rider.end();
      await control.go();
      await control.says("full");
      scene.limit(-1, scene.slotOf(control));
      await control.goOn();
      assertEquals((await control.status).signal, "SIGKILL");
    },
  ],
];

function protect(pid: number): void {
  Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, "-1000");
}

/** A candidate that must not be killed; who grows lives too. */
function refusals(
  candidates: readonly [
    name: string,
    result: number,
    make: (scene: Scene) => Promise<KernelSlot | undefined>,
  ][],
): [string, (scene: Scene) => Promise<void>][] {
  return candidates.map(([name, result, make]) => [
    `when the candidate ${name} nobody dies, and it is told of`,
    async (scene) => {
      const hog = await scene.hog(16);
      scene.limit(MIB_PAGES, await make(scene));
      await hog.go();
      assert(await hog.says("done"), "it lives");
      const isOther = result === Refused.protected && !canSignalOthers;
      checkTold(scene, isOther ? Refused.notCurrent : result);
    },
  ]);
}

/** Nobody was killed, and this process was told so, at most once a millisecond. */
function checkTold(scene: Scene, result: number): void {
  assertEquals(scene.kills, 0);
  const records = scene.records();
  assert(records.length > 0, "it was told");
  for (const { kind, uid, result: told, totalPages } of records) {
    assertEquals({ kind, uid, told }, { kind: BpfRecordKind.over, uid: UID, told: result });
    assert(totalPages > scene.limitPages, "it was over");
  }
  // A record's time is read after the one that decides whether it is told.
  const elapsedNs = records.at(-1)!.tsNs - records[0]!.tsNs;
  const most = elapsedNs / TELL_EVERY_NS + 2;
  assert(records.length <= most, `told ${records.length} times in ${elapsedNs} ns`);
}

Deno.test({
  name: `A program ends who is over${why === undefined ? "" : ` (skipped: ${why})`}`,
  ignore: why !== undefined,
  async fn(t): Promise<void> {
    await using scene = new Scene();
    for (const [name, run] of CASES) {
      const skipped = name.includes("protected") && !mayProtect;
      await t.step({
        name: `${name}${skipped ? " (skipped: needs CAP_SYS_RESOURCE)" : ""}`,
        ignore: skipped,
        async fn(): Promise<void> {
          try {
            await run(scene);
          } finally {
            await scene.finish();
          }
        },
      });
    }
  },
});
