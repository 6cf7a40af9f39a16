import { assertEquals } from "@std/assert";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { LINES_PER_WINDOW_MAX, Log } from "../../../service/journal/log.ts";
import { AT, KILL } from "../../_support/journal_events.ts";

interface Logged {
  readonly log: Log;
  readonly put: (event: JournalEvent) => void;
  readonly lines: string[];
  readonly clock: { ms: number };
}

function logged(): Logged {
  const lines: string[] = [];
  const clock = { ms: AT.getTime() };
  const log = new Log("text", (line) => lines.push(line), () => new Date(clock.ms));
  const put = (event: JournalEvent): void =>
    log.take({ number: 1, monotonicNs: 1, at: new Date(clock.ms), event });
  return { log, put, lines, clock };
}

Deno.test("a line says when it happened, not when it was written", () => {
  const lines: string[] = [];
  const log = new Log("json", (line) => lines.push(line), () => AT);
  const journal = new Journal({ nowNs: () => 9e9, now: () => AT });
  journal.subscribe(log);
  journal.publish(
    {
      event: "killed",
      pid: 1,
      uid: 2,
      freedBytes: 3,
      exitUs: 4,
      exitStatus: 9,
      outcome: null,
      storm: false,
    },
    7.5e9,
  );
  journal.publish(
    {
      event: "killed",
      pid: 1,
      uid: 2,
      freedBytes: 3,
      exitUs: 4,
      exitStatus: 9,
      outcome: null,
      storm: false,
    },
    9.005e9,
  );
  const times = lines.map((line) => AT.getTime() - Date.parse(JSON.parse(line).ts));
  assertEquals(times, [1500, 0], "nothing happens later than it is told of");
});

Deno.test("Log sheds floods for each kind, counts them, and reports the count once", () => {
  const { log, put, lines, clock } = logged();
  for (let n = 0; n < LINES_PER_WINDOW_MAX + 50; n++) {
    put({ event: "lost", events: 1, cpu: 0 });
  }
  put({ event: "degraded", reason: "x" });
  assertEquals(lines.length, LINES_PER_WINDOW_MAX + 1);
  assertEquals(log.shedTotal, 50);
  log.flush();
  assertEquals(lines.length, LINES_PER_WINDOW_MAX + 1);
  clock.ms += 1000;
  put({ event: "lost", events: 9, cpu: 0 });
  assertEquals(lines.slice(-2), ["shed: 50 lines of lost", "lost: 9 events on cpu 0"]);
  log.flush(true);
  assertEquals(lines.length, LINES_PER_WINDOW_MAX + 3);
});

Deno.test("Log.flush() reports what was shed in a second that is over, or at the end", () => {
  const { log, put, lines, clock } = logged();
  for (let n = 0; n <= LINES_PER_WINDOW_MAX; n++) put({ event: "recovered", degradedMs: n });
  clock.ms += 999;
  log.flush();
  assertEquals(lines.length, LINES_PER_WINDOW_MAX);
  clock.ms += 1;
  log.flush();
  assertEquals(lines.at(-1), "shed: 1 lines of recovered");
  for (let n = 0; n <= LINES_PER_WINDOW_MAX; n++) put({ event: "soft", ...SOFT });
  log.flush(true);
  assertEquals(lines.at(-1), "shed: 1 lines of soft");
});

const SOFT = { uid: 1, user: null, usagePages: 1, softPages: 1, hardPages: 1 } as const;

Deno.test("Log goes on when the clock is set back", () => {
  const { put, lines, clock } = logged();
  for (let n = 0; n < LINES_PER_WINDOW_MAX; n++) put({ event: "soft", ...SOFT });
  clock.ms -= 3_600_000;
  put({ event: "soft", ...SOFT });
  assertEquals(lines.length, LINES_PER_WINDOW_MAX + 1);
});

Deno.test("Log never limits kills", () => {
  const { log, put, lines } = logged();
  for (let n = 0; n < 3 * LINES_PER_WINDOW_MAX; n++) {
    put(KILL);
    put({
      event: "killed",
      pid: n,
      uid: 1,
      freedBytes: 1,
      exitUs: 1,
      exitStatus: null,
      outcome: null,
      storm: false,
    });
  }
  assertEquals(lines.length, 6 * LINES_PER_WINDOW_MAX);
  assertEquals(log.shedTotal, 0);
});

Deno.test("kills of a storm are left to the lines that tell of it", () => {
  const { log, put, lines } = logged();
  const storm = { uid: 1, user: null, then: "off", actedPid: null, actedComm: null } as const;
  put({ event: "storm", state: "begins", ...storm, kills: 4, seconds: 2, acted: 0 });
  for (let n = 0; n < 100; n++) {
    put({ ...KILL, storm: true });
    put({
      event: "killed",
      pid: n,
      uid: 1,
      freedBytes: 1,
      exitUs: 1,
      exitStatus: 9,
      outcome: null,
      storm: true,
    });
  }
  put({ event: "storm", state: "ends", ...storm, kills: 104, seconds: 20, acted: 0 });
  assertEquals(lines.map((line) => line.split(":")[0]), ["storm", "storm over"]);
  assertEquals(log.shedTotal, 0);
});

Deno.test("Log.take() survives a writer that throws, and counts it", () => {
  const log = new Log("json", () => {
    throw new Deno.errors.BrokenPipe("gone");
  }, () => AT);
  log.take({ number: 1, monotonicNs: 1, at: AT, event: KILL });
  assertEquals(log.failedTotal, 1);
});
