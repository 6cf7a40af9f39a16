/** The benchmarks' parts in small, so that they cannot rot: what they time does what it says. */
import { assert, assertEquals } from "@std/assert";
import { attachCounters } from "../pipeline/memory/memory.ts";
import { CounterIndex, Role } from "../pipeline/memory/layout.ts";
import { AccountingRun } from "../bench/support/accounting_run.ts";
import { AdmissionRun } from "../bench/support/admission_run.ts";
import { distribution, markdownTable } from "../bench/support/numbers.ts";
import { captureInput, growthInput, type PipelineInput } from "../bench/support/pipeline_input.ts";
import { accountingCounts, OneThread, PIPELINE_UID } from "../bench/support/pipeline_run.ts";
import { RingRun } from "../bench/support/ring_run.ts";
import { TwoThreads } from "../bench/support/two_threads.ts";
import { BASE_PAGES, GROW_PAGES } from "../bench/support/load.ts";

Deno.test("ring bench: whatever the batch, all records come out", () => {
  for (const batch of [1, 8, 4096]) assertEquals(new RingRun().pass(8192, batch), 8192 * 2);
});

Deno.test("admission bench: all requests are granted, with claims too", () => {
  for (const claims of [false, true]) {
    const run = new AdmissionRun({ clients: 20, claims });
    const before = run.granted;
    run.pass(200);
    assertEquals(run.granted - before, 200);
  }
});

Deno.test("accounting bench: every event is accounted to its own user", () => {
  for (const aboveSoft of [false, true]) {
    const made = new AccountingRun({
      processes: 50,
      users: 7,
      aboveSoft,
      run: 4,
      ringRecords: 512,
    });
    for (let i = 0; i < 4; i++) {
      assertEquals(made.fill(), 512);
      assertEquals(made.drain(), 512);
    }
    const { books } = made.accounting;
    const counters = attachCounters(made.memory, Role.accounting);
    assertEquals(counters[CounterIndex.events], 4 * 512);
    assertEquals(counters[CounterIndex.stale], 0);
    assertEquals([books.processSlots.used, books.userSlots.used], [50, 7]);
    books.checkSums();
    const arms = books.users.armsDone.reduce((sum, count) => sum + count, 0);
    assertEquals(arms > 0, aboveSoft, `${arms} orders to arm`);
  }
});

const INPUTS: Readonly<Record<string, () => PipelineInput>> = {
  "text captures": () => captureInput("text", 2),
  "raw captures": () => captureInput("raw", 2),
  "text growth": () => growthInput("text", 4000),
  "raw growth": () => growthInput("raw", 4000),
};

for (const [name, makeInput] of Object.entries(INPUTS)) {
  Deno.test(`pipeline bench: ${name} go all the way, each time, and are no old news`, () => {
    const oneThread = new OneThread(makeInput());
    const before = accountingCounts(oneThread.memory);
    assertEquals(before, { events: 0, stale: 0 });
    const events = oneThread.run();
    const once = accountingCounts(oneThread.memory);
    assert(once.events > 3000, `${once.events} rss events`);
    assert(once.events <= events);
    assert(once.stale < events / 100, `${once.stale} of ${events} events were old news`);
    oneThread.prepare();
    assertEquals(oneThread.run(), events);
    const twice = accountingCounts(oneThread.memory);
    assertEquals(twice, { events: 2 * once.events, stale: 2 * once.stale });
  });
}

Deno.test("pipeline bench: growth ends in the books as it was made", () => {
  const pages: number[] = [];
  for (const source of ["raw", "text"] as const) {
    const oneThread = new OneThread(growthInput(source, 20_000));
    oneThread.run();
    const { users, processes } = oneThread.memory;
    assertEquals(users.uid[0], PIPELINE_UID);
    assertEquals(users.processCount[0], 20);
    for (const each of processes.pages.subarray(0, 20)) {
      assert(each >= BASE_PAGES && each < BASE_PAGES + GROW_PAGES, `${each} pages`);
    }
    pages.push(users.usagePages[0]!);
  }
  assertEquals(pages[0], pages[1], "raw and text");
});

Deno.test("pipeline bench: two threads see what one does", () => {
  const input = growthInput("raw", 4000);
  using twoThreads = new TwoThreads(input);
  for (let run = 0; run < 2; run++) {
    twoThreads.prepare();
    assertEquals(twoThreads.run(), 4000);
  }
  assertEquals(accountingCounts(twoThreads.memory), { events: 8000, stale: 0 });
});

Deno.test("distribution() and markdownTable() say what was seen", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assertEquals(distribution(values), { first: 100, median: 50, p90: 90, p99: 99, max: 100 });
  assertEquals(distribution([7]), { first: 7, median: 7, p90: 7, p99: 7, max: 7 });
  assertEquals(distribution([]).median, NaN);
  assertEquals(
    markdownTable(["a", "long"], [["wide", "x"]]),
    "| a    | long |\n| ---- | ---- |\n| wide | x    |",
  );
});
