/** The history as the daemon has it: it never waits, and what it cannot write is counted. */
import { assert, assertEquals } from "@std/assert";
import {
  History,
  type HistoryOptions,
  PENDING_MAX,
  RECENT_MAX,
} from "../../../service/history/history.ts";
import type { KilledEvent } from "../../../service/journal/events.ts";
import type { WriterAnswer, WriterRequest } from "../../../service/history/protocol.ts";
import type { WriterProcess } from "../../../service/history/writer_link.ts";
import { endEntry, killEntry, killRecord } from "../../_support/kill_entries.ts";

/** A process that writes, by hand. */
class Writer {
  readonly requests: WriterRequest[] = [];
  started = 0;
  killed = 0;
  finished = 0;
  /** What it answers; undefined: nothing. */
  answer: (number: number) => WriterAnswer | undefined = (number) => ({ number });
  dies = false;

  readonly spawn = (): WriterProcess => {
    this.started++;
    const answers: string[] = [];
    let wake: () => void = () => {};
    const end = Promise.withResolvers<void>();
    let isOver = false;
    const over = (): void => {
      isOver = true;
      wake();
      end.resolve();
    };
    return {
      send: (line) => {
        if (this.dies) {
          over();
          return Promise.reject(new Error("broken pipe"));
        }
        const request = JSON.parse(line);
        if (request.number === undefined) return Promise.resolve();
        this.requests.push(request);
        const answer = this.answer(request.number);
        if (answer !== undefined) answers.push(JSON.stringify(answer));
        wake();
        return Promise.resolve();
      },
      next: async () => {
        while (answers.length === 0 && !isOver) await new Promise<void>((next) => wake = next);
        return answers.shift();
      },
      finish: () => {
        this.finished++;
        over();
      },
      kill: () => {
        this.killed++;
        over();
      },
      ended: end.promise,
    };
  };
}

function make(
  writer: Writer,
  more: Partial<HistoryOptions> = {},
): { history: History; told: string[] } {
  const told: string[] = [];
  const history = new History({
    path: "/nowhere/history.db",
    pageBytes: 4096,
    spawn: writer.spawn,
    tell: (message) => told.push(message),
    nowNs: () => 2e9,
    gatherMs: 0,
    ...more,
  });
  return { history, told };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1000 && !condition(); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert(condition(), "in vain");
}

Deno.test("a kill and its end are one batch, and the receipt knows both", async () => {
  const writer = new Writer();
  const { history } = make(writer);
  history.take(killEntry(1));
  history.take(endEntry(1));
  history.take(endEntry(5));
  history.take({
    number: 9,
    monotonicNs: 1,
    at: new Date(0),
    event: { event: "drift", uid: 1, pages: 2 },
  });
  assertEquals(writer.started, 0, "nothing waits for a process");
  await until(() => history.report().written === 1);
  const [{ number: _, ...batch }] = writer.requests as [WriterRequest];
  const { id } = killRecord(1);
  assertEquals(batch.ends, [{
    id,
    freedBytes: 16_384_000,
    exitUs: 10_570,
    exitStatus: 9,
    outcome: null,
  }]);
  assertEquals(batch.kills.map((kill) => [kill.id, kill.freedBytes]), [[id, null]]);
  assertEquals(batch.kills[0]!.toldUs, 1e6);
  const [kill] = history.recent();
  assertEquals([kill!.id, kill!.exitUs, kill!.exitStatus], [id, 10_570, 9]);
  assertEquals(history.recentOf(1), []);
  await history.stop(100);
  assertEquals([writer.started, writer.finished, writer.killed], [1, 1, 0]);
});

Deno.test("I6: while nobody writes, a bounded number waits, and what is missed is counted", async () => {
  const writer = new Writer();
  writer.answer = () => undefined;
  const { history } = make(writer);
  history.take(killEntry(0));
  await until(() => writer.requests.length === 1);
  const began = performance.now();
  for (let number = 1; number <= PENDING_MAX + 10; number++) history.take(killEntry(number));
  assert(performance.now() - began < 10_000);
  assertEquals(history.report(), {
    path: "/nowhere/history.db",
    written: 0,
    pending: PENDING_MAX,
    missed: 10,
    failures: 0,
  });
  assertEquals(history.recent().length, RECENT_MAX);
  assertEquals(history.recent().at(-1)!.pid, killRecord(PENDING_MAX + 10).pid);
  const stopping = performance.now();
  await history.stop(50);
  assert(performance.now() - stopping < 10_000, "the end waits for nobody");
});

Deno.test("a full disk, or a process that dies, loses nothing that can wait, and is told once", async () => {
  const writer = new Writer();
  writer.answer = (number) => ({ number, problem: "database or disk is full" });
  const { history, told } = make(writer);
  history.take(killEntry(1));
  await until(() => history.report().failures === 1);
  history.take(killEntry(2));
  assertEquals(history.report().pending, 2);
  assertEquals(told, ["history: cannot write: database or disk is full; it is tried again"]);
  const { recent, pending } = history.handover();
  assertEquals([recent.length, pending.kills.length], [2, 2]);
  await history.stop(100);
  assertEquals(told.length, 1);

  // What was handed over goes on where it was.
  const next = new Writer();
  const successor = make(next, { former: { recent, pending } });
  successor.history.take(killEntry(3));
  await until(() => successor.history.report().written === 3);
  assertEquals(successor.history.recent().length, 3);
  await successor.history.stop(100);

  const dead = new Writer();
  dead.dies = true;
  const lost = make(dead);
  lost.history.take(killEntry(1));
  await until(() => lost.history.report().failures === 1);
  assertEquals([dead.killed, lost.history.report().pending], [1, 1]);
  await lost.history.stop(100);
});

Deno.test("peaks are written when their hour is over, and at the end", async () => {
  const writer = new Writer();
  const { history, told } = make(writer);
  writer.answer = (number) => ({ number, notice: "a damaged file is set aside" });
  const hourMs = 3_600_000;
  history.beginLook(hourMs);
  history.notePeak(hourMs, 7, 10);
  history.notePeak(hourMs, 7, 30);
  history.notePeak(hourMs + 1000, 7, 20);
  history.notePeak(hourMs + 1000, 8, 0);
  history.beginLook(hourMs + 2000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(writer.requests, []);
  history.beginLook(2 * hourMs);
  history.notePeak(2 * hourMs, 7, 5);
  await until(() => writer.requests.length === 1);
  const next = { hourMs: 2 * hourMs, uid: 7, peakBytes: 5 * 4096 };
  assertEquals(writer.requests[0]!.peaks, [{ hourMs, uid: 7, peakBytes: 30 * 4096 }, next]);
  history.notePeak(2 * hourMs, 7, 4);
  history.notePeak(2 * hourMs, 7, 9);
  await history.stop(100);
  assertEquals(writer.requests[1]!.peaks, [{ ...next, peakBytes: 9 * 4096 }]);
  assertEquals(told[0], "history: a damaged file is set aside");
});

Deno.test("I7: a user is told its own last kill, however many others there were since", async () => {
  const { history } = make(new Writer(), { path: undefined });
  history.take(killEntry(0, 7));
  for (let number = 1; number < 3 * RECENT_MAX; number++) history.take(killEntry(number, 8));
  assertEquals(history.recentOf(7).map(({ id }) => id), [killRecord(0).id]);
  assertEquals(history.recent().length, RECENT_MAX);
  assertEquals(history.recent().at(-1)!.pid, killRecord(3 * RECENT_MAX - 1).pid);
  await history.stop(10);
});

Deno.test("without a file the last receipts are there all the same, and no process starts", async () => {
  const writer = new Writer();
  const { history } = make(writer, { path: undefined });
  history.take(killEntry(1));
  history.take(endEntry(1));
  history.notePeak(0, 1, 1);
  assertEquals(history.recent()[0]!.freedBytes, 16_384_000);
  assertEquals(history.report(), { path: null, written: 0, pending: 0, missed: 0, failures: 0 });
  await history.stop(100);
  assertEquals(writer.started, 0);
});

Deno.test("a receipt knows how the grace has ended, also of whom is left alone", async () => {
  const writer = new Writer();
  const { history } = make(writer);
  const ended = endEntry(1);
  const spared = endEntry(2);
  for (const number of [1, 2]) history.take(killEntry(number));
  history.take({ ...ended, event: { ...ended.event as KilledEvent, outcome: "ended" } });
  const { uid, pid } = spared.event as KilledEvent;
  const grace = { uid, user: null, pid, comm: "x", tookMs: 1, usagePages: 1, hardPages: 2 };
  history.take({ ...spared, event: { event: "grace", outcome: "spared", ...grace } });
  assertEquals(history.recent().map(({ outcome, freedBytes }) => [outcome, freedBytes]), [
    ["ended", 16_384_000],
    ["spared", null],
  ]);
  // Asked again, it is another receipt that ends.
  history.take({ ...killEntry(2), number: 77 });
  history.take(endEntry(2));
  assertEquals(history.recent().map(({ outcome }) => outcome), ["ended", "spared", null]);
  assertEquals(history.recent()[2]!.exitStatus, 9);
  await history.stop(100);
});
