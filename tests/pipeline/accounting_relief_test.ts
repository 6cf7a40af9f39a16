/** Whom accounting orders to go when the machine is short, and the kernel's own victims. */
import { OOM_VICTIM, PRESSURE } from "../../pipeline/messages/records.ts";
import { assertEquals } from "@std/assert";
import { UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { PressureReason } from "../../pipeline/memory/layout.ts";
import { type MachineVictim, SettingsPublisher } from "../../pipeline/memory/settings.ts";
import { Desk } from "../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const A = 0x1111;
const C = 0x3333;

/** Ann may have 1000 pages, 900 softly; her process 10 has mm A. Bob has 50 pages and no limit. */
function makeDesk(options: ConstructorParameters<typeof Desk>[0] = {}): Desk {
  const desk = new Desk(options);
  desk.limit(ANN, 1000, 900).proc(10, ANN, {}).proc(20, BOB, {}).step();
  desk.own(20, C, { anon: 50 }).own(10, A, { anon: 100 }).step();
  return desk;
}

/** The machine is short of so many pages. */
function press(desk: Desk, missingPages: number, reason: number = PressureReason.psi): void {
  desk.put(PRESSURE, { reason: reason, missingPages: missingPages }).step();
}

function relieved(desk: Desk): (number | string)[][] {
  return desk.orders().filter(({ kind }) => kind === "relieve").map(({ uid, leastPages }) => [
    uid,
    leastPages,
  ]);
}

Deno.test("pressure: by the share of the limit that is used, and by what a victim gives back", () => {
  const desk = new Desk();
  desk.limit(1000, 1000).limit(1001, 500).limit(1002, 200);
  desk.proc(10, 1000, { anon: 300 }).proc(20, 1001, { anon: 450 }).proc(30, 1002, { anon: 10 });
  desk.proc(40, 1003, { anon: 100_000 });
  desk.step().orders();
  press(desk, 100);
  assertEquals(relieved(desk), [[1001, 100]], "the order says what a victim must give back");
  assertEquals(desk.reports("pressure")[0]?.values, {
    reason: PressureReason.psi,
    uid: 1001,
    helps: 1,
  });
  // One order at a time, here too.
  press(desk, 100);
  assertEquals(relieved(desk), []);
});

Deno.test("pressure: a user at 90 of 100 GiB goes before one at 1 of 64 MiB, or at 63", () => {
  const MIB = 256;
  for (const smallMib of [1, 63]) {
    const desk = new Desk();
    desk.limit(1000, 64 * MIB).limit(1001, 100 * 1024 * MIB);
    desk.proc(10, 1000, { anon: smallMib * MIB }).proc(20, 1001, { anon: 90 * 1024 * MIB });
    desk.step().orders();
    press(desk, 1024 * MIB);
    assertEquals(relieved(desk), [[1001, 16 * MIB]], `${smallMib} MiB`);
  }
});

Deno.test("pressure: nobody goes when nobody's end would help, which is told once a minute", () => {
  const MIB = 256;
  const desk = new Desk();
  desk.limit(1000, 64 * MIB).limit(1001, 4 * MIB).limit(1002, 100 * MIB);
  // Half of its limit and no more; all of it, but in small pieces; a process too small to matter.
  desk.proc(10, 1000, { anon: 32 * MIB });
  for (let i = 0; i < 4; i++) desk.proc(20 + i, 1001, { anon: MIB });
  for (let i = 0; i < 9; i++) desk.proc(30 + i, 1002, { anon: 10 * MIB });
  desk.step().orders();
  for (let i = 0; i < 59; i++) {
    press(desk, 1024 * MIB);
    desk.tick(1e9);
  }
  assertEquals(relieved(desk), []);
  assertEquals(desk.reports("pressure").map(({ values }) => [values["uid"], values["helps"]]), [
    [UNKNOWN_UID, 0],
  ]);
  desk.tick(2e9);
  press(desk, 1024 * MIB);
  assertEquals(desk.reports("pressure").length, 1);
  // What is missing is less than the least that counts.
  press(desk, 2 * MIB);
  assertEquals(relieved(desk), [[1002, 2 * MIB]]);
});

Deno.test("pressure: by over-soft, whoever is furthest above its soft limit goes first, else as by share", () => {
  const desk = new Desk({ settings: { machineVictim: "over-soft" } });
  desk.limit(1000, 1000, 900).limit(1001, 5000, 1000).limit(1002, 200, 150);
  desk.proc(10, 1000, { anon: 940 }).proc(20, 1001, { anon: 1100 }).proc(30, 1002, { anon: 10 });
  desk.step().orders();
  press(desk, 100);
  assertEquals(relieved(desk), [[1001, 100]], "100 pages above soft, though at 22 % of its limit");
  const calm = new Desk({ settings: { machineVictim: "over-soft" } });
  calm.limit(1000, 1000, 900).limit(1001, 5000, 3000);
  calm.proc(10, 1000, { anon: 800 }).proc(20, 1001, { anon: 2000 });
  calm.step().orders();
  press(calm, 100);
  assertEquals(relieved(calm), [[1000, 100]], "nobody is above soft: 80 % of a limit before 40 %");
});

Deno.test("pressure: by over-soft, whose end would not help is passed over", () => {
  const MIB = 256;
  const desk = new Desk({ settings: { machineVictim: "over-soft" } });
  desk.limit(1000, 4000 * MIB, 8 * MIB).limit(1001, 100 * MIB, 60 * MIB);
  for (let i = 0; i < 20; i++) desk.proc(10 + i, 1000, { anon: 8 * MIB });
  desk.proc(50, 1001, { anon: 70 * MIB });
  desk.step().orders();
  press(desk, 1024 * MIB);
  assertEquals(relieved(desk), [[1001, 16 * MIB]]);
});

Deno.test("pressure: by largest, whoever has most goes, whatever its limit; a change counts at once", () => {
  const desk = new Desk();
  desk.limit(1000, 1000, 990).limit(1001, 100_000, 90_000);
  desk.proc(10, 1000, { anon: 900 }).proc(20, 1001, { anon: 2000 }).proc(30, BOB + 9, {
    anon: 9000,
  });
  desk.step().orders();
  const publish = (machineVictim: MachineVictim): void => {
    new SettingsPublisher(desk.memory.settings).publish({ ...desk.settings, machineVictim });
    desk.step();
  };
  publish("largest");
  press(desk, 100);
  assertEquals(relieved(desk), [[1001, 100]], "who has no limit is left alone");
  publish("share");
  press(desk, 100);
  assertEquals(relieved(desk), [[1000, 100]]);
});

Deno.test("pressure: without a user that has a limit and memory, nobody is ordered to go", () => {
  const desk = new Desk();
  desk.limit(1000, 100).proc(10, 1000, {}).proc(20, BOB, { anon: 500 }).step();
  press(desk, 10);
  assertEquals(relieved(desk), []);
  assertEquals(desk.reports("pressure")[0]?.values["uid"], -1);
});

Deno.test("the kernel's own victim is credited to its user", () => {
  const desk = makeDesk();
  desk.put(OOM_VICTIM, { pid: 10 }).put(OOM_VICTIM, { pid: 999 }).step();
  assertEquals(desk.reports("kernelKill").map(({ values }) => values), [
    { pid: 10, uid: ANN },
    { pid: 999, uid: UNKNOWN_UID },
  ]);
});
