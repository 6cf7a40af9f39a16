/**
 * The compiled program, alone in an empty folder and with an empty environment.
 *
 * It is built with the kit of .ci/compile-kit.sh (deno and denort; TOOM_COMPILE_KIT says
 * where), else with the Deno of the tests, which must download its base binary.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { StatusReport } from "../../service/control/control_api.ts";
import { loadAssets } from "../../cli/web/assets.ts";
import { withControl } from "../_support/fake_control.ts";
import { killRecord } from "../_support/kill_entries.ts";
import {
  commandOf,
  DEMO_OUTPUT,
  type Program,
  REPLAY_OUTPUT,
  runProgram,
  whenAlone,
} from "../_support/program.ts";
import { hasFile, hasTracefs, isRoot, needing, waitUntil } from "../_support/real_kernel.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const SCRATCH_UID = 60997;
const START_MS_MAX = 30_000;
const HISTORY_BOUNDS = { ageMsMax: 1e15, bytesMax: 2 ** 22 };

interface Build {
  readonly program: Program | undefined;
  /** Why there is none. */
  readonly problem: string;
}

/**
 * Builds as `deno task compile` says, but to another place.
 *
 * @param main Another module than toom's, for what toom does not tell of itself.
 */
async function build(dirPath: string, name = "toom", main = "mod.ts"): Promise<Build> {
  const kit = Deno.env.get("TOOM_COMPILE_KIT") ?? `${Deno.env.get("HOME")}/.cache/compile-kit`;
  const hasKit = hasFile(`${kit}/deno`) && hasFile(`${kit}/denort`);
  const config = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  const path = `${dirPath}/${name}`;
  const [, ...args] = (config.tasks.compile.command as string)
    .replace("dist/toom", path).replace(/mod\.ts$/, main).split(" ");
  const { success, stderr } = await new Deno.Command(hasKit ? `${kit}/deno` : Deno.execPath(), {
    args,
    cwd: ROOT,
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1", ...(hasKit ? { DENORT_BIN: `${kit}/denort` } : {}) },
  }).output();
  if (success) return { program: { path, args: [], env: {}, cwd: dirPath }, problem: "" };
  const text = new TextDecoder().decode(stderr);
  // With the kit nothing must be downloaded: then it is a bug, and not to be skipped.
  if (hasKit) throw new Error(`deno task compile failed:\n${text}`);
  return { program: undefined, problem: text.match(/\b1: (.*)/)?.[1] ?? text.slice(0, 200) };
}

const dirPath = Deno.makeTempDirSync({ prefix: "toom-compiled-" });
Deno.chmodSync(dirPath, 0o755);
globalThis.addEventListener("unload", () => Deno.removeSync(dirPath, { recursive: true }));
const { program, problem } = await build(dirPath);
const needs = program === undefined ? `the compile kit: ${problem}` : "root and tracefs";
const toom = program!;

Deno.test(needing(program !== undefined, needs, "dist/toom says its version"), async () => {
  const { code, out } = await runProgram(toom, ["--version"]);
  assertEquals(code, 0);
  assertMatch(out, /^toom \d+\.\d+\.\d+\n$/);
  const beside = await Array.fromAsync(Deno.readDir(dirPath), ({ name }) => name);
  assertEquals(beside, ["toom"]);
});

Deno.test(
  needing(program !== undefined, needs, "V8 has the flags of a compiled program"),
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/flags.ts`, "console.log(typeof gc);");
      const { program: flags } = await build(folder, "flags", `${folder}/flags.ts`);
      const { out } = await runProgram(flags!, []);
      assertEquals(
        out,
        "function\n",
        "V8 was not given --expose-gc: toom's collections need helpers",
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test(
  needing(program !== undefined && isRoot(), needs, "dist/toom check-config reads a file"),
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/c.jsonc`;
    try {
      await Deno.writeTextFile(path, '{ "limits": { "*": "1G", }, } // all', { mode: 0o644 });
      const right = await runProgram(toom, ["check-config", path]);
      assertEquals([right.code, right.err], [0, ""]);
      assertMatch(right.out, /^\*  +1-4294967294 +1\.0 GiB/m);
      await Deno.writeTextFile(path, '{ "limts": {} }');
      const wrong = await runProgram(toom, ["check-config", path]);
      assertEquals(wrong.code, 2);
      assertMatch(wrong.err, /c\.jsonc:1:3: limts: .*, did you mean "limits"\?/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test(
  needing(program !== undefined && hasTracefs(), needs, "dist/toom demo kills the hog"),
  async () => {
    const { code, out, err } = await whenAlone(() => runProgram(toom, ["demo"]));
    assertEquals([code, err], [0, ""]);
    assertMatch(out, DEMO_OUTPUT);
  },
);

Deno.test(
  needing(program !== undefined, needs, "dist/toom demo replays a capture without root"),
  async () => {
    const user = isRoot() ? { uid: SCRATCH_UID, gid: SCRATCH_UID } : {};
    const { code, out, err } = await runProgram(toom, ["demo"], user);
    assertEquals([code, err], [0, ""]);
    assertMatch(out, REPLAY_OUTPUT);
  },
);

Deno.test(
  needing(program !== undefined && hasTracefs(), needs, "dist/toom runs, and obeys its clients"),
  async () => {
    const states = await Deno.makeTempDir({ prefix: "toom-compiled-state-" });
    const socket = `--control-socket=${states}/control.sock`;
    try {
      const { code, err } = await whenAlone(() => serve(states, socket));
      assertEquals([code, err], [0, ""]);
    } finally {
      await Deno.remove(states, { recursive: true });
    }
  },
);

Deno.test(
  needing(program !== undefined, needs, "dist/toom writes the history, and reads it"),
  async () => {
    const states = await Deno.makeTempDir({ prefix: "toom-compiled-history-" });
    const path = `${states}/history.db`;
    try {
      const child = new Deno.Command(toom.path, {
        args: ["history-writer"],
        clearEnv: true,
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      const batch = { number: 1, kills: [killRecord(1)], ends: [], peaks: [] };
      for (const line of [{ path, bounds: HISTORY_BOUNDS }, batch]) {
        await writer.write(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
      }
      await writer.close();
      const { code, stdout } = await child.output();
      assertEquals([code, new TextDecoder().decode(stdout)], [0, '{"number":1}\n']);
      const kills = await runProgram(toom, ["kills", "--json", `--history=${path}`]);
      assertEquals([kills.code, kills.err], [0, ""]);
      assertEquals(JSON.parse(kills.out).kills, [killRecord(1)]);
    } finally {
      await Deno.remove(states, { recursive: true });
    }
  },
);

Deno.test(
  needing(program !== undefined, needs, "dist/toom serves the page, all of it from within"),
  () =>
    withControl(async ({ socketPath, dirPath: folder }) => {
      const path = `${folder}/web.sock`;
      const words = ["web", `--control-socket=${socketPath}`, `--listen=${path}`];
      const child = commandOf(toom, words).spawn();
      const output = child.output();
      try {
        await Promise.race([waitUntil(() => hasFile(path), "it listens"), output]);
        using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
        for (const [asset, { bytes }] of await loadAssets()) {
          const answer = await fetch(`http://localhost${asset}`, { client });
          assertEquals([answer.status, await answer.bytes()], [200, bytes], asset);
        }
        const told = await (await fetch("http://localhost/api/explain/60001", { client })).json();
        assertMatch(told.sentences[1], /^It uses 32\.0 MiB/);
      } finally {
        // Unless it has ended, which its lines tell.
        try {
          child.kill("SIGTERM");
        } catch { /* below */ }
      }
      const { code, stderr } = await output;
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    }),
);

/** Has a worker hang. */
async function hang(path: string): Promise<void> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  const body = JSON.stringify({ role: "killer", kind: "hang" });
  const url = "http://localhost/v1/debug/fault";
  const answer = await fetch(url, { client, method: "POST", body });
  await answer.body?.cancel();
  assert(answer.ok, `status ${answer.status}`);
}

/** Starts the daemon, talks to it, ends it. */
async function serve(states: string, socket: string): Promise<{ code: number; err: string }> {
  const limit = `--limit=${SCRATCH_UID}=64MiB`;
  const words = ["run", limit, `--state-dir=${states}`, "--debug-faults", socket];
  const child = commandOf(toom, words).spawn();
  const output = child.output();
  let ended = false;
  void child.status.then(() => ended = true);
  const deadlineMs = performance.now() + START_MS_MAX;
  const ask = (...command: string[]): ReturnType<typeof runProgram> =>
    runProgram(toom, [...command, socket]);
  try {
    while (!ended && (await ask("status")).code !== 0) {
      assert(performance.now() < deadlineMs, "toom run does not answer");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!ended) {
      const set = await ask("limit", "set", String(SCRATCH_UID), "32MiB");
      assertMatch(set.out, /^limit set: 60997 \(uid 60997\) hard 32\.0 MiB \(\d+ pages\)/);
      const status = StatusReport.parse(JSON.parse((await ask("status", "--json")).out));
      assertEquals(status.workers.map(({ state }) => state), status.workers.map(() => "running"));
      // It becomes itself once more, and goes on with its socket.
      await hang(socket.replace("--control-socket=", ""));
      let restarts = 0;
      while (restarts === 0) {
        assert(performance.now() < deadlineMs, "toom run does not start over");
        const { out } = await ask("status", "--json");
        restarts = StatusReport.parse(JSON.parse(out)).restarts!.total;
      }
      const cleared = await ask("limit", "clear", String(SCRATCH_UID));
      assertEquals(cleared.code, 0);
      child.kill("SIGTERM");
    }
  } catch (error) {
    child.kill("SIGKILL");
    await output;
    throw error;
  }
  const { code, stderr } = await output;
  return { code, err: new TextDecoder().decode(stderr) };
}
