import {
  BLOCKS_AFTER_MS,
  ENDS_WITHIN_MS,
  HANGS_AFTER_MS,
  RESTART_EVERY_MS,
  START_MS_MAX,
  STARVES_AFTER_MS,
} from "../../../pipeline/memory/timing.ts";
import { assertEquals } from "@std/assert";
import { RoleWatch, type WatchPort } from "../../../pipeline/lifecycle/role_watch.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { Fault, Role, RoleState, RoleWord } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { SMALL } from "../../_support/desk.ts";

const TID = 77;

/** Roles that are watched, whose threads do what the test says. */
class Stage implements WatchPort {
  readonly memory = attachMemory(createMemory(SMALL));
  readonly watch: RoleWatch;
  /** What happened, in order. */
  readonly told: string[] = [];
  /** By thread. */
  readonly threads = new Map<number, string>();
  nowMs = 100_000;

  constructor(roles: readonly number[], restarts: Record<string, number> = {}) {
    this.watch = new RoleWatch(this.memory, roles, this, restarts);
    this.watch.start(this.nowMs);
    this.watch.step(this.nowMs);
    this.told.length = 0;
  }

  start(role: number, epoch: number, isReplacement: boolean): void {
    this.told.push(`start ${role} epoch ${epoch}${isReplacement ? " again" : ""}`);
  }

  threadState(tid: number): string | undefined {
    return this.threads.get(tid);
  }

  restarted(role: number, reason: string, downMs: number): void {
    this.told.push(`restarted ${role} ${reason} ${downMs}`);
  }

  hangs(role: number, reason: string, silentMs: number): void {
    this.told.push(`hangs ${role} ${reason} ${silentMs}`);
  }

  words(role: number): Int32Array {
    return attachRole(this.memory, role);
  }

  /** A role runs, on a thread in this state. */
  runs(role: number, state = "S"): this {
    this.words(role)[RoleWord.state] = RoleState.running;
    this.words(role)[RoleWord.tid] = TID + role;
    this.threads.set(TID + role, state);
    return this;
  }

  beats(role: number): this {
    this.words(role)[RoleWord.heartbeat]!++;
    return this;
  }

  /** Time passes in steps of 50 ms. @returns After how long something was told, and what. */
  until(ms: number): string {
    const beganMs = this.nowMs;
    while (this.nowMs < beganMs + ms) {
      this.nowMs += 50;
      this.watch.step(this.nowMs);
      if (this.told.length > 0) return `${this.nowMs - beganMs}: ${this.told.splice(0).join("; ")}`;
    }
    return "nothing";
  }
}

Deno.test("a role whose heartbeat rises is left alone; one whose does not is told to hang", () => {
  const stage = new Stage([Role.accounting, Role.killer]).runs(Role.accounting).runs(Role.killer);
  for (let i = 0; i < 30; i++) {
    assertEquals(stage.beats(Role.accounting).beats(Role.killer).until(200), "nothing");
  }
  const hung = `hangs ${Role.killer} hung: no heartbeat for 550 ms 550`;
  stage.beats(Role.killer).until(50);
  for (let i = 0; i < 10; i++) stage.beats(Role.accounting).until(50);
  assertEquals(stage.beats(Role.accounting).until(50), `50: ${hung}`);
  // And again and again.
  assertEquals(stage.beats(Role.accounting).until(50).includes("hangs"), true);
});

for (
  const [name, role, state, afterMs] of [
    ["one off the events' path that is ready to run", Role.sweeper, "R", STARVES_AFTER_MS],
    ["one on the events' path that is ready to run", Role.killer, "R", HANGS_AFTER_MS],
    ["a reader that is ready to run", Role.reader, "R", HANGS_AFTER_MS],
    ["one that waits for a disk", Role.killer, "D", BLOCKS_AFTER_MS],
    ["one that sleeps", Role.sweeper, "S", HANGS_AFTER_MS],
  ] as const
) {
  Deno.test(`${name} hangs after ${afterMs} ms without a heartbeat`, () => {
    const stage = new Stage([role]).runs(role, state);
    stage.beats(role).until(50);
    assertEquals(stage.until(20_000).split(":")[0], String(afterMs + 50));
  });
}

Deno.test("one that starts has ten seconds", () => {
  const stage = new Stage([Role.sweeper]);
  assertEquals(stage.until(30_000).split(":")[0], String(START_MS_MAX + 50));
});

Deno.test("silence while the supervisor itself did not run proves nothing", () => {
  const stage = new Stage([Role.killer]).runs(Role.killer);
  stage.beats(Role.killer).until(50);
  stage.nowMs += 60_000;
  stage.watch.step(stage.nowMs);
  assertEquals(stage.told, []);
  assertEquals(stage.until(2000).split(":")[0], "300");
});

Deno.test("one that throws is replaced when its thread is gone, and told when it works", () => {
  const { killer } = Role;
  const stage = new Stage([killer], { killer: 4 }).runs(killer);
  stage.words(killer)[RoleWord.fault] = Fault.throw;
  stage.watch.threw(killer, "threw: x", stage.nowMs);
  assertEquals(stage.watch.failureOf(killer), "threw: x");
  assertEquals(stage.watch.awaitsEnd(killer, stage.nowMs), true);
  assertEquals(stage.until(100), "nothing");
  stage.threads.clear();
  assertEquals(stage.watch.awaitsEnd(killer, stage.nowMs), false);
  assertEquals(stage.told.splice(0), [`start ${killer} epoch 2 again`]);
  assertEquals(stage.words(killer)[RoleWord.fault], Fault.none);
  assertEquals(stage.until(100), "nothing");
  stage.runs(killer);
  assertEquals(stage.beats(killer).until(50), `50: restarted ${killer} threw: x 250`);
  assertEquals(stage.watch.failureOf(killer), undefined);
  const [report] = stage.watch.reports(stage.nowMs + 7);
  assertEquals(report, {
    role: killer,
    restarts: 5,
    heartbeatAgeMs: 7,
    state: RoleState.running,
  });
});

Deno.test("what was before a successor began is no silence of its", () => {
  const { killer } = Role;
  const stage = new Stage([killer]).runs(killer);
  stage.beats(killer).until(50);
  stage.watch.threw(killer, "threw: x", stage.nowMs);
  stage.threads.clear();
  stage.nowMs += 200;
  stage.watch.awaitsEnd(killer, stage.nowMs);
  stage.runs(killer).watch.step(stage.nowMs);
  stage.told.length = 0;
  assertEquals(stage.until(2000).split(":")[0], String(HANGS_AFTER_MS + 50));
});

Deno.test("one that threw and whose thread does not end is told to hang", () => {
  const stage = new Stage([Role.killer]).runs(Role.killer);
  stage.watch.threw(Role.killer, "threw: x", stage.nowMs);
  assertEquals(stage.watch.awaitsEnd(Role.killer, stage.nowMs + ENDS_WITHIN_MS), true);
  assertEquals(stage.told, []);
  assertEquals(stage.watch.awaitsEnd(Role.killer, stage.nowMs + ENDS_WITHIN_MS + 1), true);
  assertEquals(stage.told, [
    `hangs ${Role.killer} threw: x, and its thread does not end ${ENDS_WITHIN_MS + 1}`,
  ]);
});

Deno.test("one that throws at once, again and again, is started once a second", () => {
  const stage = new Stage([Role.killer]);
  const starts: number[] = [];
  for (let i = 0; i < 300; i++) {
    stage.nowMs += 10;
    stage.watch.step(stage.nowMs);
    stage.watch.awaitsEnd(Role.killer, stage.nowMs);
    if (i === 0 || stage.told.some((what) => what.startsWith("start"))) {
      if (i > 0) starts.push(stage.nowMs);
      stage.told.length = 0;
      stage.watch.threw(Role.killer, "threw: x", stage.nowMs);
    }
  }
  assertEquals(starts.length, 3);
  assertEquals(starts.slice(1).map((ms, i) => ms - starts[i]! >= RESTART_EVERY_MS), [true, true]);
});

Deno.test("while all is stopped nobody is replaced, and nobody hangs", () => {
  const stage = new Stage([Role.killer]).runs(Role.killer);
  stage.watch.stop();
  stage.watch.threw(Role.killer, "threw: x", stage.nowMs);
  assertEquals(stage.watch.awaitsEnd(Role.killer, stage.nowMs), false);
  assertEquals(stage.until(20_000), "nothing");
});
