/** The page's own HTTP: what it takes for a request, and bounds that nobody gets past. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONNECTIONS_MAX, HttpServer } from "../../../cli/web/http_server.ts";
import { waitUntil } from "../../_support/real_kernel.ts";

type Scene = { readonly server: HttpServer; readonly port: number; readonly asked: Request[] };

async function withServer(
  test: (scene: Scene) => Promise<void>,
  answer: (request: Request) => Response = () => new Response("hello"),
  exchangeMsMax?: number,
): Promise<void> {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  const asked: Request[] = [];
  const server = new HttpServer(
    listener,
    (request) => {
      asked.push(request);
      return Promise.resolve(answer(request));
    },
    exchangeMsMax,
  );
  try {
    await test({ server, port, asked });
  } finally {
    await server.close();
  }
}

/** Sends bytes as they are. @returns All that comes back. */
async function exchange(port: number, text: string): Promise<string> {
  using conn = await Deno.connect({ port });
  await conn.write(new TextEncoder().encode(text));
  let said = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  try {
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      said += decoder.decode(buffer.subarray(0, n));
    }
  } catch {
    // It was reset.
  }
  return said;
}

Deno.test("a request is answered, with its headers, and the connection closed", () =>
  withServer(async ({ port, asked }) => {
    const said = await exchange(
      port,
      "GET /a?b=c HTTP/1.1\r\nHost: localhost:1\r\nX-A:  b \r\n\r\n",
    );
    assertMatch(said, /^HTTP\/1\.1 200 OK\r\n/);
    assertMatch(said, /\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello$/);
    assertEquals(asked[0]!.url, "http://localhost/a?b=c");
    assertEquals(asked[0]!.headers.get("host"), "localhost:1");
    assertEquals(asked[0]!.headers.get("x-a"), "b");
    const head = await exchange(port, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assertMatch(head, /content-length: 5\r\nconnection: close\r\n\r\n$/);
    const through = await exchange(port, "GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n");
    assertMatch(through, /^HTTP\/1\.1 200 /);
    assertEquals([asked[2]!.url, asked[2]!.headers.get("host")], ["http://localhost/y", "x"]);
  }));

Deno.test("what is no request is answered so, or not at all, and reaches nobody", () =>
  withServer(async ({ port, asked, server }) => {
    for (
      const text of [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "get / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2\r\n\r\n",
        "GET https://x/ HTTP/1.1\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nno header\r\n\r\n",
        "GET / HTTP/1.1\r\na b: c\r\n\r\n",
        "\u0016\u0003\u0001 tls\r\n\r\n",
      ]
    ) assertMatch(await exchange(port, text), /^HTTP\/1\.1 400 Bad Request\r\n/, text);
    assertEquals(await exchange(port, `GET /${"x".repeat(9000)} HTTP/1.1\r\n\r\n`), "");
    assertEquals(asked, []);
    await waitUntil(() => server.size === 0, "all are closed");
  }));

Deno.test("who says nothing, or says it slowly, is let go", () =>
  withServer(
    async ({ port, server }) => {
      const beganMs = performance.now();
      assertEquals(await exchange(port, "GET / HTTP/1.1\r\nHost: lo"), "");
      assert(performance.now() - beganMs >= 190);
      await waitUntil(() => server.size === 0, "it is closed");
    },
    undefined,
    200,
  ));

Deno.test("a crowd that only connects keeps nobody out who is let in", () =>
  withServer(async ({ port, server }) => {
    using live = await Deno.connect({ port });
    await live.write(new TextEncoder().encode("GET /api/live HTTP/1.1\r\n\r\n"));
    const buffer = new Uint8Array(4096);
    const said = (): Promise<string> =>
      live.read(buffer).then((n) => new TextDecoder().decode(buffer.subarray(0, n ?? 0)));
    assertMatch(await said(), /^HTTP\/1\.1 200 OK/);
    const crowd: Deno.TcpConn[] = [];
    for (let count = 0; count < CONNECTIONS_MAX * 3; count++) {
      crowd.push(await Deno.connect({ port }));
      if (count % CONNECTIONS_MAX === 0) {
        assertMatch(await exchange(port, "GET / HTTP/1.1\r\n\r\n"), /hello$/);
      }
    }
    await waitUntil(() => server.size <= CONNECTIONS_MAX, "no more than so many");
    assertMatch(await exchange(port, "GET / HTTP/1.1\r\n\r\n"), /hello$/);
    stream!.enqueue(new TextEncoder().encode("still here"));
    assertEquals(await said(), "still here");
    for (const conn of crowd) conn.close();
  }, (request) => {
    if (!request.url.endsWith("/api/live")) return new Response("hello");
    const body = new ReadableStream<Uint8Array>({ start: (made) => void (stream = made) });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }));
let stream: ReadableStreamDefaultController<Uint8Array> | undefined;

Deno.test("a stream ends when its reader goes, and when it is ended although nobody reads", async () => {
  let cancelled = 0;
  let made: ReadableStreamDefaultController<Uint8Array>;
  const answer = (): Response => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (made = controller),
      cancel: () => void cancelled++,
    }, { highWaterMark: 1 });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  await withServer(async ({ port, server }) => {
    const open = async (): Promise<Deno.TcpConn> => {
      const conn = await Deno.connect({ port });
      await conn.write(new TextEncoder().encode("GET /api/live HTTP/1.1\r\n\r\n"));
      await conn.read(new Uint8Array(1000));
      return conn;
    };
    (await open()).close();
    await waitUntil(() => cancelled === 1 && server.size === 0, "it has gone");
    using stuck = await open();
    // More than the kernel holds for a reader that does not read.
    for (let count = 0; count < 40; count++) made.enqueue(new Uint8Array(1e6));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals(server.size, 1);
    made.error(new Error("read nothing for too long"));
    await waitUntil(() => server.size === 0, "it is closed");
    void stuck;
  }, answer);
});
