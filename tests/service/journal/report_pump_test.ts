import { assertEquals } from "@std/assert";
import { Doorbell } from "../../../pipeline/memory/doorbell.ts";
import { Role } from "../../../pipeline/memory/layout.ts";
import { attachCounters, attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { RingProducer } from "../../../pipeline/memory/ring.ts";
import { ReportWriter } from "../../../pipeline/messages/reports.ts";
import { Journal, type JournalEntry } from "../../../service/journal/journal.ts";
import { type NameOf, ReportEvents } from "../../../service/journal/report_events.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { type ReportBell, ReportPump } from "../../../service/journal/report_pump.ts";
import { WorkerWakes } from "../../../service/lifecycle/worker_wakes.ts";
import { SMALL } from "../../_support/desk.ts";

openLibc();

function makeStage(bell: ReportBell): {
  readonly pump: ReportPump;
  readonly entries: JournalEntry[];
  readonly put: (role: number, uid: number) => void;
} {
  const memory = attachMemory(createMemory(SMALL));
  const entries: JournalEntry[] = [];
  const journal = new Journal({ nowNs: () => 9e9, now: () => new Date(0) });
  journal.subscribe({ name: "test", take: (entry) => void entries.push(entry) });
  const pump = new ReportPump(memory, bell, makeEvents(), journal);
  const put = (role: number, uid: number): void => {
    const ring = new RingProducer(memory.buffer, memory.plan.reportRings[role]!);
    const supervisor = new Doorbell(memory, Role.supervisor);
    new ReportWriter(ring, attachCounters(memory, role), supervisor).put("drift", 5e9, [uid, 3]);
  };
  return { pump, entries, put };
}

function makeEvents(nameOf: NameOf = () => null): ReportEvents {
  const facts = { softPages: 1, promisedPages: 2, peakPages: 3, processes: 4, rule: null };
  return new ReportEvents(4096, nameOf, () => facts, () => null, () => new Date(0));
}

function uidsOf(entries: readonly JournalEntry[]): number[] {
  return entries.map(({ event }) => event.event === "drift" ? event.uid : -1);
}

Deno.test("ReportPump.drain() publishes what is in all rings, with the time that it has", () => {
  const { pump, entries, put } = makeStage({ rung: () => Promise.resolve(), ring: () => {} });
  put(Role.killer, 1);
  put(Role.accounting, 2);
  put(Role.accounting, 3);
  pump.drain();
  assertEquals(uidsOf(entries).sort(), [1, 2, 3]);
  assertEquals(entries.map(({ monotonicNs }) => monotonicNs), [5e9, 5e9, 5e9]);
});

Deno.test("ReportPump.follow() publishes whenever the eventfd is rung, and ends by stop()", async () => {
  await using open = new AsyncDisposableStack();
  const bell = new WorkerWakes(1, open).reportBell;
  let waits = 0;
  let next = Promise.withResolvers<void>();
  const rung = (): Promise<void> => {
    waits++;
    next.resolve();
    return bell.rung();
  };
  const { pump, entries, put } = makeStage({ rung, ring: () => bell.ring() });
  const following = pump.follow();
  for (const uid of [7, 8]) {
    await next.promise;
    next = Promise.withResolvers();
    put(Role.killer, uid);
    bell.ring();
    await next.promise;
    assertEquals(uidsOf(entries).at(-1), uid);
  }
  pump.stop();
  await following;
  assertEquals([uidsOf(entries), waits], [[7, 8], 3]);
});

Deno.test("a report of the brake becomes an event with all facts", () => {
  const events = makeEvents((uid) => uid === 7 ? "ann" : null);
  const values = {
    uid: 7,
    pid: 70,
    leftPages: 10,
    dataLimitPages: 500,
    usagePages: 91,
    softPages: 90,
    hardPages: 100,
  };
  const text = new TextEncoder().encode("R");
  assertEquals(events.eventOf({ name: "refused", tsNs: 1, values, text, rows: [] }), {
    event: "refused",
    uid: 7,
    user: "ann",
    pid: 70,
    comm: "R",
    leftPages: 10,
    leftBytes: 40_960,
    dataLimitBytes: 500 * 4096,
    usagePages: 91,
    softPages: 90,
    hardPages: 100,
  });
});
