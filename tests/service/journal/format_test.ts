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
      brake: "growers",
      brakeBy: "helpers",
      controlSocket: "/run/toom/control.sock",
      tmallocSocket: "/run/toom/tmalloc.sock",
      startMs: 90,
    },
    "ready: version=0.1.0 pid=7 source=raw readers=1 limits=2 counted=anon+swap+shmem " +
    "victim=largest control=/run/toom/control.sock tmalloc=/run/toom/tmalloc.sock brake=growers by=helpers " +
    "start=90ms dry-run",
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
      brake: "all",
      victim: "largest=2,growing=1",
      count: "anon+file",
      maxProcesses: 50,
      plan: null,
    },
    "limit set: uid=10071 hard=16777216B (4096 pages) soft=15097856B (3686 pages) brake=all " +
    "victim=largest=2,growing=1 counted=anon+file processes=50",
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
      brake: null,
      victim: null,
      count: null,
      maxProcesses: null,
      plan: null,
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
      brake: null,
      victim: null,
      count: null,
      maxProcesses: null,
      plan: null,
    },
    "limit cleared: uid=1000-1999",
  ],
  [
    { event: "soft", uid: 1, user: null, usagePages: 91, softPages: 90, hardPages: 100 },
    "soft limit passed: uid=1 usage=91 soft=90 hard=100 pages",
  ],
  [
    {
      event: "refused",
      uid: 10071,
      user: "skyzh",
      pid: 209,
      comm: "R",
      leftPages: 812,
      leftBytes: 812 * 4096,
      dataLimitBytes: 9000 * 4096,
      usagePages: 15_000,
      softPages: 14_745,
      hardPages: 16_384,
    },
    'refused: uid=10071 user=skyzh pid=209 comm="R" gets no more than 812 pages (3.2 MiB) ' +
    "usage=15000 soft=14745 hard=16384 pages",
  ],
  [
    { ...KILL, brakeLeftPages: 12 },
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 hard=4096 pages ' +
    "over=16384B victim=4000 pages latency=42us braked, left=12 weighed=210:60,211:40 " +
    "id=mf2k9x4r-209",
  ],
  [
    KILL,
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 hard=4096 pages ' +
    "over=16384B victim=4000 pages latency=42us weighed=210:60,211:40 id=mf2k9x4r-209",
  ],
  [
    { ...KILL, sharedPages: 900, weighed: [] },
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 counted=5000 ' +
    "shared=900 hard=4096 pages over=16384B victim=4000 pages latency=42us id=mf2k9x4r-209",
  ],
  [
    {
      ...KILL,
      weighed: [],
      signal: "SIGTERM",
      graceMs: 5000,
      ceilingPages: 4300,
      unit: "session",
      unitProcesses: 3,
    },
    'kill: uid=10071 user=skyzh pid=209 comm="hog" trigger=user usage=4100 hard=4096 pages ' +
    "over=16384B victim=4000 pages latency=42us signal=SIGTERM grace=5000ms ceiling=4300 " +
    "unit=session with=3 id=mf2k9x4r-209",
  ],
  [
    {
      event: "grace",
      uid: 10071,
      user: "skyzh",
      pid: 209,
      comm: "a\nkill: uid=0",
      outcome: "over",
      tookMs: 5000.4,
      usagePages: 4200,
      hardPages: 4096,
    },
    'grace over: uid=10071 user=skyzh pid=209 comm="a\\nkill: uid=0" killed, as its time is over ' +
    "after=5000.4ms usage=4200 hard=4096 pages",
  ],
  [
    {
      event: "storm",
      uid: 1,
      user: null,
      state: "begins",
      kills: 21,
      seconds: 1.2,
      then: "parent",
      actedPid: 7,
      actedComm: "s\th",
      acted: 1,
    },
    "storm: uid=1 kills=21 within=1.2s: its processes come back as they are killed; further kills are " +
    'told of in one line at the end, then=parent on=7 comm="s\\th"',
  ],
  [
    {
      event: "storm",
      uid: 1,
      user: null,
      state: "ends",
      kills: 208,
      seconds: 9,
      then: "session",
      actedPid: null,
      actedComm: null,
      acted: 3,
    },
    "storm over: uid=1 kills=208 within=9s then=session acted=3",
  ],
  [
    {
      event: "killed",
      pid: 209,
      uid: 10071,
      freedBytes: 16384000,
      exitUs: 800,
      exitStatus: 9,
      outcome: null,
      storm: false,
    },
    "killed: uid=10071 pid=209 freed=16384000B (15.6 MiB) exit=800us status=9",
  ],
  [
    {
      event: "killed",
      pid: 209,
      uid: 10071,
      freedBytes: 4096,
      exitUs: 1,
      exitStatus: null,
      outcome: null,
      storm: false,
    },
    "killed: uid=10071 pid=209 freed=4096B (4.0 KiB) exit=1us",
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
