/** The process that writes, as a program of its own. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnHistoryWriter } from "../../../cli/spawn_history_writer.ts";
import { History } from "../../../service/history/history.ts";
import { HistoryReader } from "../../../service/history/reader.ts";
import { writeHistory } from "../../../service/history/writer.ts";
import { endEntry, killEntry, killRecord } from "../../_support/kill_entries.ts";

async function within(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("what the daemon hands over is in the file when it has stopped", async () => {
  await within(async (dir) => {
    const path = `${dir}/history.db`;
    const told: string[] = [];
    const history = new History({
      path,
      bounds: { ageMsMax: 1e15, bytesMax: 2 ** 22 },
      pageBytes: 4096,
      spawn: spawnHistoryWriter,
      tell: (message) => told.push(message),
      nowNs: () => performance.now() * 1e6,
    });
    for (let number = 0; number < 20; number++) {
      history.take(killEntry(number));
      history.take(endEntry(number));
    }
    await history.stop(30_000);
    assertEquals(told, []);
    assertEquals(history.report().written, 20);
    using reader = new HistoryReader(path);
    const kills = reader.kills({ limit: 100 });
    assertEquals(kills.map(({ id }) => id), history.recent().map(({ id }) => id));
    assertEquals(kills.every(({ exitStatus }) => exitStatus === 9), true);
  });
});

Deno.test("a problem is an answer, and the next batch is tried anew", async () => {
  await within(async (dir) => {
    const path = `${dir}/missing/history.db`;
    const answers: { number: number; problem?: string }[] = [];
    const batch = { kills: [killRecord(1)], ends: [], peaks: [] };
    async function* lines(): AsyncGenerator<string> {
      yield JSON.stringify({ path, bounds: { ageMsMax: 1e15, bytesMax: 2 ** 22 } });
      yield JSON.stringify({ number: 1, ...batch });
      await Deno.mkdir(`${dir}/missing`);
      yield "";
      yield JSON.stringify({ number: 2, ...batch });
    }
    await writeHistory(lines(), (line) => answers.push(JSON.parse(line)));
    assertEquals(answers.map(({ number }) => number), [1, 2]);
    assertMatch(answers[0]!.problem!, /unable to open/);
    assert(answers[1]!.problem === undefined);
    using reader = new HistoryReader(path);
    assertEquals(reader.kills({ limit: 9 }), [killRecord(1)]);
  });
});

Deno.test("the daemon does without SQLite: only who writes the history, or reads it, loads it", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", new URL("../../../cli/run.ts", import.meta.url).pathname],
    stderr: "null",
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: { specifier: string }[];
  };
  const loaded = modules.map(({ specifier }) => specifier);
  assert(loaded.some((specifier) => specifier.endsWith("service/history/history.ts")));
  assertEquals(
    loaded.filter((specifier) => /sqlite|history\/database/.test(specifier)),
    [],
  );
});
