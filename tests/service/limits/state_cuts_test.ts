/**
 * "Must be seen": the file of limits that were set while running, cut at random bytes, and its writer
 * killed at random moments.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { LimitRule } from "../../../pipeline/limits/limits.ts";
import { LimitState, STATE_FILE_NAME } from "../../../service/limits/state_file.ts";
import { Random } from "../../_support/random.ts";

const CUTS = 200;
const RULES = 20;

function rule(uid: number, hardPages: number): LimitRule {
  return { uidFirst: uid, uidLast: uid, hardPages, softPages: hardPages };
}

function open(dirPath: string): Promise<LimitState> {
  return LimitState.open({ dirPath, base: [], pageBytes: 4096, now: () => new Date() });
}

async function withDir(test: (dirPath: string) => Promise<void>): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  try {
    await test(dirPath);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

Deno.test(`a write that ends at one of ${CUTS} random bytes loses no limit that was acknowledged`, async () => {
  await withDir(async (dir) => {
    const random = new Random(12);
    let state = await open(dir);
    const acknowledged = new Map<number, number>();
    for (let cut = 0; cut < CUTS; cut++) {
      const uid = 1000 + random.below(RULES);
      const { persisted } = await state.set(rule(uid, cut + 1));
      assert(persisted);
      acknowledged.set(uid, cut + 1);
      // The next write, of a writer with another number, gets so far.
      const whole = await Deno.readFile(`${dir}/${STATE_FILE_NAME}`);
      const next = `${dir}/${STATE_FILE_NAME}.new-${1 + random.below(9)}`;
      await Deno.writeFile(next, whole.subarray(0, random.below(whole.length + 1)));
      state = await open(dir);
      assertEquals(state.problem, undefined);
      const found = state.list().map(({ uidFirst, hardPages }) => [uidFirst, hardPages] as const);
      assertEquals(new Map(found), acknowledged);
    }
    const names = await Array.fromAsync(Deno.readDir(dir), ({ name }) => name);
    assertEquals(names, [STATE_FILE_NAME], "what was cut is gone");
  });
});

Deno.test(`a file that was cut at one of ${CUTS} random bytes is put aside, told, and stops nobody`, async () => {
  await withDir(async (dir) => {
    const random = new Random(13);
    const path = `${dir}/${STATE_FILE_NAME}`;
    const first = await open(dir);
    for (let index = 0; index < RULES; index++) await first.set(rule(1000 + index, index + 1));
    const whole = await Deno.readFile(path);
    for (let cut = 0; cut < CUTS; cut++) {
      // All but the line's end, without which it is as good.
      const bytes = random.below(whole.length - 1);
      await Deno.writeFile(path, whole.subarray(0, bytes));
      const state = await open(dir);
      assertEquals(state.list(), [], `cut at ${bytes}`);
      assert(state.problem!.includes("Cannot understand"), `cut at ${bytes}: ${state.problem}`);
      const aside = (await Array.fromAsync(Deno.readDir(dir))).find(({ name }) =>
        name.includes(".corrupt-")
      )!;
      assertEquals((await Deno.readFile(`${dir}/${aside.name}`)).length, bytes);
      await Deno.remove(`${dir}/${aside.name}`);
      // What is set from then on is kept.
      assertEquals((await state.set(rule(7, 7))).persisted, true);
      assertEquals((await open(dir)).list().map(({ uidFirst }) => uidFirst), [7]);
    }
  });
});

const WRITER = `
import { LimitState } from ${
  JSON.stringify(new URL("../../../service/limits/state_file.ts", import.meta.url).href)
};
const [dirPath] = Deno.args;
const state = await LimitState.open({ dirPath, base: [], pageBytes: 4096, now: () => new Date() });
for (let count = 1;; count++) {
  const uid = 1000 + count % ${RULES};
  const { persisted } = await state.set({ uidFirst: uid, uidLast: uid, hardPages: count, softPages: count });
  if (persisted) await Deno.stdout.write(new TextEncoder().encode(uid + " " + count + "\\n"));
}`;

Deno.test("a writer that is killed at random moments has lost no limit that it has acknowledged", async () => {
  await withDir(async (dir) => {
    const random = new Random(14);
    const script = `${dir}/writer.ts`;
    await Deno.writeTextFile(script, WRITER);
    for (let kill = 0; kill < 8; kill++) {
      const stateDir = `${dir}/state${kill}`;
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          `--config=${new URL("../../../deno.json", import.meta.url).pathname}`,
          script,
          stateDir,
        ],
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const acknowledged = new Map<number, number>();
      let rest = "";
      let timer: ReturnType<typeof setTimeout> | undefined;
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        timer ??= setTimeout(() => child.kill("SIGKILL"), 20 + random.below(120));
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          const [uid, pages] = line.split(" ").map(Number);
          acknowledged.set(uid!, pages!);
        }
      }
      await child.status;
      assert(acknowledged.size > 0);
      const state = await open(stateDir);
      assertEquals(state.problem, undefined);
      for (const [uid, pages] of acknowledged) {
        const found = state.list().find(({ uidFirst }) => uidFirst === uid);
        assert(found !== undefined && found.hardPages >= pages, `uid ${uid}: ${found?.hardPages}`);
      }
    }
  });
});
