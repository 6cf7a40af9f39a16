/** What accounting does after a loss, a restart, and with full tables. */
import { SWEEP_END } from "../../pipeline/messages/records.ts";
import { assert, assertEquals } from "@std/assert";
import { CounterIndex, HeaderWord, RecordKind, Role } from "../../pipeline/memory/layout.ts";
import { attachCounters } from "../../pipeline/memory/memory.ts";
import { Desk } from "../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const A = 0x1111;
const B = -0x2222;
const C = 0x3333;

/** Ann may have 1000 pages, 900 softly; her process 10 has mm A. Bob has 50 pages and no limit. */
function makeDesk(options: ConstructorParameters<typeof Desk>[0] = {}): Desk {
  const desk = new Desk(options);
  desk.limit(ANN, 1000, 900).proc(10, ANN, {}).proc(20, BOB, {}).step();
  desk.own(20, C, { anon: 50 }).own(10, A, { anon: 100 }).step();
  return desk;
}

function kinds(desk: Desk): string[] {
  return desk.step().orders().map(({ kind }) => kind);
}

function isDegraded(desk: Desk): boolean {
  return desk.memory.header[HeaderWord.degraded] === 1;
}

Deno.test("lost events: degraded, a sweep is asked for, it repairs, tells the drift, recovers", () => {
  const desk = makeDesk();
  desk.lost(17).step();
  assert(isDegraded(desk));
  assertEquals(desk.asked, [{ kind: RecordKind.resync, tid: 0 }]);
  assertEquals(desk.reports().map(({ name }) => name), ["lost", "degraded"]);
  // While events were lost: 10 grew by 30, 20 ended, 30 was born.
  desk.sweep(() => {
    desk.proc(10, ANN, { anon: 130 });
    desk.proc(30, ANN, { anon: 7 });
  }).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [137, 0]);
  assert(!isDegraded(desk));
  const reports = desk.reports();
  const drift = reports.filter(({ name }) => name === "drift").map(({ values }) => values);
  assertEquals(drift, [{ uid: ANN, pages: 30 }, { uid: BOB, pages: -50 }]);
  assertEquals(reports.at(-1)?.name, "recovered");
  assertEquals(attachCounters(desk.memory, Role.accounting)[CounterIndex.lost], 17);
});

Deno.test("a sweep that began before the loss does not prove anything; another is asked for", () => {
  const desk = makeDesk();
  desk.sweep(() => {
    desk.proc(10, ANN, { anon: 100 }).proc(20, BOB, { anon: 50 });
    // On the reader's ring, which accounting empties first.
    desk.lost(3);
  }).step();
  assert(isDegraded(desk));
  assert(desk.asked.length > 0);
  desk.sweep(() => desk.proc(10, ANN, { anon: 100 }).proc(20, BOB, { anon: 50 })).step();
  assert(!isDegraded(desk));
});

Deno.test("small differences that /proc cannot help are left alone, but not after a loss", () => {
  const desk = makeDesk();
  const readings = (): void =>
    void desk.proc(10, ANN, { anon: 110 }).proc(20, BOB, {
      anon: 50,
    });
  desk.tick(1e9);
  desk.sweep(readings, 64).step();
  assertEquals(desk.usage(ANN), 100);
  assertEquals(desk.reports("drift"), []);
  desk.lost().sweep(readings, 64).step();
  assertEquals(desk.usage(ANN), 110);
});

Deno.test("an mm that a process left behind is dropped", () => {
  const desk = makeDesk();
  desk.foreign(10, B, { anon: 40 }).step();
  assertEquals(desk.usage(ANN), 140);
  desk.tick(2e9);
  desk.sweep(() => desk.proc(10, ANN, { anon: 100 }).proc(20, BOB, { anon: 50 })).step();
  assertEquals(desk.usage(ANN), 100);
  assertEquals(desk.reports("drift").map(({ values }) => values), [{ uid: ANN, pages: -40 }]);
});

Deno.test("what a sweep did not see, and was born before it, is no more; newer ones stay", () => {
  const desk = makeDesk();
  desk.sweep(() => {
    desk.proc(20, BOB, { anon: 50 });
    desk.foreign(20, B, { anon: 50 }).fork(20, 21);
  }).step();
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [0, 100]);
});

Deno.test("a restarted accounting mends what its predecessor knew to be wrong before the first sweep", () => {
  const desk = new Desk();
  desk.lost().step();
  assertEquals(isDegraded(desk), true);
  desk.startAccounting();
  desk.step();
  desk.sweep(() => {}).step();
  assertEquals(isDegraded(desk), false);
});

Deno.test("a restarted accounting reads everything again, and trusts no sweep from before", () => {
  const desk = makeDesk();
  desk.own(10, A, { anon: 600 }).step();
  const lastTsNs = desk.nowNs;
  desk.startAccounting();
  desk.tick(30e6);
  desk.step();
  assert(isDegraded(desk));
  assertEquals(desk.usage(ANN), 0);
  // The second half of a sweep whose first half the predecessor had taken.
  desk.sweeperPut(SWEEP_END, { number: 5, flags: 1 }).step();
  assert(isDegraded(desk), "half a sweep");
  desk.tick(1e6);
  desk.sweep(() => desk.proc(10, ANN, { anon: 600 }).proc(20, BOB, { anon: 50 })).step();
  assert(!isDegraded(desk));
  assertEquals([desk.usage(ANN), desk.usage(BOB)], [600, 50]);
  const told = desk.reports();
  const [degraded, recovered] = ["degraded", "recovered"].map((name) =>
    told.find((report) => report.name === name)!.tsNs
  );
  assertEquals(degraded, lastTsNs, "until then the books were right");
  assert(recovered! >= lastTsNs + 31e6, "and it has not recovered before that was so");
  desk.own(10, A, { anon: 1001 });
  assert(kinds(desk).includes("kill"));
});

for (
  const [table, capacity, more] of [
    ["users", { users: 3 }, 30],
    ["processes", { processes: 6 }, 30],
    ["tasks", { tasks: 6 }, 30],
    ["mms", { mms: 6 }, 30],
  ] as const
) {
  Deno.test(`a full table of ${table} is survived, told, and recovered from`, () => {
    const desk = makeDesk({ capacity });
    for (let i = 0; i < more; i++) {
      const pid = 100 + i;
      if (table === "tasks") desk.thread(10, pid).own(pid, A, { anon: 100 + i });
      else if (table === "users") desk.proc(pid, 2000 + i, { anon: 5 });
      else {
        desk.foreign(10, 0x10000 + i, { anon: 3 }).fork(10, pid);
        desk.own(pid, 0x10000 + i, { file: 1 }).own(pid, 0x10000 + i, { anon: 4 });
      }
      desk.step();
    }
    assert(isDegraded(desk));
    assert(attachCounters(desk.memory, Role.accounting)[CounterIndex.tableFull]! > 0);
    assert(desk.reports("tableFull").length > 0);
    // All but the first two end; the next sweep finds room for what is there.
    for (let i = 0; i < more; i++) {
      desk.exit(100 + i, table === "tasks" ? 0 : 1);
      if (table !== "tasks") desk.foreign(100 + i, 0x10000 + i, { file: 0, anon: 0 });
      desk.free(100 + i).step();
    }
    desk.tick(2e9);
    desk.sweep(() => desk.proc(10, ANN, { anon: 120 }).proc(20, BOB, { anon: 50 })).step();
    desk.tick(2e9);
    desk.sweep(() => desk.proc(10, ANN, { anon: 120 }).proc(20, BOB, { anon: 50 })).step();
    assert(!isDegraded(desk));
    assertEquals([desk.usage(ANN), desk.usage(BOB)], [120, 50]);
    desk.own(10, A, { anon: 1001 });
    assert(kinds(desk).includes("kill"));
  });
}

Deno.test("a table that stays full does not make sweeps chase each other", () => {
  const desk = makeDesk({ capacity: { processes: 3 } });
  const readings = (): void => {
    for (let pid = 10; pid < 20; pid++) desk.proc(pid, ANN, { anon: 5 });
  };
  desk.sweep(readings).step();
  desk.sweep(readings).step();
  assert(isDegraded(desk));
  assertEquals(desk.asked.filter(({ kind }) => kind === RecordKind.resync), []);
});
