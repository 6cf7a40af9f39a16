/** Hooks, mail and webhook of a real toom: what they are told, and that kills go on whatever they do. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON, Workload } from "../_support/workload.ts";

const UID = 60092;
const NOBODY_UID = 65534;
/** A name that would be a line of its own, a command, and a sequence of the terminal. */
const HOSTILE = "a\nb:$(id)\u001b[2J";
/** As it is booked and told. */
const HARMLESS = "a\\nb:$(id)\\x1b[2J";

/** A folder of a test, in which hooks may write. */
class Scene implements Disposable {
  readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-hooks-" });
  readonly configPath = `${this.dirPath}/config.jsonc`;

  constructor() {
    Deno.chmodSync(this.dirPath, 0o1777);
  }

  /** A program of the folder. */
  program(name: string, script: string): string {
    const path = `${this.dirPath}/${name}`;
    Deno.writeTextFileSync(path, `#!/bin/sh\n${script}\n`);
    Deno.chmodSync(path, 0o755);
    return path;
  }

  configure(config: Record<string, unknown>): void {
    const limits = { [UID]: "64MiB" };
    Deno.writeTextFileSync(this.configPath, JSON.stringify({ limits, ...config }));
    Deno.chmodSync(this.configPath, 0o644);
  }

  has(name: string): boolean {
    try {
      return Deno.statSync(`${this.dirPath}/${name}`).size > 0;
    } catch {
      return false;
    }
  }

  read(name: string): string {
    return Deno.readTextFileSync(`${this.dirPath}/${name}`);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

/** Has the toom read its configuration again. */
async function reload(toom: Toom): Promise<void> {
  using client = new ControlClient(toom.socketPath);
  const { reloaded, problems } = await client.reload();
  assert(reloaded, problems.join("; "));
}

/** Takes the user over its limit. Ends well only if the process is killed. */
async function hog(): Promise<void> {
  await using process = new Workload(UID, "hold", 200);
  assertEquals((await process.end()).signal, "SIGKILL");
}

/** A process of the user with a name that is hostile, over its limit. */
async function hostileHog(scene: Scene): Promise<void> {
  const path = `${scene.dirPath}/${HOSTILE}`;
  await Deno.symlink(PYTHON!, path);
  const { signal } = await new Deno.Command(path, {
    args: ["-S", "-E", "-c", "x = bytearray(200 << 20); print(len(x))"],
    uid: UID,
    gid: UID,
    cwd: "/",
    clearEnv: true,
    stdout: "null",
  }).output();
  assertEquals(signal, "SIGKILL");
}

/** Processes of a user that have not ended. */
function processesOf(uid: number, words: string): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      return Deno.statSync(`/proc/${pid}`).uid === uid &&
        Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(words);
    } catch {
      return false;
    }
  });
}

async function rowOf(toom: Toom, name: string): Promise<Record<string, unknown>> {
  const { notifiers = [] } = await toom.status();
  return notifiers.find((one) => one.name === name) ?? {};
}

async function waitForRow(
  toom: Toom,
  name: string,
  matches: (row: Record<string, unknown>) => boolean,
): Promise<void> {
  for (let tries = 0; !matches(await rowOf(toom, name)); tries++) {
    assert(tries < 200, `${name}: ${JSON.stringify(await rowOf(toom, name))}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "hooks, mail and webhook: kills go on whatever they do"),
  fn: async (t) => {
    using scene = new Scene();
    const told = (name: string): string =>
      scene.program(
        name,
        `{ id -u; env; echo; cat; } > ${scene.dirPath}/$0.part 2>&1`.replace(
          "$0.part",
          `${name}.part`,
        ) + `\nmv ${scene.dirPath}/${name}.part ${scene.dirPath}/${name}.said`,
      );
    scene.configure({
      hooks: {
        before: { command: [told("before")], timeout: "5s" },
        after: { command: [told("after"), "$(id)"], user: "daemon" },
        soft: { command: [told("soft")] },
      },
      notify: {
        mail: {
          to: ["root"],
          subject: "{comm}",
          command: [
            scene.program(
              "sendmail",
              `cat > ${scene.dirPath}/mail.part; mv ${scene.dirPath}/mail.part ${scene.dirPath}/mail`,
            ),
            "-t",
          ],
        },
      },
    });
    // Kills of a storm are summed up in the log, and it is counted here.
    await using toom = await Toom.start([`--config=${scene.configPath}`, "--storm-kills=0"]);

    await t.step("each is told what happened, as its user; a hostile name is data", async () => {
      await hostileHog(scene);
      for (const name of ["before.said", "after.said", "mail"]) {
        await waitUntil(() => scene.has(name), `${name} is there`, 20_000);
      }
      const kill = toom.of("kill")[0]!;
      for (const [name, uid] of [["before", NOBODY_UID], ["after", 1]] as const) {
        const [head, json] = scene.read(`${name}.said`).split("\n\n") as [string, string];
        const lines = head.split("\n");
        assertEquals(lines[0], String(uid));
        const env = Object.fromEntries(lines.slice(1).map((line) => line.split(/=(.*)/s)));
        assertEquals(env["TOOM_HOOK"], name);
        assertEquals([env["TOOM_ID"], env["TOOM_UID"]], [kill["id"], String(UID)]);
        assertEquals(env["EARLYOOM_PID"], String(kill["pid"]));
        assertEquals([env["TOOM_COMM"], kill["comm"]], [HARMLESS, HARMLESS]);
        assertEquals(
          Object.keys(env).filter((one) => !/^(TOOM_|EARLYOOM_|PATH|PWD|SHLVL|_|OLDPWD)/.test(one)),
          [],
        );
        assertEquals(JSON.parse(json)["comm"], HARMLESS);
      }
      assert(Number(JSON.parse(scene.read("after.said").split("\n\n")[1]!)["freedBytes"]) > 0);
      const [headers, ...body] = scene.read("mail").split("\n\n");
      assertStringIncludes(headers!, `\nSubject: ${HARMLESS}\n`);
      assertStringIncludes(body.join(), `pid=${kill["pid"]}`);
      assertEquals(toom.errors, []);
    });

    await t.step(
      "a hook that hangs is ended at its time, and the next kill is not later",
      async () => {
        scene.configure({
          hooks: {
            before: {
              command: [scene.program("hang", "trap '' TERM; sleep 4711 & sleep 4711; sleep 4711")],
            },
            after: { command: ["/bin/sleep", "4712"], timeout: "2s", atOnce: 1 },
          },
        });
        await reload(toom);
        for (let n = 0; n < 4; n++) await hog();
        const error = await toom.waitFor("error", ({ where }) => where === "hooks.before");
        assertStringIncludes(String(error["message"]), "took longer than 200 ms");
        await waitForRow(toom, "hooks.after", ({ late, waiting }) => late !== 0 && waiting === 0);
        const after = await rowOf(toom, "hooks.after");
        assert(Number(after["left"]) > 0, JSON.stringify(after));
        await waitUntil(
          () => processesOf(NOBODY_UID, "471").length === 0,
          "nothing of them is left",
        );
      },
    );

    await t.step("a hook that floods finds nobody who listens", async () => {
      scene.configure({ hooks: { before: { command: ["/usr/bin/yes"], timeout: "5s" } } });
      await reload(toom);
      for (let n = 0; n < 3; n++) await hog();
      await waitForRow(toom, "hooks.before", ({ failed }) => Number(failed) >= 1);
      await waitUntil(() => processesOf(NOBODY_UID, "yes").length === 0, "it has ended");
    });

    await t.step("a hook that forks without end goes with all that it has started", async () => {
      const bomb = scene.program("bomb", "ulimit -u 300\nb() { b | b & }\nb\nsleep 4713");
      scene.configure({ hooks: { before: { command: [bomb], timeout: "1s" } } });
      await reload(toom);
      for (let n = 0; n < 3; n++) await hog();
      await waitForRow(toom, "hooks.before", ({ waiting }) => waiting === 0);
      await waitUntil(
        () => processesOf(NOBODY_UID, "bomb").length === 0,
        "nothing is left",
        20_000,
      );
    });

    await t.step("a webhook that is slow, fails or is gone holds up no kill", async () => {
      const answers: (() => Promise<Response>)[] = [
        () => new Promise(() => {}),
        () => Promise.resolve(new Response(null, { status: 500 })),
        () => Promise.resolve(new Response()),
      ];
      const bodies: Record<string, unknown>[] = [];
      const abort = new AbortController();
      const server = Deno.serve(
        { port: 0, hostname: "127.0.0.1", signal: abort.signal, onListen: () => {} },
        async (request) => {
          bodies.push(await request.json());
          return await answers[Math.min(bodies.length, answers.length) - 1]!();
        },
      );
      const url = `http://127.0.0.1:${(server.addr as Deno.NetAddr).port}/secret`;
      scene.configure({ notify: { webhook: { url, timeout: "500ms" } } });
      await reload(toom);
      for (let n = 0; n < 3; n++) await hog();
      await waitForRow(toom, "notify.webhook", ({ done }) => Number(done) >= 3);
      assertEquals(bodies.map(({ event }) => event), ["kill", "kill", "kill", "kill", "kill"]);
      assertEquals(bodies.slice(0, 3).map(({ id }) => id === bodies[0]!["id"]), [true, true, true]);
      const { out } = await toom.command("config", "show");
      assert(!out.includes("secret"), out);
      abort.abort();
      await server.finished;
      await hog();
      await toom.status();
    });

    await t.step("a client that stops reading holds up no kill", async () => {
      const stuck = await Deno.connect({ transport: "unix", path: toom.socketPath });
      await stuck.write(new TextEncoder().encode("GET /v1/events HTTP/1.1\r\nHost: toom\r\n\r\n"));
      for (let n = 0; n < 3; n++) await hog();
      assertEquals((await toom.status()).streams!.clients, 1);
      stuck.close();
    });

    await t.step("each kill was told in the log, and nobody has missed anything", async () => {
      const { journal = [], kills } = await toom.status();
      assertEquals(toom.of("kill").length, kills.total);
      assert(kills.total >= 18, String(kills.total));
      for (const { name, missed, failed } of journal) {
        assertEquals([name, missed, failed], [name, 0, 0]);
      }
    });
  },
});
