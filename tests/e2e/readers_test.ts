/** A real toom for those who may read, and by a file that names somebody who is gone. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, PYTHON, Workload } from "../_support/workload.ts";

const UID = 60093;
const READER_UID = 60094;
/** A group that every Debian has. */
const GROUP = "games";

const CLIENT = `
import os, socket, time
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SOCKET"])
s.sendall(os.environ["REQUEST"].replace("~", "\\r\\n").encode())
if "HOLD" in os.environ:
    print(s.recv(40).decode().split()[1], flush=True)
    time.sleep(1000)
print(s.makefile("rb").read().decode())
`;

/** A program that asks as a member of the group. */
function reader(
  socketPath: string,
  request: string,
  env: Record<string, string> = {},
): Deno.Command {
  return new Deno.Command("/usr/bin/setpriv", {
    args: [
      `--reuid=${READER_UID}`,
      `--regid=${READER_UID}`,
      `--groups=${GROUP}`,
      PYTHON!,
      "-S",
      "-E",
      "-c",
      CLIENT,
    ],
    clearEnv: true,
    cwd: "/",
    env: { SOCKET: socketPath, REQUEST: request, ...env },
    stdout: "piped",
  });
}

async function ask(socketPath: string, request: string): Promise<string> {
  const { stdout } = await reader(socketPath, request).output();
  return new TextDecoder().decode(stdout);
}

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "a group reads and changes nothing; a name that is gone costs one limit",
  ),
  fn: async (t) => {
    const dirPath = await Deno.makeTempDir({ prefix: "toom-readers-" });
    const path = `${dirPath}/config.jsonc`;
    const write = (more: Record<string, unknown>): Promise<void> =>
      Deno.writeTextFile(path, JSON.stringify(more), { mode: 0o644 });
    await write({
      limits: { [UID]: "64MiB", "gone60099": "1GiB" },
      control: { readGroup: GROUP },
    });
    await using toom = await Toom.start([`--config=${path}`, "--storm-kills=0"]);
    const readPath = toom.socketPath.replace("control.sock", "read.sock");
    const hog = async (): Promise<void> => {
      await using process = new Workload(UID, "hold", 200);
      assertEquals((await process.end()).signal, "SIGKILL");
    };

    await t.step("who is gone has no limit, which is told; the others have theirs", async () => {
      const line = `not in force: ${path}:1: limits.gone60099: expected a user's name`;
      const event = await toom.waitFor("config", ({ message }) => String(message).includes("gone"));
      assertStringIncludes(String(event["message"]), line);
      for (const words of [["config", "show"], ["limit", "diff"]]) {
        assertStringIncludes((await toom.command(...words)).out, line);
      }
      await hog();
      using client = new ControlClient(toom.socketPath);
      const { reloaded, problems } = await client.reload();
      assertEquals([reloaded, problems.length], [false, 1]);
    });

    await t.step("a member reads, and is refused to change anything", async () => {
      const status = await ask(readPath, "GET /v1/status HTTP/1.1~~");
      assertStringIncludes(status, "HTTP/1.1 200");
      assertEquals(JSON.parse(status.split(/\r?\n\r?\n/)[1]!).users[0].uid, UID);
      const put = 'PUT /v1/limits/1000 HTTP/1.1~Content-Length: 15~~{"hard":"64MiB"}';
      assertStringIncludes(await ask(readPath, put), "HTTP/1.1 403");
      assertStringIncludes(
        await ask(readPath, `DELETE /v1/limits/${UID} HTTP/1.1~~`),
        "HTTP/1.1 403",
      );
      assertEquals(await ask(toom.socketPath, "GET /v1/status HTTP/1.1~~"), "", "not that one");
      using client = new ControlClient(toom.socketPath);
      assertEquals((await client.limits()).limits.length, 1);
    });

    await t.step("a member that follows and does not read holds up no kill", async () => {
      const child = reader(readPath, "GET /v1/events HTTP/1.1~~", { HOLD: "1" }).spawn();
      const output = child.stdout.getReader();
      assertEquals(new TextDecoder().decode((await output.read()).value), "200\n");
      for (let n = 0; n < 3; n++) await hog();
      const { streams, journal = [] } = await toom.status();
      assertEquals(streams!.clients, 1);
      for (const { name, missed } of journal) assertEquals([name, missed], [name, 0]);
      child.kill("SIGKILL");
      await output.cancel();
      await child.status;
    });

    await t.step("when the group is taken out of the file, nobody reads any more", async () => {
      await write({ limits: { [UID]: "64MiB" } });
      using client = new ControlClient(toom.socketPath);
      const { reloaded, changed } = await client.reload();
      assertEquals([reloaded, changed], [true, [`control.readGroup: none (was ${GROUP})`]]);
      const isThere = (): boolean => {
        try {
          return Deno.lstatSync(readPath).isSocket === true;
        } catch {
          return false;
        }
      };
      await waitUntil(() => !isThere(), "the socket is gone");
      assert(!(await ask(readPath, "GET /v1/status HTTP/1.1~~")).includes("200"));
      await hog();
    });
    await toom.stop();
    await Deno.remove(dirPath, { recursive: true });
  },
});
