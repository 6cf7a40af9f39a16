/** `toom top --record`: a moment of a recording is what the replay has there, whichever way it is come to. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { RecordingPlayer } from "../../../cli/recording_player.ts";
import { topCommand } from "../../../cli/top.ts";
import { keyHelp, KEYS, RECORDING_KEYS } from "../../../cli/top/keys.ts";
import { RecordingState, type ToldMoment } from "../../../cli/top/recording.ts";
import { drawRecording } from "../../../cli/top/recording_view.ts";
import { DEFLATE } from "../../../kernel/packing/deflate.ts";
import {
  ChunkType,
  fileHead,
  readChunk,
  type RecordedKill,
  RECORDS_HEAD_BYTES,
  Stream,
  writeChunk,
} from "../../../pipeline/recording/format.ts";
import { unpackRecords } from "../../../pipeline/recording/pack_records.ts";
import { RecordingReplay } from "../../../pipeline/replay/recording_replay.ts";
import { FAKE_EXPLANATION, FAKE_STATUS } from "../../_support/fake_control.ts";
import { Random } from "../../_support/random.ts";
import { needing } from "../../_support/real_kernel.ts";
import { withKills } from "../../_support/recorded_chunks.ts";
import { recordRun, replayChunks, type RunOptions } from "../../_support/recorded_run.ts";
import { TMUX, Tmux } from "../../_support/tmux.ts";

const PROGRAM = new URL("../../../mod.ts", import.meta.url).pathname;
const STARTED_AT = "2026-05-06T10:00:00.000Z";
const RUN: RunOptions = { seed: 3, policy: "largest", steps: 1500, before: 100 };

type Chunks = readonly Uint8Array<ArrayBuffer>[];

/** A run with the kills that its replay decides. */
function recorded(options: Partial<RunOptions> = {}): { chunks: Chunks; kills: RecordedKill[] } {
  const { chunks } = recordRun({ ...RUN, ...options });
  const kills = replayChunks(chunks).kills.map((kill, index) => ({
    ...kill,
    id: `kill-${index}`,
    trigger: "user",
    dryRun: false,
  }));
  return { chunks: withKills(chunks, STARTED_AT, kills), kills };
}

async function withFile(
  parts: readonly Uint8Array<ArrayBuffer>[],
  body: (path: string, dirPath: string) => Promise<void>,
): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  try {
    const path = `${dirPath}/a.toomrec`;
    await Deno.writeFile(path, new Uint8Array(await new Blob([...parts]).arrayBuffer()));
    await body(path, dirPath);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

const goOn = (): Promise<boolean> => Promise.resolve(true);
const noName = (): null => null;

async function opened(path: string): Promise<RecordingPlayer> {
  const player = new RecordingPlayer(path);
  assert(await player.scan(goOn));
  return player;
}

async function at(player: RecordingPlayer, ns: number, userUid?: number): Promise<ToldMoment> {
  assert(await player.seek(() => ns, goOn, () => userUid));
  return player.moment(userUid, noName);
}

/** What a replay that takes whole chunks has whenever accounting's steps of one are taken. */
function boundaries(chunks: Chunks): { ns: number; users: unknown[] }[] {
  const found: { ns: number; users: unknown[] }[] = [];
  let replay: RecordingReplay | undefined;
  for (const bytes of chunks) {
    const result = readChunk(bytes, DEFLATE);
    if (result.is !== "chunk") throw new Error(JSON.stringify(result));
    const { type, payload } = result.chunk;
    if (replay === undefined) {
      replay = new RecordingReplay(JSON.parse(new TextDecoder().decode(payload)));
      continue;
    }
    replay.take(result.chunk);
    if (type !== ChunkType.records) continue;
    if (
      new DataView(payload.buffer, payload.byteOffset).getUint32(0, true) !== Stream.accountingLog
    ) continue;
    const { count, doubles } = unpackRecords(payload.subarray(RECORDS_HEAD_BYTES));
    found.push({ ns: doubles[(count - 1) * 4]!, users: usersOf(replay.users()) });
  }
  return found;
}

function usersOf(
  users: readonly { uid: number; usagePages: number; hardPages: number | null }[],
): unknown[] {
  return users.map(({ uid, usagePages, hardPages }) => [uid, usagePages, hardPages])
    .sort((a, b) => Number(a[0]) - Number(b[0]));
}

Deno.test("a moment has the users of a replay up to there, and the kills until then", async () => {
  const { chunks, kills } = recorded();
  const expected = boundaries(chunks);
  assert(expected.length > 2, `${expected.length}`);
  await withFile([fileHead(), ...chunks], async (path) => {
    using player = await opened(path);
    assertEquals(player.damage, undefined);
    for (const { ns, users } of expected) {
      const moment = await at(player, ns);
      assertEquals(usersOf(moment.users), users);
      const until = kills.filter(({ tsNs }) => tsNs <= ns);
      assertEquals(moment.kills, until);
      const counts = moment.users.map((user) => user.kills);
      assertEquals(counts.reduce((sum, count) => sum + count, 0), until.length);
    }
    const end = await at(player, player.lastNs);
    assertEquals(usersOf(end.users), usersOf(replayChunks(chunks).users()));
    assertEquals(end.kills.length, kills.length);
    assert(kills.length > 10, `${kills.length}`);
  });
});

Deno.test("seeking back, ahead and in small steps comes to what a fresh seek comes to", async () => {
  const random = new Random(5);
  for (const options of [{}, { stall: [500, 700], ringRecords: 256 }] as const) {
    const { chunks } = recorded(options);
    await withFile([fileHead(), ...chunks], async (path) => {
      using player = await opened(path);
      const spanNs = player.lastNs - player.firstNs;
      assert(spanNs > 2e9);
      let gaps = 0;
      let growing = 0;
      for (let count = 0; count < 25; count++) {
        const ns = player.firstNs + Math.floor(spanNs * random.below(1001) / 1000);
        // Not straight there.
        if (random.oneIn(2)) await at(player, player.firstNs + random.below(spanNs));
        const moment = await at(player, ns, 1002);
        using fresh = await opened(path);
        assertEquals(moment, await at(fresh, ns, 1002), `${ns}`);
        if (moment.isGap) gaps++;
        if (moment.users.some(({ growthPagesPerSecond }) => growthPagesPerSecond > 0)) growing++;
      }
      assertEquals(gaps > 0, "stall" in options, "records were lost in one of them");
      assert(growing > 0);
      let last: ToldMoment | undefined;
      for (let ns = player.firstNs; ns < player.lastNs; ns += 7e6) {
        last = await at(player, ns, 1001);
      }
      using fresh = await opened(path);
      assertEquals(last, await at(fresh, last!.atNs, 1001));
    });
  }
});

Deno.test("processes of a user have their names, their pages and their fates", async () => {
  const { chunks } = recorded();
  await withFile([fileHead(), ...chunks], async (path) => {
    using player = await opened(path);
    const { explanation, users } = await at(player, player.firstNs + 1e9, 1001);
    const processes = explanation!.processes;
    const user = users.find(({ uid }) => uid === 1001)!;
    assertEquals(processes.length, user.processes);
    assertEquals(
      processes.reduce((sum, { countedPages }) => sum + countedPages, 0),
      user.countedPages,
    );
    for (const { pid, comm } of processes) assertEquals(comm, `p${pid}`);
    assertEquals(processes.filter(({ fate }) => fate === "next").length, 1);
  });
});

Deno.test("reading and seeking can be ended, and gone on with, and another moment wanted meanwhile", async () => {
  const { chunks } = recorded();
  await withFile([fileHead(), ...chunks], async (path) => {
    // Others run after each chunk.
    using player = new RecordingPlayer(path, 0);
    const shares: number[] = [];
    const endAt = (count: number) => (share: number): Promise<boolean> => {
      shares.push(share);
      return Promise.resolve(shares.length % count !== 0);
    };
    assert(!await player.scan(endAt(3)));
    assertEquals([shares.length, player.firstNs === player.lastNs], [3, true]);
    assert(await player.scan(goOn));
    assert(player.lastNs > player.firstNs);
    shares.length = 0;
    assert(!await player.seek(() => player.lastNs, endAt(5)));
    assertEquals(shares.length, 5);
    assert(shares.every((share, index) => share >= (shares[index - 1] ?? 0) && share <= 1));
    using fresh = await opened(path);
    assertEquals(await at(player, player.lastNs, 1001), await at(fresh, player.lastNs, 1001));
    let asked = 0;
    // Wants the end, then the middle, then the beginning.
    const middleNs = player.firstNs + 2e9;
    const wanted = (): number => [player.lastNs - 1, middleNs][asked++] ?? player.firstNs;
    assert(await player.seek(wanted, goOn));
    const moment = player.moment(undefined, noName);
    assertEquals([asked > 2, moment.atNs], [true, player.firstNs]);
    using other = await opened(path);
    assertEquals(moment, await at(other, other.firstNs));
  });
});

Deno.test("the seconds before a moment are kept: going back to them replays nothing", async () => {
  const { chunks } = recorded({ steps: 3000 });
  await withFile([fileHead(), ...chunks], async (path) => {
    using player = new RecordingPlayer(path, 0);
    assert(await player.scan(goOn));
    const fromNs = Math.round(player.firstNs + 5.3e9);
    assert(fromNs < player.lastNs);
    await at(player, fromNs);
    let turns = 0;
    const counting = (): Promise<boolean> => Promise.resolve(++turns > 0);
    for (let back = 1; back <= 5; back++) {
      const ns = fromNs - back * 1e9;
      for (const uid of [undefined, 1001, 1003]) {
        assert(await player.seek(() => ns, counting, () => uid));
        using fresh = await opened(path);
        assertEquals(player.moment(uid, noName), await at(fresh, ns, uid), `${back} s`);
      }
    }
    assertEquals(turns, 0);
    assert(await player.seek(() => fromNs - 1.5e9, counting));
    assert(turns > 0, "what is not kept is replayed");
  });
});

Deno.test("of a damaged file what stands before is shown, of a forged one too", async () => {
  const { chunks } = recorded();
  const cut = [fileHead(), ...chunks.slice(0, -4), chunks.at(-4)!.slice(0, 30)];
  const stream = new Uint8Array(new Uint32Array([63, 0]).buffer);
  const forged = writeChunk(
    ChunkType.records,
    new Uint8Array([...stream, ...new Uint8Array(9)]),
    DEFLATE,
  );
  const half = chunks.length >> 1;
  for (
    const [parts, why] of [
      [cut, /^it is cut, in a chunk at byte \d+$/],
      [
        [fileHead(), ...chunks.slice(0, half), forged, ...chunks.slice(half)],
        /, before byte \d+ of \d+$/,
      ],
    ] as const
  ) {
    await withFile(parts, async (path) => {
      using player = await opened(path);
      const endNs = player.lastNs;
      await player.seek(() => Math.min(endNs, player.lastNs), goOn);
      assertMatch(player.damage!, why);
      const moment = player.moment(1001, noName);
      assert(moment.atNs === player.lastNs && moment.users.length > 0);
      // And still goes back.
      assertEquals((await at(player, player.firstNs)).atNs, player.firstNs);
    });
  }
});

async function top(...args: string[]): Promise<{ code: number; err: string[] }> {
  const err: string[] = [];
  const code = await topCommand(args, { out: () => {}, err: (line) => void err.push(line) });
  return { code, err };
}

Deno.test("what is no recording is one line, and origins exclude one another", async () => {
  await withFile([new TextEncoder().encode("not a recording\n".repeat(9))], async (path) => {
    assertEquals(await top("--record", path), {
      code: 1,
      err: [`Cannot replay ${path}: it is no recording of toom`],
    });
    const missing = await top("--record", `${path}.no`);
    assertEquals([missing.code, missing.err.length], [1, 1]);
    assertMatch(missing.err[0]!, /^Cannot read /);
    const origins = ["--record=a", "--prometheus=http://p:9090", "--control-socket=/s"];
    for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) {
      const { code, err } = await top(origins[a]!, origins[b]!);
      assertEquals([code, err.length], [2, 1]);
      assertMatch(err[0]!, /^toom top: --[a-z-]+ and --[a-z-]+ exclude one another/);
    }
  });
});

const HEAD = {
  toomVersion: "0",
  startedAt: STARTED_AT,
  startedNs: 5e9,
  source: "bpf" as const,
  readers: 1,
  pageBytes: 4096,
  users: 16,
  processes: 16,
  tasks: 16,
  mms: 16,
  rules: 8,
  ringRecords: 64,
  marginPages: 64,
  kernel: "",
};

function shown(change: Partial<ToldMoment> = {}): RecordingState {
  const state = new RecordingState(HEAD);
  state.begin(5e9, 65e9);
  state.told = {
    atNs: 5e9,
    users: FAKE_STATUS.users,
    kills: [],
    explanation: undefined,
    isGap: false,
    ...change,
  };
  state.keepCursor();
  return state;
}

Deno.test("keys seek, play and stop, and stay within the recording", () => {
  const state = shown();
  assert(state.isPaused && !state.isStale, "it begins standing at the start");
  const seconds = (): number => (state.wantedNs - 5e9) / 1e9;
  const steps: [string, number][] = [
    ["\u001b[C", 1],
    ["\u001bOC\u001b[C", 3],
    ["\u001b[D", 2],
    ["]", 12],
    ["[", 2],
    ["[", 0],
    ["\u001bOD", 0],
    ["]]]]]]]", 60],
  ];
  for (const [keys, expected] of steps) {
    state.input(keys);
    assertEquals(seconds(), expected, JSON.stringify(keys));
  }
  assert(state.isStale && state.wishes > 0, "and it is wanted at once");
  state.input("[[");
  state.input(" ");
  assert(!state.isPaused);
  state.pass(1000);
  state.pass(3500);
  assertEquals(seconds(), 42.5);
  state.input("z");
  state.pass(9000);
  assertEquals([seconds(), state.isPaused], [42.5, true]);
  state.input("Z");
  state.pass(90_000);
  assertEquals(seconds(), 42.5, "the time while it stood does not count");
  state.pass(190_000);
  assertEquals([seconds(), state.isPaused], [60, true], "it stops at its end");
  state.input(" ");
  assertEquals([seconds(), state.isPaused], [0, false], "and begins anew");
  state.input("/[] \r");
  assertEquals([seconds(), state.isPaused], [0, false], "they are letters while a text is typed");
  state.input("h[");
  assertEquals([seconds(), state.isHelp], [0, false], "any key goes back from the help");
});

Deno.test("keys of recordings are in the help of recordings only", () => {
  const state = shown();
  state.input("h");
  const lines = Array.from({ length: 24 }, (_, row) => drawRecording(state, "a", 80, 24).line(row));
  for (const line of keyHelp("processes", RECORDING_KEYS)) {
    assert(lines.some((one) => one.trim() === line.trim()), `${line}: whole, at 80 by 24`);
  }
  assert(lines.some((line) => line.endsWith("Any key goes back.")), lines.join("\n"));
  const codes = RECORDING_KEYS.flatMap((key) => key.codes);
  assertEquals(new Set(codes).size, codes.length, "one action a key");
  assert(!KEYS.some((key) => key.codes.some((code) => ["[", "]", " ", "\u001b[C"].includes(code))));
  assert(!keyHelp().some((line) => line.includes("second")));
});

Deno.test("the head has file, moment, source and whether it plays; hostile texts stay in their cells", () => {
  const kill: RecordedKill = {
    id: "kill-1",
    tsNs: 6e9,
    uid: FAKE_STATUS.users[0]!.uid,
    pid: 77,
    comm: "\u001b[31mx\n",
    trigger: "user",
    usagePages: 300,
    hardPages: 256,
    victimPages: 100,
    dryRun: false,
  };
  const state = shown({ atNs: 17.5e9, kills: [kill], explanation: FAKE_EXPLANATION, isGap: true });
  state.userUid = state.cursorUid;
  state.problem = "it is\u001b[2J damaged";
  let screen = drawRecording(state, "a.toomrec", 80, 24);
  assertEquals(screen.line(0), "a.toomrec, 10:00:12.5Z, 12.5 of 60.0 s, source bpf PAUSED");
  assertMatch(screen.line(1), /^\d users, \d above soft; kills until then 1$/);
  assertMatch(screen.line(2), /^records were lost/);
  const lines = Array.from({ length: 24 }, (_, row) => screen.line(row));
  assert(
    lines.some((line) => /^10:00:01\.0Z .*pid 77 .*400\.0 KiB, at 1\.2 MiB of 1\.0/.test(line)),
  );
  assert(lines.some((line) => line.includes("python3")), lines.join("\n"));
  // deno-lint-ignore no-control-regex
  for (const line of lines) assert(!/[\u0000-\u001f\u007f]/.test(line), JSON.stringify(line));
  state.input(" ");
  screen = drawRecording(state, `${"x".repeat(99)}\u001b.toomrec`, 80, 24);
  assertMatch(screen.line(0), /^….*toomrec, 10:00:12\.5Z, 12\.5 of 60\.0 s, source bpf playing$/);
});

Deno.test(
  needing(
    TMUX !== undefined,
    "tmux",
    "toom top --record shows moments, plays, and says what is damaged",
  ),
  async () => {
    const { chunks, kills } = recorded();
    const parts = [fileHead(), ...chunks, new Uint8Array([1, 2, 3])];
    await withFile(parts, async (path, dirPath) => {
      await using tmux = new Tmux(dirPath);
      await tmux.run("new-session", "-d", "-x", "80", "-y", "24", "sh");
      const type = (...keys: string[]): Promise<string> => tmux.run("send-keys", ...keys);
      await type(
        `PS1='$ '; clear; '${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
          `--record='${path}'; echo "code $?"`,
        "Enter",
      );
      const first = await tmux.until((lines) => lines.join().includes("until then"), "it starts");
      assertMatch(first[0]!, /^a\.toomrec, 10:00:0\d\.\dZ, 0\.0 of \d\.\d s, source raw PAUSED/);
      assertMatch(first[1]!, /kills until then 0$/);
      assertMatch(first[3]!, /^it is damaged \(it is cut/);
      await type("Right", "Right");
      const later = await tmux.until((lines) => lines[0]!.includes(" 2.0 of "), "it seeks");
      assert(!/until then 0$/.test(later[1]!), later.join("\n"));
      await type("u");
      await tmux.until(
        (lines) => lines.some((line) => / p\d+ .*candidate/.test(line)),
        "processes",
      );
      await type("Left");
      await tmux.until((lines) => lines[0]!.includes(" 1.0 of "), "it goes back");
      await type("Space");
      const last = await tmux.until(
        (lines) => lines[0]!.includes("PAUSED") && !lines[0]!.includes(" 1.0 of "),
        "it plays to its end",
      );
      assert(last[1]!.endsWith(`kills until then ${kills.length}`), last.join("\n"));
      await type("h");
      await tmux.until((lines) => lines.join().includes("One second ahead"), "help");
      await type("?", "q");
      const after = await tmux.until((lines) => lines.includes("code 1"), "it ends");
      assert(after.join("").includes("is damaged (it is cut"), after.join("\n"));
    });
  },
);
