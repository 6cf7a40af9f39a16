/** A recording of accounting and killer on random records is replayed kill for kill. */
import { assert, assertEquals } from "@std/assert";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { VICTIM_POLICIES } from "../../../pipeline/memory/settings.ts";
import type { RecordingReplay } from "../../../pipeline/replay/recording_replay.ts";
import { recordRun, replayChunks, type RunKill } from "../../_support/recorded_run.ts";

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
