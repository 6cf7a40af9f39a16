/** Recordings by the recorder's own thread, on a memory that no role uses; and files as they are read. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { runRecording } from "../../../cli/run_recording.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { main } from "../../../cli/main.ts";
import { fileHead } from "../../../pipeline/recording/format.ts";
import { HeaderWord } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory, DEFAULT_CAPACITY } from "../../../pipeline/memory/memory.ts";
import type { VictimRule } from "../../../pipeline/rules/victim_rule.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { Recordings } from "../../../service/recording/recordings.ts";
import type { FlightSpec } from "../../../workers/recorder_protocol.ts";
import { Random } from "../../_support/random.ts";
import { withoutTags } from "../../_support/recorded_chunks.ts";
import { recordRun, RUN_NAMES } from "../../_support/recorded_run.ts";
import { KILL } from "../../_support/journal_events.ts";

// Once for all tests, and never closed.
openLibc();

const SMALL = {
  ...DEFAULT_CAPACITY,
  ringRecords: 1024,
  processes: 64,
  users: 16,
  tasks: 256,
  mms: 128,
};

function stage(
  flight?: FlightSpec,
): { recordings: Recordings; journal: Journal; header: Int32Array } {
  const memory = attachMemory(createMemory({ ...SMALL, rules: 8 }));
  const journal = new Journal({ nowNs: () => performance.now() * 1e6, now: () => new Date() });
  const recordings = new Recordings({
    memory,
    toomVersion: "1",
    source: "raw",
    flight,
    otherCpus: [],
    journal,
  });
  journal.subscribe(recordings);
  return { recordings, journal, header: memory.header };
}

Deno.test("a recording is a stream that ends with its tail, and costs nothing before and after", async () => {
  const { recordings, journal, header } = stage();
  assertEquals(header[HeaderWord.recording], 0);
  const { id, stream } = recordings.begin()!;
  assert(header[HeaderWord.recording] !== 0);
  journal.publish({ ...KILL, pid: 7 });
  const types: string[] = [];
  for await (const bytes of stream) {
    types.push(new TextDecoder().decode(bytes.subarray(0, 4)));
    if (types.at(-1) === "KEYF") {
      journal.publish({ ...KILL, pid: 8 });
      assert(recordings.end(id));
    }
  }
  assertEquals([types[0], types.at(-1)], ["HEAD", "TAIL"]);
  for (const type of ["SETT", "KEYF", "KILL"]) assert(types.includes(type), type);
  assertEquals([recordings.end(id), header[HeaderWord.recording]], [false, 0]);
  recordings.close();
});

Deno.test("a client that goes ends its recording, and others go on", async () => {
  const { recordings, header } = stage();
  const one = recordings.begin()!;
  const other = recordings.begin()!;
  await one.stream.cancel();
  assert(header[HeaderWord.recording] !== 0);
  assertEquals(recordings.end(one.id), false);
  assert(recordings.end(other.id));
  const types: string[] = [];
  for await (const bytes of other.stream) {
    types.push(new TextDecoder().decode(bytes.subarray(0, 4)));
  }
  assertEquals(types.at(-1), "TAIL");
  assertEquals(header[HeaderWord.recording], 0);
  recordings.close();
});

Deno.test("the flight recorder writes a file with each kill, and keeps the newest", async () => {
  const dirPath = `${await Deno.makeTempDir()}/recordings`;
  const { recordings, journal } = stage({ seconds: 2, dirPath, filesMax: 2 });
  recordings.start();
  const names = (): string[] => {
    try {
      return [...Deno.readDirSync(dirPath)].map(({ name }) => name).sort();
    } catch {
      return [];
    }
  };
  for (const id of ["a", "b", "c"]) {
    await new Promise((resolve) => setTimeout(resolve, id === "a" ? 1500 : 100));
    journal.publish({ ...KILL, id: `kill${id}-1` });
    while (!names().includes(`kill-kill${id}-1.toomrec`)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  // The oldest goes when the new one is there.
  for (let tries = 0; tries < 500 && names().length > 2; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assertEquals(names(), ["kill-killb-1.toomrec", "kill-killc-1.toomrec"]);
  assertEquals((await Deno.stat(`${dirPath}/kill-killc-1.toomrec`)).mode! & 0o777, 0o600);
  const { replay, damage } = await runRecording(`${dirPath}/kill-killc-1.toomrec`, () => undefined);
  assertEquals(damage, undefined);
  assert(replay.tail !== undefined && replay.keyframes > 0);
  assertEquals(replay.recordedKills.at(-1)!.id, "killc-1");
  recordings.close();
  await Deno.remove(dirPath, { recursive: true });
});

/** A file of a run with kills. */
async function someFile(): Promise<{ path: string; bytes: Uint8Array<ArrayBuffer> }> {
  const { chunks } = recordRun({ seed: 11, policy: "largest", steps: 1500, before: 0 });
  const parts = [fileHead(), ...chunks];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const path = await Deno.makeTempFile({ suffix: ".toomrec" });
  await Deno.writeFile(path, bytes);
  return { path, bytes };
}

Deno.test("what stands before damage at any byte is replayed, and the damage told", async () => {
  const { path, bytes } = await someFile();
  const whole = await runRecording(path, () => undefined);
  const pids = whole.replay.kills.map(({ pid }) => pid);
  assert(pids.length > 5);
  const random = new Random(1);
  let partial = 0;
  for (let round = 0; round < 60; round++) {
    const at = 400 + random.below(bytes.length - 400);
    const isCut = random.oneIn(3);
    const bad = isCut ? bytes.slice(0, at) : bytes.slice();
    if (!isCut) bad[at]! ^= 1 << random.below(8);
    await Deno.writeFile(path, bad);
    const { replay, damage } = await runRecording(path, () => undefined);
    assert(damage !== undefined || isCut, `byte ${at}`);
    const again = replay.kills.map(({ pid }) => pid);
    assertEquals(again, pids.slice(0, again.length), `byte ${at}`);
    if (again.length > 0 && again.length < pids.length) partial++;
  }
  assert(partial > 10, `${partial}`);
  const lines: string[] = [];
  const errors: string[] = [];
  const io = {
    out: (line: string) => void lines.push(line),
    err: (line: string) => void errors.push(line),
  };
  await Deno.writeFile(path, bytes.slice(0, bytes.length - 10));
  assertEquals(await main(["replay", path], io), 1);
  assert(errors[0]!.includes("is damaged (it is cut"), errors[0]);
  assert(lines[0]!.startsWith("recording  "));
  await Deno.remove(path);
});

Deno.test("a file of an earlier version is decided without rules, and says so", async () => {
  const rules: VictimRule[] = RUN_NAMES.slice(1).map((name) => ({
    match: { command: { equals: name } },
    effect: "protect",
    weight: 1,
    place: "a:1",
    text: "",
  }));
  const { chunks } = recordRun({ seed: 11, policy: "largest", steps: 1500, before: 0, rules });
  const path = await Deno.makeTempFile({ suffix: ".toomrec" });
  const lines: string[] = [];
  const io = { out: (line: string) => void lines.push(line), err: () => {} };
  const kills = async (version: number): Promise<number> => {
    lines.length = 0;
    const parts = [fileHead(), ...version === 1 ? withoutTags(chunks) : chunks];
    parts[0]![8] = version;
    await Deno.writeFile(path, new Uint8Array(parts.flatMap((part) => [...part])));
    assertEquals(await main(["replay", path], io), 0);
    assertEquals(lines.some((line) => line.includes("decided without rules")), version === 1);
    return (await runRecording(path, () => undefined)).replay.kills.length;
  };
  const later = await kills(2);
  assert(later > 0 && later < await kills(1), `${later}`);
  await Deno.remove(path);
});

Deno.test("a file of a later version, or none at all, is refused with one line", async () => {
  const { path, bytes } = await someFile();
  bytes[8] = 9;
  await Deno.writeFile(path, bytes);
  await assertRejects(
    () => runRecording(path, () => undefined),
    Error,
    `Cannot replay ${path}: it has version 9, this toom reads up to 2`,
  );
  bytes[8] = 1;
  bytes[40]! ^= 1;
  await Deno.writeFile(path, bytes);
  await assertRejects(
    () => runRecording(path, () => undefined),
    Error,
    "its first chunk is damaged",
  );
  await Deno.remove(path);
});
