/** The server of the page: who is let in, what it answers, and what a browser that does not read costs. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isOtherOrigin, isOwnHost } from "../../../cli/web/access.ts";
import { PAGE_FILES, VENDOR_FILES } from "../../../cli/web/assets.ts";
import { answerPage } from "../../../cli/web/server.ts";
import { HISTORY_BOUNDS } from "../../../service/history/batch.ts";
import { HistoryDatabase } from "../../../service/history/database.ts";
import { waitUntil } from "../../_support/real_kernel.ts";
import { madeKill, madeUser, type ServedPage, servePage, TOKEN } from "../../_support/page.ts";

const LET_IN = { authorization: `Bearer ${TOKEN}` };
const API_PATHS = [
  "/api/live",
  "/api/fields",
  "/api/explain/60001",
  "/api/series/60001",
  "/api/kills",
  "/api/kills/abc-1",
];

/** A page that has looked once. */
async function withPage(
  test: (page: ServedPage) => Promise<void>,
  everyMs?: number,
): Promise<void> {
  await using page = await servePage(everyMs === undefined ? {} : { everyMs });
  page.daemon.users = [madeUser(60001, "alice", 32, 64), madeUser(60002, null, 8, 64)];
  page.daemon.recent = [madeKill(1, page.daemon.users[0]!, 5000)];
  page.watcher.start();
  await waitUntil(() => page.watcher.feed.look !== undefined, "a look");
  await test(page);
}

/** Asks with any header, Host too, as no browser lets a page do. */
async function ask(
  page: ServedPage,
  path: string,
  headers: Record<string, string> = LET_IN,
  method = "GET",
): Promise<Response> {
  const request = new Request(`${page.origin}${path}`, { method });
  const all = new Headers({ host: new URL(page.origin).host, ...headers });
  Object.defineProperty(request, "headers", { value: all });
  return await answerPage(request, page.options);
}

Deno.test("without the token there is nothing but the page's own files", () =>
  withPage(async (page) => {
    for (const path of API_PATHS) {
      for (
        const headers of [
          {},
          { authorization: "Bearer " },
          { authorization: TOKEN },
          { authorization: `Bearer ${TOKEN.slice(0, -1)}` },
          { authorization: `Bearer ${TOKEN.replace("v", "w")}` },
          { cookie: `token=${TOKEN}` },
        ]
      ) {
        const response = await ask(page, path, headers as Record<string, string>);
        assertEquals(response.status, 401, path);
        assertStringIncludes((await response.json()).error, "the link that toom web prints");
      }
      assertEquals((await ask(page, `${path}?token=${TOKEN}`, {})).status, 401, path);
    }
    for (const path of ["/", ...[...PAGE_FILES, ...VENDOR_FILES].map((file) => `/${file}`)]) {
      const response = await fetch(`${page.origin}${path}`);
      assertEquals(response.status, 200, path);
      assert((await response.bytes()).length > 100, path);
    }
  }));

Deno.test("a Unix socket is its owner's alone, and needs no token", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/web.sock`;
  try {
    await using page = await servePage({ address: { kind: "unix", path } });
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
    const response = await fetch(`${page.origin}/api/fields`, { client });
    assertEquals([response.status, Object.keys(await response.json()).includes("user")], [
      200,
      true,
    ]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("every answer keeps foreign code, frames and sniffing out", () =>
  withPage(async (page) => {
    for (const path of ["/", "/page/main.js", "/api/fields", "/nowhere", "/api/kills/none"]) {
      const response = await ask(page, path);
      await response.body?.cancel();
      const policy = response.headers.get("content-security-policy") ?? "";
      assertStringIncludes(policy, "default-src 'none'");
      assertStringIncludes(policy, "script-src 'self'");
      assertStringIncludes(policy, "frame-ancestors 'none'");
      assert(!/unsafe|https?:|\*|data:/.test(policy), policy);
      assertEquals(response.headers.get("x-content-type-options"), "nosniff", path);
      assertEquals(response.headers.get("referrer-policy"), "no-referrer", path);
      assertEquals(response.headers.get("access-control-allow-origin"), null, path);
    }
    const secret = await ask(page, "/api/kills");
    await secret.body?.cancel();
    assertEquals(secret.headers.get("cache-control"), "no-store");
  }));

Deno.test("the page's own files have no inline code and name nothing of elsewhere", async () => {
  for (const file of ["page/index.html", "page/app.css", "page/icon.svg"]) {
    const text = await Deno.readTextFile(new URL(`../../../cli/web/${file}`, import.meta.url));
    assert(!/<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:/.test(text), file);
    assert(!/(?:src|href)="(?!\/)/.test(text) && !/@import|url\(/.test(text), file);
  }
});

Deno.test("a page of elsewhere, and a name that was made to lead here, are turned away", () =>
  withPage(async (page) => {
    const { host } = new URL(page.origin);
    for (const name of ["evil.example", "evil.example:984", "10.0.0.1", "localhost.evil.example"]) {
      assertEquals((await ask(page, "/", { ...LET_IN, host: name })).status, 421, name);
      assertEquals((await ask(page, "/api/fields", { ...LET_IN, host: name })).status, 421, name);
    }
    for (
      const headers of [
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
        { origin: "http://evil.example" },
        { origin: "null" },
        { origin: "http://127.0.0.1:1" },
      ]
    ) {
      const response = await ask(page, "/api/fields", {
        ...LET_IN,
        ...headers as unknown as Record<string, string>,
      });
      assertEquals(response.status, 403, JSON.stringify(headers));
    }
    const own = { ...LET_IN, "sec-fetch-site": "same-origin", origin: `http://${host}` };
    assertEquals((await ask(page, "/api/fields", own)).status, 200);
  }));

Deno.test("names of this machine are its own, with a port or without", () => {
  for (const host of ["localhost", "LOCALHOST:984", "127.0.0.1:984", "127.9.9.9", "[::1]:984"]) {
    assert(isOwnHost(host), host);
  }
  for (const host of [null, "", "127.0.0.1.evil.example", "[::2]", "evil\nlocalhost"]) {
    assert(!isOwnHost(host), String(host));
  }
  const headers = new Headers({ host: "localhost:8080", origin: "https://localhost:8080" });
  assert(!isOtherOrigin(headers), "a web server before this one may speak TLS");
});

Deno.test("no path leads out of the table of files, and nothing can be changed", () =>
  withPage(async (page) => {
    const paths = [
      "/../../mod.ts",
      "/page/../access.ts",
      "/page/%2e%2e/access.ts",
      "/page/..%2faccess.ts",
      "//etc/passwd",
      "/page/",
      "/page",
      "/vendor/vendor.json",
      "/page/main.js%00.html",
      "/server.ts",
      "/api/",
      "/api/kills/a/b",
      "/api/constructor",
    ];
    for (const path of paths) assertEquals((await ask(page, path)).status, 404, path);
    // As it is, without what URL does to dots.
    const connection = await Deno.connect({ port: Number(new URL(page.origin).port) });
    await connection.write(
      new TextEncoder().encode(
        "GET /page/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      ),
    );
    const text = await new Response(connection.readable).text();
    assertMatch(text, /^HTTP\/1\.1 404 /);
    assert(!text.includes("root:"));
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      assertEquals((await ask(page, "/api/fields", LET_IN, method)).status, 405, method);
    }
  }));

Deno.test("files are sent again only when they have changed", () =>
  withPage(async (page) => {
    const first = await fetch(`${page.origin}/page/main.js`);
    await first.body?.cancel();
    const etag = first.headers.get("etag")!;
    const again = await fetch(`${page.origin}/page/main.js`, {
      headers: { "if-none-match": etag },
    });
    assertEquals([again.status, await again.text()], [304, ""]);
  }));

Deno.test("what is asked is checked, and told in a line", () =>
  withPage(async (page) => {
    const cases = [
      ["/api/explain/alice", 400, 'expected a uid, not "alice"'],
      ["/api/explain/4294967296", 400, 'expected a uid, not "4294967296"'],
      ["/api/series/60001?range=year", 400, 'range: expected one of live, day, week, not "year"'],
      ["/api/series/60001?range=toString", 400, "range: expected one of live, day, week"],
      ["/api/kills?uid=x", 400, 'expected a uid, not "x"'],
      ["/api/kills?since=x", 400, "since: expected milliseconds since 1970"],
      ["/api/kills/%3Cimg%3E", 404, "no kill"],
    ] as const;
    for (const [path, status, problem] of cases) {
      const response = await ask(page, path);
      assertEquals(response.status, status, path);
      assertStringIncludes((await response.json()).error, problem);
    }
    page.daemon.problem = "toom is not running here";
    page.daemon.explain = () => Promise.reject(new Error("toom is not running here"));
    const response = await ask(page, "/api/explain/60001");
    assertEquals([response.status, await response.json()], [502, {
      error: "toom is not running here",
    }]);
  }));

Deno.test("kills and their receipts, of memory and of the history's file", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await using page = await servePage();
    const alice = madeUser(60001, "alice", 32, 64);
    const old = madeKill(1, alice, 86_400_000, { comm: "old" });
    const both = madeKill(2, alice, 5000, { exitUs: null, freedBytes: null });
    const bobs = madeKill(3, madeUser(60002, "bob", 1, 2), 4000);
    const path = `${dir}/history.db`;
    const database = new HistoryDatabase(path, HISTORY_BOUNDS, () => new Date());
    database.open();
    const hourMs = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000;
    const peaks = [{ hourMs, uid: 60001, peakBytes: 4096 * 100 }];
    database.write({ kills: [old, both], ends: [], peaks });
    database.close();
    page.daemon.users = [alice];
    page.daemon.recent = [{ ...both, exitUs: 1000, freedBytes: 1 }, bobs];
    page.daemon.historyPath = path;
    page.watcher.start();
    await waitUntil(() => page.watcher.feed.look !== undefined, "a look");
    const list = async (query: string): Promise<string[]> => {
      const { kills } = await (await ask(page, `/api/kills${query}`)).json();
      return kills.map(({ id, exitUs }: { id: string; exitUs: number }) => `${id} ${exitUs}`);
    };
    assertEquals(await list(""), [`${old.id} 10570`, `${both.id} 1000`, `${bobs.id} 10570`]);
    assertEquals(await list("?uid=60002"), [`${bobs.id} 10570`]);
    assertEquals(await list(`?uid=60001&since=${Date.now() - 60_000}`), [`${both.id} 1000`]);
    const { kill, sentences } = await (await ask(page, `/api/kills/${old.id}`)).json();
    assertEquals(kill.comm, "old");
    assertEquals(
      sentences.find(([about]: [string]) => about === "killed")[1].slice(0, 14),
      'pid 210 ("old"',
    );
    const day = await (await ask(page, "/api/series/60001?range=day")).json();
    assertEquals([day.atMs, day.usagePages], [[hourMs], [100]]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("what a user used before the page was opened is there", () =>
  withPage(async (page) => {
    await waitUntil(() => page.watcher.samples.of(60001).atMs.length > 0, "a sample");
    const { usagePages, atMs } = await (await ask(page, "/api/series/60001")).json();
    assertEquals([usagePages.at(-1), atMs.length], [32 * 256, usagePages.length]);
    const { explanation, sentences } = await (await ask(page, "/api/explain/60001")).json();
    assertEquals(explanation.user.usagePages, 32 * 256);
    assertStringIncludes(sentences[1], "It uses 32.0 MiB");
  }));

/** What connections hold that nobody reads: the kernel's buffers of both ends, and one message. */
const UNREAD_BYTES_MAX = 9e6;

Deno.test("a browser that stops reading costs one message; the others are told as ever", () =>
  withPage(async (page) => {
    page.daemon.users = Array.from(
      { length: 2000 },
      (_, at) => madeUser(61_000 + at, `user${at}`, 1 + at % 60, 64),
    );
    const { port } = new URL(page.origin);
    const stuck = await Deno.connect({ port: Number(port) });
    await stuck.write(
      new TextEncoder().encode(
        `GET /api/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
      ),
    );
    const live = await fetch(`${page.origin}/api/live`, { headers: LET_IN });
    const reader = live.body!.getReader();
    let toldBytes = 0;
    await waitUntil(() => page.watcher.listeners.size === 2, "two that listen");
    for (let time = 0; toldBytes < 3 * UNREAD_BYTES_MAX; time++) {
      page.daemon.users = page.daemon.users.map((user) => ({ ...user, peakPages: 1000 + time }));
      page.watcher.hurry();
      toldBytes += (await reader.read()).value!.length;
    }
    assertEquals(page.watcher.listeners.size, 2);
    // It reads again: what was held, and then all that there is now.
    let readBytes = 0;
    let text = "";
    const last = `,${page.daemon.users[0]!.peakPages},`;
    const buffer = new Uint8Array(65_536);
    while (!text.includes(last) && readBytes < toldBytes) {
      const count = (await stuck.read(buffer))!;
      readBytes += count;
      text = text.slice(-65_536) + new TextDecoder().decode(buffer.subarray(0, count));
    }
    assert(text.includes(last), "it has caught up");
    assert(readBytes < UNREAD_BYTES_MAX, `${readBytes} of ${toldBytes} bytes had waited`);
    await reader.cancel();
    stuck.close();
    await waitUntil(() => page.watcher.listeners.size === 0, "nobody who listens");
  }, 10));
