/** `/metrics` on TCP: what it answers, and that nobody who can reach it holds it up. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { parseMetricsAddress } from "../../../service/config/metrics_address.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";
import type { ExpositionFormat } from "../../../service/metrics/exposition.ts";
import { CONNECTIONS_MAX, MetricsServer } from "../../../service/metrics/metrics_server.ts";

const ANY = { hostname: "127.0.0.1", port: 0 };

async function withServer(
  test: (server: MetricsServer, rendered: ExpositionFormat[]) => Promise<void>,
  bytes = 20,
  exchangeMsMax = 300,
): Promise<void> {
  const rendered: ExpositionFormat[] = [];
  const server = new MetricsServer(ANY, (format) => {
    rendered.push(format);
    return new TextEncoder().encode("x".repeat(bytes));
  }, exchangeMsMax);
  try {
    await test(server, rendered);
  } finally {
    await server.close();
  }
}

async function connect({ port }: MetricsServer): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

/** Until the other end has closed. */
async function readAll(connection: Deno.Conn): Promise<string> {
  let text = "";
  for await (const part of connection.readable.pipeThrough(new TextDecoderStream())) text += part;
  return text;
}

Deno.test("GET /metrics is answered, in the format that the scraper wants", async () => {
  await withServer(async (server, rendered) => {
    const url = `http://127.0.0.1:${server.port}/metrics`;
    const plain = await fetch(url);
    assertEquals([plain.status, await plain.text()], [200, "x".repeat(20)]);
    assertMatch(plain.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    const open = await fetch(`${url}?a=b`, { headers: { accept: "application/openmetrics-text" } });
    assertEquals([open.status, (await open.text()).length], [200, 20]);
    assertMatch(open.headers.get("content-type")!, /^application\/openmetrics-text; version=1/);
    assertEquals(rendered, ["prometheus", "openmetrics"]);
    const head = await fetch(url, { method: "HEAD" });
    assertEquals([head.status, await head.text()], [200, ""]);
  });
});

Deno.test("nothing else is to be had there", async () => {
  await withServer(async (server, rendered) => {
    const base = `http://127.0.0.1:${server.port}`;
    const wrong = [["/v1/status", "GET", 404], ["/", "GET", 404], [
      "/metrics",
      "PUT",
      405,
    ]] as const;
    for (const [path, method, status] of wrong) {
      const answer = await fetch(base + path, { method });
      assertEquals(answer.status, status, path);
      assertMatch(await answer.text(), /^expected /);
    }
    assertEquals(rendered, []);
    const connection = await connect(server);
    await connection.write(new TextEncoder().encode(`GET /${"a".repeat(9000)} HTTP/1.1\r\n`));
    assertEquals(
      await readAll(connection).catch(() => ""),
      "",
      "a head that is too long has no answer",
    );
  });
});

Deno.test("I7: who does not ask, does not read, or comes by the hundred is let go", async () => {
  await withServer(async (server, rendered) => {
    const silent = await Promise.all(
      Array.from({ length: CONNECTIONS_MAX }, () => connect(server)),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    const tooMany = await Promise.all(Array.from({ length: 200 }, () => connect(server)));
    await Promise.all(tooMany.map((connection) => readAll(connection).catch(() => "")));
    assertEquals(server.refused, 200);
    // They said nothing, so their time is over by now or soon.
    await Promise.all(silent.map((connection) => readAll(connection).catch(() => "")));
    const deaf = await connect(server);
    await deaf.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\n\r\n"));
    await new Promise((resolve) => setTimeout(resolve, 400));
    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    await answer.body?.cancel();
    assertEquals([answer.status, rendered.length], [200, 2]);
    deaf.close();
  }, 20_000_000);
});

Deno.test("the end waits for nobody", async () => {
  const server = new MetricsServer(ANY, () => new Uint8Array(9), 60_000);
  const connection = await connect(server);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const beganMs = performance.now();
  await server.close();
  assert(performance.now() - beganMs < 10_000);
  connection.close();
});

Deno.test("--metrics is this machine's alone unless an address is given", () => {
  assertEquals(parseMetricsAddress("9184"), { hostname: "127.0.0.1", port: 9184 });
  assertEquals(parseMetricsAddress(":9184"), { hostname: "127.0.0.1", port: 9184 });
  assertEquals(parseMetricsAddress("0.0.0.0:1"), { hostname: "0.0.0.0", port: 1 });
  assertEquals(parseMetricsAddress("[::1]:65535"), { hostname: "::1", port: 65535 });
  for (
    const text of ["", "0", "65536", "localhost:1", "1.2.3.4", "1.2.3.256:5", "::1:5", "a", "-1"]
  ) {
    assertThrows(() => parseMetricsAddress(text), FormatError, "expected a port", text);
  }
});
