/** Sockets and files of toom: who is not root gets only what it may ask for, and holds up nobody. */
import { assert, assertEquals } from "@std/assert";
import { PYTHON, ScratchProcess, Workload } from "../_support/workload.ts";
import { descriptorsOf, hostile, HOSTILE_UID, Scene } from "./scene.ts";

const SCRIPT = Deno.readTextFileSync(new URL("./places.py", import.meta.url));
const CONNECTIONS = 400;
const ANSWER_MS_MAX = 5000;

/** A port that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function meddler(mode: string, ...args: readonly (string | number)[]): ScratchProcess {
  const run = "import os; exec(os.environ['TOOM_HOSTILE'])";
  const words = ["-S", "-E", "-c", run, mode, ...args.map(String)];
  return new ScratchProcess(HOSTILE_UID, PYTHON!, words, { TOOM_HOSTILE: SCRIPT });
}

/** What a user is told who asks for its own. */
async function ownAnswer(path: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  const timer = setTimeout(() => connection.close(), ANSWER_MS_MAX);
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of connection.readable) chunks.push(chunk);
    return new TextDecoder().decode(chunks[0]);
  } finally {
    clearTimeout(timer);
  }
}

Deno.test({
  ...hostile("sockets and files of toom give nobody more than it may have"),
  fn: async (t) => {
    const port = freePort();
    await using scene = await Scene.start([], `--metrics=${port}`);
    const { toom } = scene;
    const runDir = toom.socketPath.replace(/\/[^/]*$/, "");

    const assertServed = async (): Promise<void> => {
      const before = scene.killed().length;
      await using hog = new Workload(HOSTILE_UID, "hold", 64);
      assertEquals(await scene.untilKilled(before), hog.pid, "it is enforced meanwhile");
      assert((await toom.status()).users.length > 0, "root is answered meanwhile");
    };

    for (const name of ["me.sock", "tmalloc.sock.stream"]) {
      await t.step(`${CONNECTIONS} half-open connections to ${name}`, async () => {
        await using attack = meddler("half-open", `${runDir}/${name}`, CONNECTIONS);
        const { connected } = await attack.saidJson<{ connected: number }>();
        assert(connected > 10, `${connected} connected`);
        await assertServed();
        const own = JSON.parse(await ownAnswer(`${runDir}/me.sock`));
        assertEquals(own.uid, 0, "and so is who asks for its own");
        await attack.close();
        await scene.assertUnharmed();
      });
    }

    await t.step(`${CONNECTIONS} half-open connections to /metrics`, async () => {
      const before = descriptorsOf(toom.pid);
      await using attack = meddler("half-open", port, CONNECTIONS);
      await attack.saidJson();
      const during = descriptorsOf(toom.pid);
      assert(during <= before + 24, `${during - before} descriptors for them`);
      await assertServed();
      await attack.close();
      const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
      assertEquals(answer.status, 200);
      await answer.body?.cancel();
      await scene.assertUnharmed();
    });

    await t.step("the control socket is root's alone", async () => {
      await using attack = meddler("control", toom.socketPath);
      assertEquals(await attack.saidJson(), []);
    });

    await t.step("nothing of toom's can be put, replaced, removed or read", async () => {
      await Deno.writeTextFile(`${toom.stateDir}/history.note`, "");
      const open = `${scene.programs.dir}/open`;
      await Deno.mkdir(open);
      await Deno.chmod(open, 0o777);
      await using able = meddler("meddle", open);
      assert((await able.saidJson<string[]>()).includes(`${open} create`), "it can where it may");
      await using attack = meddler("meddle", runDir, toom.stateDir, "/var/lib/toom", "/run/toom");
      assertEquals(await attack.saidJson(), []);
      await using lock = meddler("control", "/run/toom.lock");
      assertEquals(await lock.saidJson(), []);
      await scene.assertUnharmed();
    });
    assertEquals(await scene.end(), [], "the witness finds no wrong kill");
  },
});
