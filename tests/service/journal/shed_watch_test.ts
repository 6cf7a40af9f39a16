import { assertEquals } from "@std/assert";
import { CounterIndex, Role } from "../../../pipeline/memory/layout.ts";
import {
  attachCounters,
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
} from "../../../pipeline/memory/memory.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { Log } from "../../../service/journal/log.ts";
import { ShedWatch } from "../../../service/journal/shed_watch.ts";

Deno.test("ShedWatch tells what was left out, each kind once in ten seconds", () => {
  const memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, readers: 2 }, 1));
  const lines: string[] = [];
  const log = new Log("text", (line) => lines.push(line), () => new Date(0));
  let unwritten = 0;
  const journal = new Journal({ nowNs: () => 1, now: () => new Date(0) });
  journal.subscribe(log);
  const watch = new ShedWatch(memory, journal, () => ({ cut: log.shedTotal, unwritten }));
  watch.check(0);
  assertEquals(lines, []);
  attachCounters(memory, Role.killer)[CounterIndex.reportsShed] = 2;
  attachCounters(memory, Role.reader + 1)[CounterIndex.reportsShed] = 1;
  attachCounters(memory, Role.accounting)[CounterIndex.ordersShed] = 4;
  attachCounters(memory, Role.sweeper)[CounterIndex.userChangesLost] = 1;
  attachCounters(memory, Role.sweeper)[CounterIndex.procFailures] = 3;
  unwritten = 7;
  watch.check(1000);
  assertEquals(lines.splice(0), [
    "shed: 3 reports of workers",
    "shed: 4 orders to the killer",
    "shed: 1 times changes of user; all of /proc was read instead",
    "shed: 3 readings of /proc, which failed; the next sweep tries again",
    "shed: 7 lines that could not be written",
  ]);
  attachCounters(memory, Role.killer)[CounterIndex.reportsShed] = 12;
  watch.check(5000);
  assertEquals(lines, []);
  watch.check(11_000);
  assertEquals(lines, ["shed: 10 reports of workers"]);
  assertEquals(watch.totals(), { reports: 13, orders: 4, logLines: 7, userChanges: 1 });
});
