/** `toom record`: what it says when it cannot, each in one line. */
import { assert, assertEquals } from "@std/assert";
import { recordCommand } from "../../cli/record.ts";
import { DEFLATE } from "../../kernel/packing/deflate.ts";
import { ChunkType, fileHead, jsonBytes, writeChunk } from "../../pipeline/recording/format.ts";
import { type Ran, run } from "../_support/command_run.ts";
import { withControl } from "../_support/fake_control.ts";

const HEAD = writeChunk(ChunkType.head, jsonBytes({ source: "raw", startedNs: 0 }), DEFLATE);
const TAIL = writeChunk(
  ChunkType.tail,
  jsonBytes({ endedNs: 2e9, records: 100, lostRecords: 0 }),
  DEFLATE,
);

/** In a folder with no toom behind its socket. */
async function withoutToom(
  test: (dirPath: string, record: (...args: string[]) => Promise<Ran>) => Promise<void>,
): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  try {
    const socketPath = `${dirPath}/control.sock`;
    await test(
      dirPath,
      (...args) => run(recordCommand, ...args, "--control-socket", socketPath),
    );
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}

/** Exit code and lines of one that must have failed with one line. */
function failure({ code, out, err }: Ran): string {
  assertEquals([code, out.length, err.length], [1, 0, 1], JSON.stringify({ out, err }));
  assert(!/os error|\n/.test(err[0]!), err[0]);
  return err[0]!;
}

Deno.test("what is wrong with the path is said first, also while no toom runs", async () => {
  await withoutToom(async (dirPath, record) => {
    assertEquals(
      failure(await record(`${dirPath}/no/a.toomrec`)),
      `Cannot write "${dirPath}/no/a.toomrec": there is no folder "${dirPath}/no"`,
    );
    for (const more of [[], ["--force"]]) {
      assertEquals(
        failure(await record(dirPath, ...more)),
        `Cannot write "${dirPath}": it is a folder`,
      );
    }
    const path = `${dirPath}/a.toomrec`;
    await Deno.writeTextFile(path, "dear");
    assertEquals(
      failure(await record(path)),
      `Cannot write "${path}": it is there already, see --force`,
    );
    assertEquals(
      failure(await record(`${path}/b`)),
      `Cannot write "${path}/b": Not a directory`,
    );
    assertEquals(await Deno.readTextFile(path), "dear");
    const hostile = failure(await record(`${dirPath}/\x1b[31m\n/a`));
    assert(!hostile.includes("\x1b"), JSON.stringify(hostile));
  });
});

Deno.test("while no toom runs no file is made, and none is emptied", async () => {
  await withoutToom(async (dirPath, record) => {
    const path = `${dirPath}/a.toomrec`;
    const line = failure(await record(path));
    assert(line.includes(`${dirPath}/control.sock`), line);
    assert(!isThere(path));
    await Deno.writeTextFile(path, "dear");
    assertEquals(failure(await record(path, "--force")), line);
    assertEquals(await Deno.readTextFile(path), "dear");
  });
});

Deno.test("wrong words are a usage error", async () => {
  for (const args of [[], ["a", "b"], ["a", "--for", "never"]]) {
    const { code, err } = await run(recordCommand, ...args);
    assertEquals([code, err.length], [2, 1], `${args}`);
  }
});

Deno.test("a full disk ends the recording with one line, and toom is let go", async () => {
  await withControl(async ({ socketPath, backend, errors }) => {
    backend.recordingChunks = [HEAD];
    const ran = await run(
      recordCommand,
      "/dev/full",
      "--force",
      "--control-socket",
      socketPath,
    );
    assertEquals([ran.code, ran.out], [1, []]);
    assertEquals(ran.err, [
      "recording into /dev/full, Ctrl-C ends it",
      'Cannot write "/dev/full": No space left on device',
    ]);
    for (let tries = 0; backend.ends.size > 0 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assertEquals([backend.ends.size, errors], [0, []]);
  });
});

Deno.test("with --force a file that is there is written over, and is nobody else's any more", async () => {
  await withControl(async ({ socketPath, backend, dirPath }) => {
    backend.recordingChunks = [HEAD, TAIL];
    const path = `${dirPath}/a.toomrec`;
    await Deno.writeTextFile(path, "x".repeat(10_000), { mode: 0o644 });
    const more = ["--force", "--for", "50ms", "--control-socket", socketPath];
    const { code, out, err } = await run(recordCommand, path, ...more);
    assertEquals([code, err], [0, [`recording into ${path}`]]);
    assert(out[0]!.startsWith(`${path}: 2.0 s of source raw, 100 records (none lost)`), out[0]);
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    const { length } = await Deno.readFile(path);
    assertEquals(length, fileHead().length + HEAD.length + TAIL.length);
  });
});

Deno.test("when toom ends, what was recorded until then is in the file, and that is said", async () => {
  await withControl(async ({ socketPath, backend, dirPath }) => {
    backend.recordingChunks = [HEAD];
    const path = `${dirPath}/a.toomrec`;
    const running = run(recordCommand, path, "--control-socket", socketPath);
    for (let tries = 0; !isThere(path) && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const end of backend.ends.values()) end();
    const { code, out, err } = await running;
    assertEquals([code, out.length], [1, 1]);
    assertEquals(err.at(-1), `toom has ended: ${path} holds what was recorded until then`);
    assertEquals((await Deno.readFile(path)).length, fileHead().length + HEAD.length);
  });
});
