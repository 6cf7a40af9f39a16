/** The socket of those who may only read: who gets in, what is refused, and that nothing grows. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ControlClient } from "../../../cli/control_client.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { ControlServer } from "../../../service/control/control_server.ts";
import { failure, handleControl } from "../../../service/control/handlers.ts";
import {
  READ_CONNECTIONS_MAX,
  ReadSocket,
  USER_CONNECTIONS_MAX,
} from "../../../service/control/read_socket.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { FAKE_STATUS, FakeBackend, fakeOptions } from "../../_support/fake_control.ts";
import { canRunToom, runToomAs } from "../../_support/other_user.ts";
import { needing } from "../../_support/real_kernel.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const GROUP = 60077;
const UID = 60078;
const AS_ROOT = Deno.uid() === 0;

interface Scene {
  readonly path: string;
  readonly backend: FakeBackend;
  readonly errors: unknown[];
}

async function withSocket(test: (scene: Scene) => Promise<void>): Promise<void> {
  const dirPath = await Deno.makeTempDir();
  await Deno.chmod(dirPath, 0o755);
  const path = `${dirPath}/read.sock`;
  const backend = new FakeBackend();
  const errors: unknown[] = [];
  const options = fakeOptions(path, backend, errors);
  const socket = new ReadSocket({
    path,
    gid: GROUP,
    answer: async (request) => {
      try {
        return await handleControl(request, options);
      } catch {
        return failure(500, "internal error");
      }
    },
    onError: (error) => errors.push(error),
  });
  try {
    await test({ path, backend, errors });
  } finally {
    await socket.close();
    await Deno.remove(dirPath, { recursive: true });
  }
}

/** Sends bytes and reads until the server closes. */
async function sendRaw(path: string, text: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(new TextEncoder().encode(text));
  return await readAll(connection);
}

async function readAll(connection: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let answer = "";
  try {
    for (let count = await connection.read(buffer); count !== null;) {
      answer += decoder.decode(buffer.subarray(0, count), { stream: true });
      count = await connection.read(buffer);
    }
  } catch {
    // Closed by the other end with something unread.
  }
  return answer;
}

/** What curl would see as another user. */
const CLIENT = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(os.environ["SOCKET"])
except OSError as error:
    print(type(error).__name__); sys.exit()
s.sendall(os.environ["REQUEST"].encode().decode("unicode_escape").encode())
print(s.makefile("rb").read().decode())
`;

async function askAs(
  { uid, gid, groups }: { uid: number; gid: number; groups: readonly number[] },
  path: string,
  request: string,
): Promise<string> {
  const { stdout } = await new Deno.Command("/usr/bin/setpriv", {
    args: [
      `--reuid=${uid}`,
      `--regid=${gid}`,
      ...(groups.length === 0 ? ["--clear-groups"] : [`--groups=${groups.join(",")}`]),
      "/usr/bin/python3",
      "-S",
      "-E",
      "-c",
      CLIENT,
    ],
    clearEnv: true,
    cwd: "/",
    env: { SOCKET: path, REQUEST: request },
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

const STATUS_REQUEST = "GET /v1/status HTTP/1.1\\r\\nHost: toom\\r\\n\\r\\n";

Deno.test({
  ...needing(
    AS_ROOT,
    "root",
    "members of the group read, by whatever group they are; others do not get in",
  ),
  async fn(): Promise<void> {
    await withSocket(async ({ path }) => {
      const { mode, gid, uid } = await Deno.lstat(path);
      assertEquals([mode! & 0o7777, uid, gid], [0o660, 0, GROUP]);
      for (
        const member of [
          { uid: UID, gid: GROUP, groups: [] },
          { uid: UID, gid: UID, groups: [UID, GROUP] },
        ]
      ) {
        const answer = await askAs(member, path, STATUS_REQUEST);
        assert(answer.startsWith("HTTP/1.1 200"), answer);
        assertEquals(JSON.parse(answer.split(/\r?\n\r?\n/)[1]!), FAKE_STATUS);
      }
      const stranger = { uid: UID, gid: UID, groups: [] };
      assertEquals(await askAs(stranger, path, STATUS_REQUEST), "PermissionError");
    });
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "nothing can be changed on it, by root neither"),
  async fn(): Promise<void> {
    await withSocket(async ({ path, backend }) => {
      const member = { uid: UID, gid: GROUP, groups: [] };
      const body = '{"hard":"64MiB"}';
      const writes = [
        `PUT /v1/limits/60001 HTTP/1.1\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n${body}`,
        "DELETE /v1/limits/60001 HTTP/1.1\\r\\n\\r\\n",
        "POST /v1/reload HTTP/1.1\\r\\nContent-Length: 0\\r\\n\\r\\n",
        'POST /v1/debug/fault HTTP/1.1\\r\\n\\r\\n{"role":"killer","kind":"throw"}',
      ];
      for (const request of writes) {
        const answer = await askAs(member, path, request);
        assert(answer.startsWith("HTTP/1.1 403"), answer);
        const asRoot = await sendRaw(path, request.replaceAll("\\r\\n", "\r\n"));
        assert(asRoot.startsWith("HTTP/1.1 403"), asRoot);
      }
      // What hides behind a request that may be asked.
      const smuggled = `GET /v1/status HTTP/1.1\r\nX-HTTP-Method-Override: PUT\r\n\r\n` +
        `PUT /v1/limits/60001 HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const answer = await sendRaw(path, smuggled);
      assertEquals(answer.match(/HTTP\/1\.1/g)?.length ?? 0, 1, answer);
      assertEquals([backend.rules.list(), backend.reloads, backend.faults], [[], [], []]);
    });
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "a client that speaks as to a proxy is answered too"),
  async fn(): Promise<void> {
    await withSocket(async ({ path }) => {
      using client = new ControlClient(path);
      assertEquals(await client.status(), FAKE_STATUS);
      assertEquals((await client.explain(60001)).uid, 60001);
      await assertRejects(() => client.reload(), Error, "expected GET, not POST");
    });
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "what is no request is refused, and disturbs nobody"),
  async fn(): Promise<void> {
    await withSocket(async ({ path, errors }) => {
      for (
        const text of [
          "rubbish\r\n\r\n",
          "GET nothing HTTP/1.1\r\n\r\n",
          "GET /v1/status HTTP/2\r\n\r\n",
          "GET /\u0000 HTTP/1.1\r\n\r\n",
          `GET /${"x".repeat(3000)} HTTP/1.1\r\n\r\n`,
        ]
      ) {
        assert((await sendRaw(path, text)).startsWith("HTTP/1.1 400"), text);
      }
      const missing = await sendRaw(path, "GET /v1/nothing HTTP/1.1\r\n\r\n");
      assert(missing.startsWith("HTTP/1.1 404"), missing);
      assertEquals(await sendRaw(path, "x".repeat(20_000)), "");
      const traversal = await sendRaw(path, "GET //example.org/v1/status HTTP/1.1\r\n\r\n");
      assert(traversal.startsWith("HTTP/1.1 404"), traversal);
      const good = await sendRaw(path, "GET /v1/status HTTP/1.1\r\n\r\n");
      assert(good.startsWith("HTTP/1.1 200"), good);
      assertEquals(errors, []);
    });
  },
});

Deno.test({
  ...needing(
    AS_ROOT,
    "root",
    "events come as a stream; who does not read or say anything keeps nothing",
  ),
  async fn(): Promise<void> {
    await withSocket(async ({ path, backend }) => {
      const journal = new Journal({ nowNs: () => 9e9, now: () => new Date(0) });
      journal.subscribe(backend.feed);
      using stream = await Deno.connect({ transport: "unix", path });
      await stream.write(new TextEncoder().encode("GET /v1/events?after=0 HTTP/1.1\r\n\r\n"));
      const buffer = new Uint8Array(65536);
      let text = "";
      const readUntil = async (wanted: string): Promise<void> => {
        while (!text.includes(wanted)) {
          const count = await stream.read(buffer);
          if (count === null) throw new Error(`the stream ended before ${wanted}: ${text}`);
          text += new TextDecoder().decode(buffer.subarray(0, count));
        }
      };
      await readUntil("event: hello");
      journal.publish({ event: "drift", uid: 7, pages: 1 });
      await readUntil('"uid":7');
      assertEquals(backend.feed.report().clients, 1);
      stream.close();
      for (let tries = 0; backend.feed.report().clients > 0; tries++) {
        assert(tries < 200, "its stream is over when it goes");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "one user gets a part of the connections, and not all of them"),
  async fn(): Promise<void> {
    assert(USER_CONNECTIONS_MAX * 2 < READ_CONNECTIONS_MAX);
    await withSocket(async ({ path }) => {
      const silent = [];
      for (let n = 0; n < USER_CONNECTIONS_MAX; n++) {
        silent.push(await Deno.connect({ transport: "unix", path }));
      }
      const refused = await sendRaw(path, "GET /v1/status HTTP/1.1\r\n\r\n");
      assert(refused === "" || refused.startsWith("HTTP/1.1 503"), refused);
      const member = { uid: UID, gid: GROUP, groups: [] };
      const other = await askAs(member, path, STATUS_REQUEST);
      assert(other.startsWith("HTTP/1.1 200"), other);
      for (const connection of silent) connection.close();
    });
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "closing ends all connections, and the socket is gone"),
  async fn(): Promise<void> {
    let place = "";
    let connection: Deno.Conn | undefined;
    await withSocket(async ({ path }) => {
      place = path;
      connection = await Deno.connect({ transport: "unix", path });
      await connection.write(new TextEncoder().encode("GET /v1/events HTTP/1.1\r\n\r\n"));
      await connection.read(new Uint8Array(10));
    });
    await readAll(connection!);
    connection!.close();
    await assertRejects(() => Deno.connect({ transport: "unix", path: place }));
  },
});

Deno.test({
  ...needing(
    canRunToom(UID),
    "root, and a checkout that a scratch user can read",
    "toom status of a member finds the socket; toom limit set says that only root may",
  ),
  async fn(): Promise<void> {
    await withSocket(async ({ path, backend }) => {
      const controlPath = path.replace("read.sock", "control.sock");
      const server = await ControlServer.start(fakeOptions(controlPath, backend));
      try {
        const option = `--control-socket=${controlPath}`;
        const status = await runToomAs(UID, ["status", option], GROUP);
        assertEquals([status.code, status.err], [0, ""]);
        assertStringIncludes(status.out, "64.0 MiB");
        const set = await runToomAs(UID, ["limit", "set", "1000", "1GiB", option], GROUP);
        assertEquals(set.code, 3);
        assertStringIncludes(set.err, "only root may control toom, try sudo");
        assertEquals(backend.rules.list(), []);
        assertEquals((await runToomAs(UID, ["status", option])).code, 3, "nobody else");
      } finally {
        await server.stop();
      }
    });
  },
});
