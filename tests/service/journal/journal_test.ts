import { assertEquals } from "@std/assert";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal, type JournalEntry, type Subscriber } from "../../../service/journal/journal.ts";

const AT = new Date("2026-08-22T10:00:00.123Z");

function journalAt(nowNs = 9e9, last = 0): Journal {
  return new Journal({ nowNs: () => nowNs, now: () => AT }, last);
}

function config(n: number): JournalEvent {
  return { event: "config", message: String(n) };
}

function messageOf({ event }: JournalEntry): string {
  return event.event === "config" ? event.message : event.event;
}

/** Takes at once. */
function listener(taken: string[], name = "quick"): Subscriber {
  return { name, take: (entry) => void taken.push(messageOf(entry)) };
}

/** Takes when it is told to. */
class Slow implements Subscriber {
  readonly name = "slow";
  readonly taken: number[] = [];
  private pending: PromiseWithResolvers<void> | undefined;

  take({ number }: JournalEntry): Promise<void> {
    this.taken.push(number);
    this.pending = Promise.withResolvers();
    return this.pending.promise;
  }

  async ready(error?: Error): Promise<void> {
    if (error === undefined) this.pending!.resolve();
    else this.pending!.reject(error);
    for (let i = 0; i < 5; i++) await Promise.resolve();
  }
}

Deno.test("Journal numbers entries and dates them by both clocks", () => {
  const entries: JournalEntry[] = [];
  const journal = journalAt(9e9, 41);
  journal.subscribe({ name: "all", take: (entry) => void entries.push(entry) });
  journal.publish(config(1));
  journal.publish(config(2), 7.5e9);
  journal.publish(config(3), 9.001e9);
  assertEquals(entries.map(({ number }) => number), [42, 43, 44]);
  assertEquals(entries.map(({ monotonicNs }) => monotonicNs), [9e9, 7.5e9, 9.001e9]);
  assertEquals(entries.map(({ at }) => AT.getTime() - at.getTime()), [0, 1500, 0]);
  assertEquals(journal.last, 44);
});

Deno.test("Journal: a subscriber that throws neither stops the others nor who publishes", () => {
  const before: string[] = [];
  const after: string[] = [];
  const journal = journalAt();
  journal.subscribe(listener(before));
  journal.subscribe({
    name: "broken",
    take: () => {
      throw new Error("disk full");
    },
  });
  journal.subscribe(listener(after, "last"));
  journal.publish(config(1));
  journal.publish(config(2));
  assertEquals([before, after], [["1", "2"], ["1", "2"]]);
  assertEquals(journal.report(), [
    { name: "quick", taken: 2, missed: 0, failed: 0, queued: 0 },
    { name: "broken", taken: 0, missed: 0, failed: 2, queued: 0 },
    { name: "last", taken: 2, missed: 0, failed: 0, queued: 0 },
  ]);
});

Deno.test("Journal: a slow subscriber has a bounded queue, and what it missed is a gap", async () => {
  const quick: string[] = [];
  const slow = new Slow();
  const journal = journalAt();
  journal.subscribe(slow, 2);
  journal.subscribe(listener(quick));
  for (let n = 1; n <= 5; n++) journal.publish(config(n));
  assertEquals(quick, ["1", "2", "3", "4", "5"]);
  assertEquals(slow.taken, [1]);
  assertEquals(journal.report()[0], { name: "slow", taken: 0, missed: 2, failed: 0, queued: 2 });
  await slow.ready();
  assertEquals(slow.taken, [1, 2]);
  await slow.ready(new Error("refused"));
  assertEquals(slow.taken, [1, 2, 3]);
  await slow.ready();
  journal.publish(config(6));
  assertEquals(slow.taken, [1, 2, 3, 6], "4 and 5 found the queue full");
  await slow.ready();
  assertEquals(journal.report()[0], { name: "slow", taken: 3, missed: 2, failed: 1, queued: 0 });
});

Deno.test("Journal: subscribers come and go, also while an entry is given to them", async () => {
  const journal = journalAt();
  const late: string[] = [];
  const slow = new Slow();
  const slowly = journal.subscribe(slow);
  const first = journal.subscribe({
    name: "brief",
    take: () => {
      first.close();
      slowly.close();
      journal.subscribe(listener(late, "late"));
    },
  });
  journal.publish(config(1));
  journal.publish(config(2));
  await slow.ready();
  assertEquals(slow.taken, [1], "what waits for one that is closed is dropped");
  assertEquals(journal.report().map(({ name }) => name), ["late"]);
  assertEquals(late.at(-1), "2");
});

Deno.test("Journal: who publishes while it takes an entry gets its own one afterwards", () => {
  const journal = journalAt();
  const seen: string[] = [];
  journal.subscribe({
    name: "echo",
    take: (entry) => {
      const message = messageOf(entry);
      if (message === "1") journal.publish(config(2));
      seen.push(message);
    },
  });
  journal.publish(config(1));
  assertEquals(seen, ["1", "2"]);
});
