import { assert, assertEquals } from "@std/assert";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { formatJson, formatText } from "../../../service/journal/format.ts";
import { AT, KILL } from "../../_support/journal_events.ts";

const EVENTS: readonly (readonly [JournalEvent, string])[] = [
  [
    {
      event: "ready",
      version: "0.1.0",
      pid: 7,
      source: "raw",
      readers: 1,
      limits: 2,
      counted: "anon+swap+shmem",
      victim: "largest",
      dryRun: true,
      controlSocket: "/run/toom/control.sock",
      tmallocSocket: "/run/toom/tmalloc.sock",
      startMs: 90,
    },
    "ready: version=0.1.0 pid=7 source=raw readers=1 limits=2 counted=anon+swap+shmem " +
    "victim=largest control=/run/toom/control.sock tmalloc=/run/toom/tmalloc.sock start=90ms dry-run",
  ],
  [
    {
      event: "limit",
      action: "set",
      origin: "control",
      uidFirst: 10071,
      uidLast: 10071,
      hardBytes: 16777216,
      softBytes: 15097856,
      hardPages: 4096,
      softPages: 3686,
    },
    "limit set: uid=10071 hard=16777216B (4096 pages) soft=15097856B (3686 pages)",
  ],
  [
    {
      event: "limit",
      action: "set",
      origin: "control",
      uidFirst: 10071,
      uidLast: 10071,
      hardBytes: null,
      softBytes: null,
      hardPages: null,
      softPages: null,
    },
    "limit set: uid=10071 none",
  ],
  [
    {
      event: "limit",
      action: "clear",
      origin: "control",
      uidFirst: 1000,
      uidLast: 1999,
      hardBytes: 4096,
      softBytes: 4096,
      hardPages: 1,
      softPages: 1,
    },
    "limit cleared: uid=1000-1999",
  ],
  [
    { event: "soft", uid: 1, user: null, usagePages: 91, softPages: 90, hardPages: 100 },
    "soft limit passed: uid=1 usage=91 soft=90 hard=100 pages",
  ],
  [
    KILL,
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 hard=4096 pages ' +
    "over=16384B victim=4000 pages latency=42us weighed=210:60,211:40",
  ],
  [
    { ...KILL, sharedPages: 900, weighed: [] },
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 counted=5000 ' +
    "shared=900 hard=4096 pages over=16384B victim=4000 pages latency=42us",
  ],
  [
    { event: "killed", pid: 209, uid: 10071, freedBytes: 16384000, exitUs: 800 },
    "killed: uid=10071 pid=209 freed=16384000B (15.6 MiB) exit=800us",
  ],
  [
    {
      event: "denied",
      uid: 10071,
      pid: 209,
      committedPages: 4086,
      requestPages: 11,
      hardPages: 4096,
      reason: "limit",
    },
    "request not granted: uid=10071 pid=209 4086+11>4096",
  ],
  [
    {
      event: "denied",
      uid: 10071,
      pid: 209,
      committedPages: 2400,
      requestPages: 400,
      hardPages: 4096,
      reason: "claims",
    },
    "request not granted: uid=10071 pid=209 2400+400<=4096, but then not all claims could be met",
  ],
  [{ event: "lost", events: 12, cpu: 3 }, "lost: 12 events on cpu 3"],
  [{ event: "lost", events: -1, cpu: 3 }, "lost: an unknown number of events on cpu 3"],
  [{ event: "drift", uid: 5, pages: -7 }, "drift: uid=5 corrected by -7 pages"],
  [{ event: "degraded", reason: "events lost" }, "degraded: events lost"],
  [{ event: "recovered", degradedMs: 30 }, "recovered: after 30ms"],
  [
    { event: "worker-restart", role: "killer", reason: "no heartbeat", downMs: 400 },
    "worker restarted: killer was down for 400ms: no heartbeat",
  ],
  [
    { event: "kernel-kill", uid: null, pid: 9, comm: null },
    "killed by the kernel: uid=? pid=9 comm=?",
  ],
  [
    { event: "trigger", trigger: "kernel", reason: "memory pressure" },
    "trigger: kernel: memory pressure",
  ],
  [{ event: "config", message: "a\nb" }, "config: a b"],
  [
    { event: "stop", reason: "SIGTERM", uptimeSeconds: 9, kills: 2 },
    "stop: SIGTERM after 9s, 2 kills",
  ],
  [{ event: "error", where: "state", message: "disk full" }, "error: state: disk full"],
  [{ event: "shed", kind: "soft", lines: 4 }, "shed: 4 lines of soft"],
];

Deno.test("formatText() writes each event in one line, in the manner of the original", () => {
  for (const [event, text] of EVENTS) assertEquals(formatText(event), text);
});

Deno.test("formatJson() writes ts, event, then the fields", () => {
  for (const [event] of EVENTS) {
    const line = formatJson(event, AT);
    assertEquals(line.includes("\n"), false);
    assert(line.startsWith(`{"ts":"2026-08-22T10:00:00.123Z","event":"${event.event}"`), line);
    assertEquals(JSON.parse(line), { ts: AT.toISOString(), ...event });
  }
});

Deno.test("names of processes cannot end a line, pose as a field or move the cursor", () => {
  const hostile = [
    'x" pid=1 comm="y',
    "a\nkill: uid=0",
    "\x1b[2K\r",
    "\x9b31m",
    "\u2028",
    "\u202egnp",
    "\ud800",
    "\\",
  ];
  for (const comm of hostile) {
    const event = { ...KILL, comm, user: comm };
    const text = formatText(event);
    // deno-lint-ignore no-control-regex
    const unsafe = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800]/;
    assert(!unsafe.test(text) && !unsafe.test(formatJson(event, AT)), text);
    assertEquals(text.replace(/"(?:[^"\\]|\\.)*"/g, "").match(/pid=/g)?.length, 1, text);
    assertEquals(JSON.parse(formatJson(event, AT)).comm, comm);
  }
});
