/** What `toom top` shows, and what its keys do. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { actionOf, codesOf, keyHelp, KEYS } from "../../../cli/top/keys.ts";
import type { Screen } from "../../../cli/top/screen.ts";
import { type Told, TopState } from "../../../cli/top/state.ts";
import { drawTop } from "../../../cli/top/view.ts";
import type { UserReport } from "../../../service/control/control_api.ts";
import { FAKE_EXPLANATION, FAKE_STATUS } from "../../_support/fake_control.ts";
import { killRecord } from "../../_support/kill_entries.ts";

const BOB = FAKE_STATUS.users[0]!;

function user(uid: number, change: Partial<UserReport>): UserReport {
  return { ...BOB, uid, user: `user${uid}`, ...change };
}

const USERS = [
  user(1, { usagePages: 16384, state: "hard", growthPagesPerSecond: 0, kills: 3 }),
  user(2, { usagePages: 15000, state: "soft", growthPagesPerSecond: 512 }),
  user(3, { usagePages: 100, growthPagesPerSecond: -10, processes: 90, user: null }),
];

function told(change: Partial<Told> = {}): Told {
  return {
    status: { ...FAKE_STATUS, users: USERS.map((one) => ({ ...one })) },
    kills: [killRecord(1), killRecord(2)],
    explanation: undefined,
    cpuShare: 0.0123,
    ...change,
  };
}

function stateOf(change: Partial<Told> = {}): TopState {
  const state = new TopState();
  state.told = told(change);
  state.cursorUid = 1;
  return state;
}

function lines(screen: Screen): string[] {
  return Array.from({ length: screen.rows }, (_, row) => screen.line(row));
}

function uids(state: TopState): number[] {
  return state.users.map(({ uid }) => uid);
}

Deno.test("at 80 by 24 all of it is there", () => {
  const screen = lines(drawTop(stateOf(), 80, 24));
  assertMatch(screen[0]!, /^toom 0\.1\.0, up 1 h 2 min, source raw, 80\.0 MiB, 1\.2 % CPU$/);
  assertMatch(screen[1]!, /^3 users, 2 above soft; kills 1; events 1235\/s$/);
  assertMatch(screen[2]!, /^books in order; in doubt 0; lost 0, shed 0, drift 20\.0 KiB$/);
  assertMatch(screen[4]!, /^USER +UID +USAGE +HARD +GROWTH\/s +HARD IN +PROC +KILLS +USED↓$/);
  assertMatch(screen[5]!, /^user1 +1 +64\.0M +64\.0M +- +- +3 +3 █+ 100%$/);
  assertMatch(screen[6]!, /^user2 +2 +58\.6M +64\.0M +2\.0M +2s +3 +1 █+│? +92%$/);
  assertMatch(screen[7]!, /^3 +3 +400\.0K +64\.0M +-40\.0K +- +90 +1 +│ +0\.6%$/);
  assertEquals(screen[19], "KILLS");
  assertMatch(
    screen[20]!,
    /^10:00:01Z skyzh: pid 210 \(hog\), 15\.6 MiB, 16\.0 KiB over 16\.0 MiB/,
  );
  assertMatch(screen[23]!, /^F1Help F3Search F4Filter uUser F6Sort IInvert ZPause F10Quit/);
  for (const [columns, rows] of [[120, 40], [80, 50], [300, 24]] as const) {
    assertMatch(drawTop(stateOf(), columns, rows).line(rows - 1), /^F1Help/);
  }
  assertMatch(drawTop(stateOf(), 79, 24).line(0), /needs 80 by 24 cells, here are 79 by 24/);
});

Deno.test("a user's processes are shown on request, with who would be killed", () => {
  const state = stateOf({ explanation: FAKE_EXPLANATION });
  state.input("u");
  assertEquals(state.userUid, 1);
  const screen = lines(drawTop(state, 80, 24));
  const at = screen.findIndex((line) => line.includes("COMMAND"));
  assertMatch(screen[at + 1]!, /^ +4101 python3 +24\.0 MiB +20\.0 MiB +1\.0 MiB next$/);
  assertMatch(screen[at + 2]!, /^ +4102 sshd +12\.0 MiB +12\.0 MiB +- protected$/);
  state.input("\u001b[B");
  assertEquals([state.cursorUid, state.userUid], [2, 2], "it goes with the cursor");
  state.input("u");
  assertEquals(state.userUid, undefined);
});

Deno.test("keys sort, invert, filter, search, pause, and end", () => {
  const state = stateOf();
  assertEquals(uids(state), [1, 2, 3]);
  state.input(">>");
  assertEquals([state.sort, uids(state)], ["growth", [2, 1, 3]]);
  state.input("I");
  assertEquals(uids(state), [3, 1, 2]);
  state.input("I<<<");
  assertEquals(state.sort, "kills");
  state.input("\\user2");
  assertEquals(uids(state), [2]);
  assertMatch(drawTop(state, 80, 24).line(23), /^Filter: user2_/);
  state.input("\u007f\r");
  assertEquals([state.filter, uids(state), state.prompt], ["user", [1, 2], undefined]);
  state.input("\\\u001b");
  assertEquals([state.filter, uids(state).length], ["", 3]);
  state.input("/3\r");
  assertEquals(state.cursorUid, 3);
  state.input("Z");
  assert(state.isPaused);
  assertMatch(drawTop(state, 80, 24).line(0), /PAUSED/);
  state.input("--");
  assertEquals(state.refreshMs, 5000);
  state.input("h");
  const help = lines(drawTop(state, 80, 24)).join("\n");
  for (const { shown } of KEYS) assert(help.includes(shown), shown);
  state.input("q");
  assert(!state.isOver && !state.isHelp, "first the help goes");
  state.input("\u001b[21~");
  assert(state.isOver);
});

Deno.test("q and others are letters while a text is typed", () => {
  const state = stateOf();
  state.input("/qZ<");
  assertEquals([state.isOver, state.isPaused, state.prompt?.text], [false, false, "qZ<"]);
});

Deno.test("each code is one key's, and keys are taken apart", () => {
  const codes = KEYS.flatMap((key) => key.codes);
  assertEquals(new Set(codes).size, codes.length);
  assertEquals(keyHelp().length, KEYS.length);
  const taken = codesOf("\u001b[A\u001bOPq\u001b[99;5~x").map((code) => actionOf(code) ?? code);
  assertEquals(taken, ["up", "help", "quit", "\u001b[99;5~", "x"]);
});

Deno.test("a thousand users scroll under the cursor", () => {
  const many = Array.from(
    { length: 1000 },
    (_, index) => user(index, { usagePages: 1000 - index }),
  );
  const state = stateOf({ status: { ...FAKE_STATUS, users: many } });
  state.cursorUid = 0;
  state.input("\u001b[F");
  assertEquals(state.cursorUid, 999);
  assertMatch(drawTop(state, 80, 24).line(18), /^user999 /);
  state.input("\u001b[H\u001b[6~");
  assertEquals(state.cursorUid, 10);
  const began = performance.now();
  for (let frame = 0; frame < 20; frame++) drawTop(state, 200, 60);
  assert((performance.now() - began) / 20 < 50);
});

Deno.test("hostile names stay in their cells", () => {
  const name = "\u001b[2Ja\nb漢\u202ec";
  const kill = { ...killRecord(1), comm: name, user: name };
  const process = { ...FAKE_EXPLANATION.processes[0]!, comm: name };
  const explanation = { ...FAKE_EXPLANATION, processes: [process] };
  const state = stateOf({
    kills: [kill],
    explanation,
    status: { ...FAKE_STATUS, users: [user(1, { user: name })] },
  });
  state.userUid = 1;
  const screen = drawTop(state, 80, 24);
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u001f\u202e漢]/.test(lines(screen).join("")));
  assertMatch(screen.line(23), /^F1Help/);
});
