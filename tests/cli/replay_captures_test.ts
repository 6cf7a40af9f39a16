import { assert, assertEquals } from "@std/assert";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { Replay, REPLAY_CAPACITY } from "../../pipeline/replay/replay.ts";
import { VICTIM_POLICIES } from "../../pipeline/memory/settings.ts";
import { TextParser } from "../../kernel/trace/text_parser.ts";
import { CAPTURE_CPUS, PAGE_BYTES, readCapture } from "../_support/captures.ts";
import { captureArgs, lastSizes, replayAll } from "../_support/replay_run.ts";

const CAPTURES = Object.keys(CAPTURE_CPUS);
/** The launcher, which outlives most captures, has 8 MiB: below, around and above that. */
const LIMITS = ["64KiB", "1MiB", "8MiB", "8500KiB"];

/** The kernel rounds text to microseconds: (ns + 500) / 1000. */
function rounded<Row extends { readonly ts: number }>(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, ts: Math.floor((row.ts + 500) / 1000) * 1000 }));
}

for (const name of CAPTURES) {
  Deno.test(`replay gives the same from raw and text of ${name}`, async () => {
    const policies = VICTIM_POLICIES.flatMap((policy) =>
      LIMITS.map((limit) => ["--assume-uid", "7", "--limit", `7=${limit}`, "--victim", policy])
    );
    let kills = 0;
    for (const extra of [[], ["--assume-uid", "7"], ["--count", "rss"], ...policies]) {
      const raw = await replayAll([...captureArgs(name, "raw"), ...extra]);
      const text = await replayAll([...captureArgs(name, "trace"), ...extra]);
      const what = extra.join(" ");
      assertEquals(rounded(raw.events), text.events, `events ${what}`);
      assertEquals(raw.summary.events, raw.events.length);
      assertEquals(raw.summary.lifecycle, text.summary.lifecycle, `life cycle ${what}`);
      assertEquals(raw.summary.mms, text.summary.mms, `mms ${what}`);
      assertEquals(raw.summary.users, text.summary.users, `users ${what}`);
      assertEquals(rounded(raw.summary.decisions), text.summary.decisions, `decisions ${what}`);
      kills += raw.summary.decisions.filter(({ event }) => event === "kill").length;
    }
    assert(kills > 0, "no limit was passed: the decisions were not compared");
  });

  Deno.test(`replay leaves each mm of ${name} with its members' last sizes`, async () => {
    for (const source of ["raw", "trace", "pipe"] as const) {
      const { events, summary } = await replayAll(captureArgs(name, source));
      const expected = lastSizes(events, PAGE_BYTES);
      assertEquals(summary.mms.map(({ mmId }) => mmId), [...expected.keys()].sort((a, b) => a - b));
      for (const { mmId, pages, tgid, uid } of summary.mms) {
        assertEquals(pages, expected.get(mmId!), `${source} mm ${mmId}`);
        assert(tgid !== null && tgid > 0, `${source} mm ${mmId} belongs to nobody`);
        assertEquals(uid, null);
      }
    }
  });

  Deno.test(`replay ends at zero with every mm of ${name} that ended`, async () => {
    for (const source of ["raw", "trace", "pipe"] as const) {
      const { events, summary } = await replayAll(captureArgs(name, source));
      const last = new Map(events.map((event) => [event.mmId, event]));
      const ended = [...last.values()].filter(({ curr, bytes }) => curr === 0 && bytes === 0);
      for (const { mmId } of ended) {
        const { pages } = summary.mms.find((mm) => mm.mmId === mmId)!;
        assertEquals(pages, { file: 0, anon: 0, swap: 0, shmem: 0 }, `${source} mm ${mmId}`);
      }
      // Whose mm did not end: the launcher.
      const alive = summary.mms.filter(({ pages }) => pages.anon > 0);
      assert(alive.length <= 1, `${source}: ${JSON.stringify(alive)}`);
      assertEquals(alive.length + ended.length, summary.mms.length);
    }
  });
}

Deno.test("replay finds the owners that the life-cycle events tell", async () => {
  // 12 children of one parent; each mm was built by the parent, and most ids were used again.
  const { summary } = await replayAll([...captureArgs("fork_storm", "raw"), "--assume-uid", "7"]);
  const owners = summary.mms.map(({ tgid }) => tgid);
  assertEquals(new Set(owners).size, owners.length);
  assertEquals(summary.mms.filter(({ uid }) => uid !== 7), []);
  // Five children of vfork acted as if the parent's mm were theirs.
  const vfork = await replayAll(captureArgs("vfork_exec", "raw"));
  const claims = vfork.events.filter(({ mmId, curr }) => mmId === 2736127431 && curr === 1);
  assertEquals(new Set(claims.map(({ tid }) => tid)).size, 6);
  const owner = (mmId: number): number | null =>
    vfork.summary.mms.find((mm) => mm.mmId === mmId)!.tgid;
  assertEquals(owner(2736127431), 13697);
  // The launcher: its only emitter was the child that it had made by vfork.
  assertEquals(owner(4082451362), 13556);
});

Deno.test("replay tells of losses where the source does", async () => {
  const raw = await replayAll(captureArgs("lost_small_buffer", "raw"));
  assertEquals(raw.losses.map(({ lost }) => lost), [raw.summary.lost]);
  assertEquals(raw.losses[0]!.cpu, 0);
  assert(raw.losses[0]!.ts <= raw.events[0]!.ts);
  const pipe = await replayAll(captureArgs("lost_small_buffer", "pipe"));
  assertEquals(pipe.losses.map(({ lost }) => lost), [pipe.summary.lost]);
  assert(pipe.summary.lost > 0);
});

Deno.test("replay keeps the books balanced all along", () => {
  for (const name of CAPTURES) {
    const limits = new LimitRules();
    limits.set({ uidFirst: 7, uidLast: 7, hardPages: 300, softPages: 200 });
    const replay = new Replay({
      capacity: REPLAY_CAPACITY,
      countMask: 0b1110,
      policy: "largest",
      limits,
      assumeUid: 7,
    });
    const parser = new TextParser(replay.writer, { pageBytes: PAGE_BYTES });
    const bytes = readCapture(`${name}.trace.txt`);
    for (let at = 0; at < bytes.length; at += 500) {
      const piece = bytes.slice(at, at + 500);
      parser.push(piece, piece.length);
      replay.drain();
      replay.check();
    }
  }
});
