/** What hooks are told and when, how many run, and what is told of those that fail. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type {
  AccountProgram,
  ProgramEnd,
  RunningProgram,
} from "../../../kernel/programs/account_program.ts";
import type { HookName, HookSetting } from "../../../service/config/notify_settings.ts";
import { STARTS_PER_SECOND_MAX } from "../../../service/notify/bounded_runs.ts";
import { Hooks } from "../../../service/hooks/hooks.ts";
import type { KilledEvent, KillEvent } from "../../../service/journal/events.ts";
import { Journal } from "../../../service/journal/journal.ts";

const SETTING: HookSetting = {
  command: ["/bin/hook", "word"],
  account: { name: "nobody", uid: 65534, gid: 65534 },
  timeoutMs: 200,
  atOnce: 2,
};

const KILL: KillEvent = {
  event: "kill",
  id: "0A",
  uid: 60001,
  user: null,
  pid: 4101,
  comm: "python3",
  trigger: "kernel",
  usagePages: 16385,
  sharedPages: 0,
  hardPages: 16384,
  overshootBytes: 4096,
  victimPages: 6144,
  latencyUs: 15.2,
  dryRun: false,
  sharers: 0,
  brakeLeftPages: null,
  signal: "SIGKILL",
  unit: "process",
  unitProcesses: 0,
  graceMs: null,
  ceilingPages: null,
  storm: false,
  weighed: [{ pid: 9, pages: 1 }],
  rule: null,
  kept: [],
};
const KILLED: KilledEvent = {
  event: "killed",
  pid: 4101,
  uid: 60001,
  freedBytes: 25165824,
  exitUs: 900,
  exitStatus: 9,
  outcome: null,
  storm: false,
};

/** Programs that end when they are told to. */
class Stage {
  readonly started: AccountProgram[] = [];
  readonly told: string[] = [];
  readonly killed: number[] = [];
  readonly ends: PromiseWithResolvers<ProgramEnd>[] = [];
  readonly journal = new Journal({ nowNs: () => 9e9, now: () => new Date(0) });
  readonly hooks: Hooks;
  nowMs = 0;

  constructor(settings: Partial<Record<HookName, HookSetting>>) {
    this.hooks = new Hooks({
      setting: (hook) => settings[hook],
      pageBytes: 4096,
      start: (program) => this.start(program),
      tell: (where, message) => void this.told.push(`${where}: ${message}`),
      nowMs: () => this.nowMs,
    });
    this.journal.subscribe(this.hooks);
  }

  private start(program: AccountProgram): RunningProgram {
    const end = Promise.withResolvers<ProgramEnd>();
    const pid = this.started.push(program);
    this.ends.push(end);
    return { pid, ended: end.promise, kill: () => void this.killed.push(pid) };
  }

  /** Ends the program that was started at this place. */
  async end(at: number, kind: ProgramEnd["kind"] = "done", message = "x"): Promise<void> {
    this.ends[at]!.resolve({ kind, message });
    for (let n = 0; n < 5; n++) await Promise.resolve();
  }

  inputOf(at: number): Record<string, unknown> {
    const text = new TextDecoder().decode(this.started[at]!.input);
    assertEquals(text.indexOf("\n"), text.length - 1, "one line");
    return JSON.parse(text);
  }
}

Deno.test("before is started beside the kill, with what is known of it", () => {
  const stage = new Stage({ before: SETTING });
  stage.journal.publish(KILL);
  const [{ command, account, timeoutMs, env }] = stage.started as [AccountProgram];
  assertEquals([command, account.uid, timeoutMs], [["/bin/hook", "word"], 65534, 200]);
  assertEquals(env, {
    TOOM_HOOK: "before",
    TOOM_NUMBER: "1",
    TOOM_TS: "1970-01-01T00:00:00.000Z",
    TOOM_EVENT: "kill",
    TOOM_ID: "0A",
    TOOM_UID: "60001",
    TOOM_PID: "4101",
    TOOM_COMM: "python3",
    TOOM_TRIGGER: "kernel",
    TOOM_USAGE_PAGES: "16385",
    TOOM_USAGE_BYTES: "67112960",
    TOOM_SHARED_PAGES: "0",
    TOOM_SHARED_BYTES: "0",
    TOOM_HARD_PAGES: "16384",
    TOOM_HARD_BYTES: "67108864",
    TOOM_OVERSHOOT_BYTES: "4096",
    TOOM_VICTIM_PAGES: "6144",
    TOOM_VICTIM_BYTES: "25165824",
    TOOM_LATENCY_US: "15.2",
    TOOM_DRY_RUN: "0",
    TOOM_SHARERS: "0",
    TOOM_SIGNAL: "SIGKILL",
    TOOM_UNIT: "process",
    TOOM_UNIT_PROCESSES: "0",
    TOOM_STORM: "0",
    EARLYOOM_PID: "4101",
    EARLYOOM_UID: "60001",
    EARLYOOM_NAME: "python3",
  });
  assertEquals(stage.inputOf(0)["weighed"], [{ pid: 9, pages: 1 }]);
});

Deno.test("after is run when the victim has ended, with both the kill and its end", () => {
  const stage = new Stage({ after: { ...SETTING, atOnce: 9 } });
  stage.journal.publish(KILL);
  assertEquals(stage.started.length, 0);
  stage.journal.publish(KILLED);
  const { env } = stage.started[0]!;
  assertEquals(
    [env["TOOM_EVENT"], env["TOOM_ID"], env["TOOM_COMM"], env["TOOM_FREED_BYTES"]],
    ["killed", "0A", "python3", "25165824"],
  );
  assertEquals([stage.inputOf(0)["id"], stage.inputOf(0)["exitStatus"]], ["0A", 9]);
  // Of a kill that is not known, and of another user's process with that number.
  stage.journal.publish(KILLED);
  stage.journal.publish(KILL);
  stage.journal.publish({ ...KILLED, uid: 60002 });
  assertEquals(stage.started.slice(1).map(({ env }) => env["TOOM_ID"]), [undefined, undefined]);
});

Deno.test("soft is run above the soft limit", () => {
  const stage = new Stage({ soft: SETTING });
  const pages = { usagePages: 10, softPages: 9, hardPages: 11 };
  stage.journal.publish({ event: "soft", uid: 7, user: "eva", ...pages });
  const { env } = stage.started[0]!;
  assertEquals([env["TOOM_HOOK"], env["TOOM_USER"], env["TOOM_SOFT_BYTES"]], [
    "soft",
    "eva",
    "36864",
  ]);
});

Deno.test("hostile names are data: one line, no control characters, no zero bytes", () => {
  const stage = new Stage({ before: SETTING });
  const comm = 'a\nTOOM_UID=0\u001b[2J\0$(id)`"\u202e';
  stage.journal.publish({ ...KILL, comm });
  const { env, command } = stage.started[0]!;
  assertEquals(command, ["/bin/hook", "word"]);
  for (const [name, value] of Object.entries(env)) {
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f\x7f\u202e]/.test(value), `${name}=${JSON.stringify(value)}`);
  }
  assertEquals(env["TOOM_UID"], "60001");
  assertEquals(env["EARLYOOM_NAME"], "a_TOOM_UID_0__2J___id____");
  assertEquals(stage.inputOf(0)["comm"], comm, "as it is");
});

Deno.test("no more run than may, those left out are counted, and the journal is not held up", async () => {
  const stage = new Stage({ before: SETTING });
  for (let n = 0; n < 5; n++) stage.journal.publish(KILL);
  assertEquals(stage.started.length, 2);
  const row = { name: "hooks.before", waiting: 2, done: 0, failed: 0, late: 0, left: 3 };
  assertEquals(stage.hooks.report(), [row]);
  const [{ taken, missed, queued }] = stage.journal.report() as [
    ReturnType<Journal["report"]>[number],
  ];
  assertEquals([taken, missed, queued], [5, 0, 0]);
  await stage.end(0);
  stage.journal.publish(KILL);
  assertEquals(stage.started.length, 3);
  stage.hooks.stop();
  assertEquals(stage.killed, [2, 3]);
});

Deno.test("a storm starts no more than so many a second", async () => {
  const stage = new Stage({ before: { ...SETTING, atOnce: 32 } });
  for (let n = 0; n < 50; n++) {
    stage.journal.publish(KILL);
    await stage.end(Math.min(n, stage.started.length - 1));
  }
  assertEquals(stage.started.length, STARTS_PER_SECOND_MAX);
  stage.nowMs += 1000;
  stage.journal.publish(KILL);
  assertEquals(stage.started.length, STARTS_PER_SECOND_MAX + 1);
});

Deno.test("one that fails is told, but not again and again", async () => {
  const stage = new Stage({ before: SETTING });
  stage.journal.publish(KILL);
  await stage.end(0, "failed", "/bin/hook ended with code 1: no");
  stage.journal.publish(KILL);
  await stage.end(1, "late", "/bin/hook took longer");
  assertEquals(stage.told, ["hooks.before: /bin/hook ended with code 1: no"]);
  const [row] = stage.hooks.report();
  assertEquals([row!.failed, row!.late, row!.waiting], [1, 1, 0]);
  stage.nowMs += 60_000;
  stage.journal.publish(KILL);
  await stage.end(2, "failed", "again");
  assertStringIncludes(stage.told[1]!, "again");
});
