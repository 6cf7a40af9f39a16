import { NO_LIMIT_PAGES } from "../../../pipeline/books/books.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { listenUnix, SocketType } from "../../../kernel/sockets/seqpacket.ts";
import { ConfigAnswer, CONTROL_BODY_BYTES_MAX } from "../../../service/control/control_api.ts";
import { ControlServer, ControlSocketError } from "../../../service/control/control_server.ts";
import { handleControl } from "../../../service/control/handlers.ts";
import { NOTHING_CHANGED } from "../../../service/lifecycle/reload.ts";
import { FAKE_STATUS, FakeBackend, fakeOptions, withControl } from "../../_support/fake_control.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

/** Sends bytes and reads the answer until the server closes the connection. */
async function sendRaw(socketPath: string, request: string): Promise<string> {
  const connection = await Deno.connect({ transport: "unix", path: socketPath });
  try {
    const bytes = new TextEncoder().encode(request);
    for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65536);
    let answer = "";
    for (let count = await connection.read(buffer); count !== null;) {
      answer += decoder.decode(buffer.subarray(0, count), { stream: true });
      count = await connection.read(buffer);
    }
    return answer;
  } finally {
    connection.close();
  }
}

interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly content: any;
}

/** Asks a real server, by hand: the client has tests of its own. */
async function ask(
  socketPath: string,
  method: string,
  path: string,
  body = "",
): Promise<Answer> {
  const length = new TextEncoder().encode(body).length;
  const answer = await sendRaw(
    socketPath,
    `${method} ${path} HTTP/1.1\r\nHost: toom\r\nConnection: close\r\n` +
      `Content-Length: ${length}\r\n\r\n${body}`,
  );
  const [head, ...rest] = answer.split("\r\n\r\n");
  return { status: Number(head!.split(" ")[1]), content: JSON.parse(rest.join("\r\n\r\n")) };
}

Deno.test("the control socket is its owner's alone, and goes when the server stops", async () => {
  await withControl(async ({ socketPath, server }) => {
    const info = await Deno.lstat(socketPath);
    assertEquals(info.isSocket, true);
    assertEquals(info.mode! & 0o777, 0o600);
    await server.stop();
    await assertRejects(() => Deno.lstat(socketPath), Deno.errors.NotFound);
    await server.stop();
  });
});

Deno.test("a server goes on with a socket that listens already", async () => {
  const dir = await Deno.makeTempDir();
  const socketPath = `${dir}/control.sock`;
  const backend = new FakeBackend();
  const errors: unknown[] = [];
  const fd = listenUnix(socketPath, 0o600, SocketType.stream);
  // Who asks before anybody serves waits, and is answered.
  const early = ask(socketPath, "GET", "/v1/status");
  const server = await ControlServer.adopt(fd, fakeOptions(socketPath, backend, errors));
  assertEquals((await early).content, FAKE_STATUS);
  const put = await ask(socketPath, "PUT", "/v1/limits/60001", '{"hard":"64MiB"}');
  assertEquals([put.status, put.content.limit.hardBytes], [200, 64 << 20]);
  const long = await ask(
    socketPath,
    "PUT",
    "/v1/limits/60001",
    "x".repeat(CONTROL_BODY_BYTES_MAX + 1),
  );
  assertEquals(long.status, 413);
  assertEquals((await ask(socketPath, "DELETE", "/v1/limits/60001")).status, 200);
  assertEquals((await ask(socketPath, "GET", "/v1/limits/60001")).status, 404);
  backend.failing = true;
  assertEquals((await ask(socketPath, "GET", "/v1/limits")).status, 500);
  assertEquals(errors.length, 1);
  // A client that holds on cannot hold up the end.
  const client = await Deno.connect({ transport: "unix", path: socketPath });
  await server.stop();
  client.close();
  await assertRejects(() => Deno.lstat(socketPath), Deno.errors.NotFound);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("the umask is what it was before", async () => {
  await withControl(async ({ dirPath }) => {
    await Deno.writeTextFile(`${dirPath}/x`, "");
    const umask = Deno.umask();
    assertEquals((await Deno.stat(`${dirPath}/x`)).mode! & 0o777, 0o666 & ~umask);
  });
});

Deno.test("limits are set, shown, listed and cleared", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const limit = {
      uidFirst: 60001,
      uidLast: 60001,
      hardBytes: 67108864,
      softBytes: 60395520,
      hardPages: 16384,
      softPages: 14745,
      origin: "control",
    };
    const path = "/v1/limits/60001";
    assertEquals((await ask(socketPath, "GET", path)).status, 404);
    assertEquals(await ask(socketPath, "PUT", path, '{"hard":"64MiB"}'), {
      status: 200,
      content: { limit, persisted: true },
    });
    assertEquals(backend.rules.find(60001)?.hardPages, 16384);
    assertEquals((await ask(socketPath, "GET", path)).content, { limit });
    await ask(socketPath, "PUT", "/v1/limits/1000-59999", '{"hard":"25%","soft":"50%"}');
    assertEquals((await ask(socketPath, "GET", "/v1/limits/1234")).content.limit, {
      uidFirst: 1000,
      uidLast: 59999,
      hardBytes: 2 ** 32,
      softBytes: 2 ** 31,
      hardPages: 2 ** 20,
      softPages: 2 ** 19,
      origin: "control",
    });
    await ask(socketPath, "PUT", "/v1/limits/7", '{"hard":8192,"soft":4096}');
    assertEquals(backend.rules.find(7)?.softPages, 1);
    assertEquals((await ask(socketPath, "GET", "/v1/limits")).content.limits.length, 3);
    assertEquals((await ask(socketPath, "GET", "/v1/limits/1000-1999")).status, 404);
    assertEquals(await ask(socketPath, "DELETE", path), {
      status: 200,
      content: { cleared: true, persisted: true },
    });
    assertEquals((await ask(socketPath, "DELETE", path)).status, 404);
    // It is limited by way of a range, but that is not what was asked to be cleared.
    assertEquals((await ask(socketPath, "DELETE", "/v1/limits/1234")).status, 404);
    const braked = await ask(socketPath, "PUT", "/v1/limits/7", '{"hard":8192,"brake":"all"}');
    assertEquals([braked.content.limit.brake, backend.rules.find(7)?.brake], ["all", "all"]);
    await ask(socketPath, "PUT", "/v1/limits/7", '{"hard":8192}');
    assertEquals(backend.rules.find(7)?.brake, undefined, "as the daemon says");
    for (const body of ['{"hard":8192,"brake":"some"}', '{"hard":"none","brake":"all"}']) {
      assertEquals((await ask(socketPath, "PUT", "/v1/limits/7", body)).status, 400, body);
    }
    backend.persisted = false;
    assertEquals((await ask(socketPath, "PUT", path, '{"hard":1e6}')).content.persisted, false);
  });
});

Deno.test("a text is held to what people write, a number is bytes, and none is no limit", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const path = "/v1/limits/7";
    for (const body of ['{"hard":"4096"}', '{"hard":"1G","soft":"90"}', '{"hard":"1,5G"}']) {
      assertEquals((await ask(socketPath, "PUT", path, body)).status, 400, body);
    }
    const { content } = await ask(socketPath, "PUT", path, '{"hard":"none"}');
    const none = { hardBytes: null, softBytes: null, hardPages: null, softPages: null };
    const limit = { uidFirst: 7, uidLast: 7, ...none, origin: "control" };
    assertEquals(content, { limit, persisted: true });
    assertEquals((await ask(socketPath, "GET", path)).content, { limit });
    assertEquals(backend.rules.find(7)?.hardPages, NO_LIMIT_PAGES);
    const soft = await ask(socketPath, "PUT", path, '{"hard":"none","soft":"50%"}');
    assertEquals(soft.status, 400);
  });
});

Deno.test("of a subordinate uid the limit is shown that its owner has", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.owners.set(100_005, 7);
    await ask(socketPath, "PUT", "/v1/limits/100000-165535", '{"hard":"2G"}');
    await ask(socketPath, "PUT", "/v1/limits/7", '{"hard":"1G"}');
    const { content } = await ask(socketPath, "GET", "/v1/limits/100005");
    assertEquals([content.limit.uidFirst, content.limit.hardBytes], [7, 2 ** 30]);
    const other = await ask(socketPath, "GET", "/v1/limits/100006");
    assertEquals(other.content.limit.hardBytes, 2 ** 31);
  });
});

Deno.test("status is what the backend says", async () => {
  await withControl(async ({ socketPath }) => {
    const answer = await ask(socketPath, "GET", "/v1/status?x=1");
    assertEquals(answer, { status: 200, content: FAKE_STATUS });
  });
});

Deno.test("wrong requests are answered with one line that says what was expected", async () => {
  const large = "x".repeat(CONTROL_BODY_BYTES_MAX + 1);
  const wrong: readonly (readonly [number, string, string, string?])[] = [
    [404, "GET", "/"],
    [404, "GET", "/v1"],
    [404, "GET", "/v1/limit"],
    [404, "GET", "/v2/limits"],
    [404, "GET", "//v1/limits"],
    [405, "POST", "/v1/limits"],
    [405, "POST", "/v1/limits/1"],
    [405, "DELETE", "/v1/status"],
    [400, "GET", "/v1/limits/"],
    [400, "GET", "/v1/limits/bob"],
    [400, "GET", "/v1/limits/-1"],
    [400, "GET", "/v1/limits/4294967295"],
    [400, "GET", "/v1/limits/5-4"],
    [400, "PUT", "/v1/limits/0-5", '{"hard":"1G"}'],
    [400, "GET", "/v1/limits/1/2"],
    [400, "GET", "/v1/limits/%31"],
    [400, "PUT", "/v1/limits/1", ""],
    [400, "PUT", "/v1/limits/1", "{"],
    [400, "PUT", "/v1/limits/1", "null"],
    [400, "PUT", "/v1/limits/1", "[]"],
    [400, "PUT", "/v1/limits/1", "{}"],
    [400, "PUT", "/v1/limits/1", '{"hard":"1G","more":1}'],
    [400, "PUT", "/v1/limits/1", '{"hard":null}'],
    [400, "PUT", "/v1/limits/1", '{"hard":-1}'],
    [400, "PUT", "/v1/limits/1", '{"hard":1.5}'],
    [400, "PUT", "/v1/limits/1", '{"hard":1e300}'],
    [400, "PUT", "/v1/limits/1", '{"hard":0}'],
    [400, "PUT", "/v1/limits/1", '{"hard":"4X"}'],
    [400, "PUT", "/v1/limits/1", '{"hard":"1G","soft":"2G"}'],
    [400, "PUT", "/v1/limits/1", `{"hard":"${"1".repeat(100)}"}`],
    [413, "PUT", "/v1/limits/1", large],
    [400, "POST", "/v1/debug/fault", '{"role":"killer","kind":"explode"}'],
    [400, "POST", "/v1/debug/fault", '{"role":"supervisor","kind":"hang"}'],
    [404, "POST", "/v1/debug/fault", '{"role":"reader9","kind":"hang"}'],
    [405, "GET", "/v1/debug/fault"],
  ];
  await withControl(async ({ socketPath, backend, errors }) => {
    for (const [status, method, path, body] of wrong) {
      const answer = await ask(socketPath, method, path, body);
      const what = `${method} ${path} ${body?.slice(0, 40)}: ${JSON.stringify(answer)}`;
      assertEquals(answer.status, status, what);
      assertEquals(Object.keys(answer.content), ["error"], what);
      assert(!answer.content.error.includes("\n") && answer.content.error.length < 300, what);
    }
    assertEquals(backend.rules.count, 0);
    assertEquals(errors, []);
  });
});

Deno.test("a body without a length is bounded too", async () => {
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller): void {
      controller.enqueue(new Uint8Array(1024));
    },
  });
  const request = new Request("http://toom/v1/limits/1", { method: "PUT", body });
  const response = await handleControl(request, fakeOptions("", new FakeBackend()));
  assertEquals(response.status, 413);
});

Deno.test("rubbish instead of HTTP does not disturb the server", async () => {
  await withControl(async ({ socketPath }) => {
    for (const rubbish of ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]) {
      await sendRaw(socketPath, rubbish).catch(() => {});
    }
    assertEquals((await ask(socketPath, "GET", "/v1/limits")).status, 200);
  });
});

Deno.test("a full table is a conflict", async () => {
  await withControl(async ({ socketPath, backend }) => {
    for (let uid = 1; uid <= 1024; uid++) {
      backend.rules.set({ uidFirst: uid, uidLast: uid, hardPages: 1, softPages: 1 });
    }
    const answer = await ask(socketPath, "PUT", "/v1/limits/5000", '{"hard":"1G"}');
    assertEquals(answer.status, 409);
    assert(answer.content.error.includes("1024 rules"));
  });
});

Deno.test("an error inside is reported, but not shown to the client", async () => {
  await withControl(async ({ socketPath, backend, errors }) => {
    backend.failing = true;
    const answer = await ask(socketPath, "GET", "/v1/limits");
    assertEquals(answer, { status: 500, content: { error: "internal error, see toom's log" } });
    assertEquals(errors.map(String), ["Error: secret detail"]);
  });
});

Deno.test("faults are provoked only where they are allowed", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const body = '{"role":"killer","kind":"hang"}';
    assertEquals((await ask(socketPath, "POST", "/v1/debug/fault", body)).status, 200);
    assertEquals(backend.faults, ["killer hang"]);
    const options = { ...fakeOptions("", backend), debugFaults: false };
    const request = new Request("http://toom/v1/debug/fault", { method: "POST", body });
    assertEquals((await handleControl(request, options)).status, 404);
    assertEquals(backend.faults.length, 1);
  });
});

Deno.test("a second server does not take the socket of one that answers", async () => {
  await withControl(async ({ socketPath }) => {
    const error = await assertRejects(
      () => ControlServer.start(fakeOptions(socketPath, new FakeBackend())),
      ControlSocketError,
      "another toom answers",
    );
    assertEquals(error.message.includes("\n"), false);
    assertEquals((await ask(socketPath, "GET", "/v1/limits")).status, 200);
  });
});

Deno.test("a socket that nobody answers on is replaced; anything else is left alone", async () => {
  const dirPath = await Deno.makeTempDir();
  try {
    const socketPath = `${dirPath}/control.sock`;
    // Renamed away, so that closing it does not remove it: as after kill -9.
    const dead = Deno.listen({ transport: "unix", path: `${dirPath}/dead.sock` });
    await Deno.rename(`${dirPath}/dead.sock`, socketPath);
    dead.close();
    const server = await ControlServer.start(fakeOptions(socketPath, new FakeBackend()));
    assertEquals((await ask(socketPath, "GET", "/v1/limits")).status, 200);
    await server.stop();

    await Deno.writeTextFile(socketPath, "precious");
    const start = (): Promise<ControlServer> =>
      ControlServer.start(fakeOptions(socketPath, new FakeBackend()));
    await assertRejects(start, ControlSocketError, "is no socket");
    assertEquals(await Deno.readTextFile(socketPath), "precious");
    await Deno.remove(socketPath);
    await Deno.symlink(`${dirPath}/elsewhere`, socketPath);
    await assertRejects(start, ControlSocketError, "is no socket");
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("a client that holds on cannot hold up the end", async () => {
  await withControl(async ({ socketPath, server }) => {
    const idle = await Deno.connect({ transport: "unix", path: socketPath });
    const slow = await Deno.connect({ transport: "unix", path: socketPath });
    await slow.write(
      new TextEncoder().encode(
        "PUT /v1/limits/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    const startMs = performance.now();
    await server.stop();
    assert(performance.now() - startMs < 5000, `${performance.now() - startMs} ms`);
    idle.close();
    slow.close();
  });
});

Deno.test("the configuration is told, and a reload that is refused answers 422 with all problems", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.report = {
      files: ["a"],
      settings: [{ path: "tracing.readers", value: "2", from: "a:1" }],
      limits: [{
        subject: "*",
        kind: "everybody",
        place: "a:2",
        origin: "config",
        uids: [{ uidFirst: 1, uidLast: 9 }],
        limit: { hardPages: NO_LIMIT_PAGES, softPages: NO_LIMIT_PAGES },
      }],
      rules: [{
        match: { command: { equals: "x" } },
        effect: "protect",
        weight: 1,
        place: "a:3",
        text: 'command: "x"',
      }],
    };
    const { content } = await ask(socketPath, "GET", "/v1/config");
    assertEquals(content.rules, [
      { effect: "protect", weight: 1, matches: 'command: "x"', place: "a:3" },
    ]);
    assertEquals(content.settings[0].reloads, false);
    assertEquals(content.limits[0].hardBytes, null);
    assertEquals(ConfigAnswer.parse(content), content);
    backend.reloadAnswer = { ...NOTHING_CHANGED, problems: ["a:1:1: expected x"] };
    const refused = await ask(socketPath, "POST", "/v1/reload");
    assertEquals([refused.status, refused.content.problems], [422, ["a:1:1: expected x"]]);
    backend.reloadAnswer = { ...NOTHING_CHANGED, reloaded: true };
    assertEquals((await ask(socketPath, "POST", "/v1/reload")).status, 200);
    assertEquals((await ask(socketPath, "POST", "/v1/reload", '{"now":true}')).status, 200);
    assertEquals(backend.reloads, ["later", "later", "now"]);
    assertEquals((await ask(socketPath, "POST", "/v1/reload", '{"nwo":true}')).status, 400);
    assertEquals((await ask(socketPath, "GET", "/v1/reload")).status, 405);
  });
});
