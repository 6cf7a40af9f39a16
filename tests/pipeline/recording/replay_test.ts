/** A recording of accounting and killer on random records is replayed kill for kill. */
import { assert, assertEquals } from "@std/assert";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { VICTIM_POLICIES } from "../../../pipeline/memory/settings.ts";
import type { RecordingReplay } from "../../../pipeline/replay/recording_replay.ts";
import type { EffectName, VictimRule } from "../../../pipeline/rules/victim_rule.ts";
import { namesOf, splitKeyframe, withoutTags, withTexts } from "../../_support/recorded_chunks.ts";
import { recordRun, replayChunks, RUN_NAMES, type RunKill } from "../../_support/recorded_run.ts";

function killsOf(replay: RecordingReplay): RunKill[] {
  return replay.kills.map(({ uid, pid, usagePages, victimPages }) => ({
    uid,
    pid,
    usagePages,
    victimPages,
  }));
}

for (const policy of VICTIM_POLICIES) {
  Deno.test(`what was recorded from the first record on is decided again: ${policy}`, () => {
    let kills = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const run = recordRun({ seed, policy, steps: 600, before: 0 });
      const replay = replayChunks(run.chunks);
      assertEquals(killsOf(replay), run.kills, `seed ${seed}`);
      kills += run.kills.length;
    }
    assert(kills > 100, `${kills}`);
  });
}

function rule(command: typeof RUN_NAMES[number], effect: EffectName, weight = 1): VictimRule {
  return { match: { command: { equals: command } }, effect, weight, place: "a:1", text: "" };
}

const RULES = [rule("build", "prefer"), rule("shell", "avoid"), rule("game", "protect")];

Deno.test("what rules said of processes when somebody was killed, they say in the replay", () => {
  let kills = 0;
  let others = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 600, before: 0, rules: RULES });
    assertEquals(killsOf(replayChunks(run.chunks)), run.kills, `seed ${seed}`);
    const without = killsOf(replayChunks(withoutTags(run.chunks)));
    kills += run.kills.length;
    others += run.kills.filter(({ pid }) => !without.some((one) => one.pid === pid)).length;
  }
  assert(kills > 100, `${kills}`);
  assert(others > 20, `the rules decide: ${others} of ${kills} would be others without them`);
});

Deno.test("other rules say who would have been killed with them", () => {
  const ofNames = new Set<string>(RUN_NAMES);
  const protect = RUN_NAMES.slice(0, -1).map((name) => rule(name, "protect"));
  let spared = 0;
  let kills = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 600, before: 100, rules: [] });
    const everNamed = namesOf(run.chunks);
    assert([...everNamed.values()].every((names) => names.every((name) => ofNames.has(name))));
    const mayGo = ({ pid }: RunKill): boolean => everNamed.get(pid)?.includes("other") ?? true;
    const replayed = killsOf(replayChunks(run.chunks, { rules: protect }));
    assertEquals(replayed.filter((kill) => !mayGo(kill)), [], `seed ${seed}`);
    spared += run.kills.filter((kill) => !mayGo(kill)).length;
    kills += replayed.length;
  }
  assert(spared > 100 && kills > 20, `${spared} spared, ${kills} killed`);
});

Deno.test("a rule with a pattern, on what only texts say, holds in a replay", () => {
  const match = { commandLine: { pattern: "--serve" } };
  const served: VictimRule = { ...rule("other", "protect"), match };
  const patterns = { compile: (pattern: string) => (text: string) => text.includes(pattern) };
  const isServing = (pid: number): boolean => pid % 2 === 0;
  let kills = 0;
  let servingKills = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 900, before: 0, rules: [] });
    const chunks = withTexts(run.chunks, (pid) => isServing(pid) ? "x --serve" : "x");
    const replayed = replayChunks(chunks, { rules: [served], patterns }).kills;
    assertEquals(replayed.filter(({ pid }) => isServing(pid)), [], `seed ${seed}`);
    kills += replayed.length;
    const without = replayChunks(chunks, { rules: [] }).kills;
    servingKills += without.filter(({ pid }) => isServing(pid)).length;
  }
  assert(kills > 50 && servingKills > 50, `${kills}, and ${servingKills}`);
});

Deno.test("the rules that it was recorded with, given anew, decide as the tags did", () => {
  let asTags = 0;
  let asNone = 0;
  let kills = 0;
  const same = (one: readonly RunKill[], other: readonly RunKill[]): number =>
    one.filter(({ pid }) => other.some((kill) => kill.pid === pid)).length;
  for (let seed = 1; seed <= 30; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 600, before: 0, rules: RULES });
    const tagged = killsOf(replayChunks(run.chunks, {}));
    asTags += same(tagged, killsOf(replayChunks(run.chunks, { rules: RULES })));
    asNone += same(tagged, killsOf(replayChunks(run.chunks, { rules: [] })));
    kills += tagged.length;
  }
  assert(asTags / kills > 0.9, `${asTags} of ${kills}, ${asNone} with none`);
  assert(asNone / kills < 0.85, `${asNone} of ${kills}`);
});

Deno.test("what was recorded while other members came to count for a user is decided again", () => {
  let [before, after] = [0, 0];
  for (let seed = 1; seed <= 20; seed++) {
    const options = { seed, policy: "largest", steps: 900, before: 0 } as const;
    const run = recordRun({ ...options, countsOtherAt: 300 });
    const replay = replayChunks(run.chunks);
    assertEquals(killsOf(replay), run.kills, `seed ${seed}`);
    const ofFirst = (kills: readonly RunKill[]): number =>
      kills.filter(({ uid }) => uid === 1001).length;
    before += ofFirst(recordRun(options).kills);
    after += ofFirst(run.kills);
    const first = replay.users().find(({ uid }) => uid === 1001);
    assertEquals(first?.usagePages, 0, "it has no files");
  }
  assert(after > 0 && after < before, `${after} of ${before}`);
});

Deno.test("what was recorded from the middle on is decided again", () => {
  // Half of the users grow without end here, and whom the killer spared a moment before is not in a
  // keyframe: some runs begin in the middle of that.
  let same = 0;
  let kills = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 600, before: 300 });
    const left = new Set(killsOf(replayChunks(run.chunks)).map(({ uid, pid }) => `${uid} ${pid}`));
    same += run.kills.filter(({ uid, pid }) => left.delete(`${uid} ${pid}`)).length;
    kills += run.kills.length + left.size;
  }
  assert(kills > 400, `${kills}`);
  assert(same / kills > 0.95, `${same} of ${kills}`);
});

Deno.test("a keyframe has what rules said before it", () => {
  let same = 0;
  let sameWithout = 0;
  let kills = 0;
  const count = (replay: RecordingReplay, run: readonly RunKill[]): number => {
    const left = new Set(killsOf(replay).map(({ uid, pid }) => `${uid} ${pid}`));
    return run.filter(({ uid, pid }) => left.has(`${uid} ${pid}`)).length;
  };
  for (let seed = 1; seed <= 20; seed++) {
    const run = recordRun({ seed, policy: "largest", steps: 200, before: 300, rules: RULES });
    same += count(replayChunks(run.chunks), run.kills);
    // Only those of the keyframe are missing.
    sameWithout += count(replayChunks(withoutTags(run.chunks, false)), run.kills);
    kills += run.kills.length;
  }
  assert(kills > 50, `${kills}`);
  // Users of whom nobody may go are over for long, and when the killer looks again is not told.
  assert(sameWithout < same, `${sameWithout} and ${same} of ${kills}`);
});

Deno.test("a keyframe of more records than one chunk holds is read to its end", () => {
  const run = recordRun({ seed: 4, policy: "largest", steps: 600, before: 300, rules: RULES });
  const split = splitKeyframe(run.chunks);
  assert(split.length > run.chunks.length);
  assertEquals(killsOf(replayChunks(split)), killsOf(replayChunks(run.chunks)));
});

Deno.test("a file that ends anywhere gives what stands before", () => {
  const run = recordRun({ seed: 3, policy: "largest", steps: 2000, before: 0 });
  const whole = killsOf(replayChunks(run.chunks));
  assert(whole.length > 10);
  let last = -1;
  for (let count = 1; count <= run.chunks.length; count++) {
    const replay = replayChunks(run.chunks.slice(0, count));
    assertEquals(killsOf(replay), whole.slice(0, replay.kills.length), `${count} chunks`);
    assertEquals(replay.tail !== undefined, count === run.chunks.length);
    assert(replay.kills.length >= last);
    last = replay.kills.length;
  }
  assertEquals(last, whole.length);
});

Deno.test("records that came too fast are counted, and the replay goes on after them", () => {
  const stall = [1000, 1600] as const;
  const run = recordRun({
    seed: 5,
    policy: "largest",
    steps: 3000,
    before: 0,
    stall,
    ringRecords: 512,
  });
  const replay = replayChunks(run.chunks);
  assert(replay.losses.length > 0);
  assert(replay.losses.every(({ records }) => records > 0));
  assertEquals(replay.gaps.length, 1);
  const [{ fromNs, untilNs }] = replay.gaps as [{ fromNs: number; untilNs: number }];
  assert(fromNs < untilNs && untilNs < replay.lastNs);
  assert(replay.tail!.lostRecords > 256);
  const before = replay.kills.filter(({ tsNs }) => tsNs < fromNs);
  const after = replay.kills.filter(({ tsNs }) => tsNs > untilNs);
  assert(before.length > 10 && after.length > 10, `${before.length}, ${after.length}`);
  assertEquals(
    before.map(({ pid, usagePages }) => [pid, usagePages]),
    run.kills.slice(0, before.length).map(({ pid, usagePages }) => [pid, usagePages]),
  );
});

Deno.test("higher limits spare, lower ones kill more, and nobody is killed without one", () => {
  const run = recordRun({ seed: 7, policy: "largest", steps: 1500, before: 0 });
  const withHard = (hardPages: number): number => {
    const limits = (recorded: LimitRules): LimitRules => {
      const rules = new LimitRules();
      for (const rule of recorded.list()) {
        rules.set({ ...rule, hardPages, softPages: hardPages });
      }
      return rules;
    };
    return replayChunks(run.chunks, { limits }).kills.length;
  };
  assert(run.kills.length > 5);
  assert(withHard(200) > run.kills.length);
  assertEquals(withHard(1e6), 0);
  assertEquals(replayChunks(run.chunks, { limits: () => new LimitRules() }).kills, []);
});

Deno.test("another policy chooses others, and who is protected stays so", () => {
  const run = recordRun({ seed: 9, policy: "largest", steps: 1500, before: 0 });
  const newest = replayChunks(run.chunks, { settings: { victimPolicy: "newest" } });
  const largest = replayChunks(run.chunks, { settings: { victimPolicy: "largest" } });
  assert(newest.kills.length > 0);
  const average = (replay: RecordingReplay): number =>
    replay.kills.reduce((sum, { victimPages }) => sum + victimPages, 0) / replay.kills.length;
  assert(average(newest) < average(largest));
});
