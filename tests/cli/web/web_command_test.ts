/** `toom web`: where it serves, the link, and its end. */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { webCommand } from "../../../cli/web.ts";
import {
  isServed,
  linkPath,
  newToken,
  readLink,
  tokenOf,
  writeLink,
} from "../../../cli/web/link.ts";
import { parseWebAddress, webAddressText } from "../../../service/config/web_address.ts";
import { FormatError } from "../../../pipeline/limits/units.ts";
import { withControl } from "../../_support/fake_control.ts";
import { commandOf, SOURCE_PROGRAM } from "../../_support/program.ts";
import { waitUntil } from "../../_support/real_kernel.ts";

interface Run {
  readonly out: string[];
  readonly err: string[];
  readonly code: Promise<number>;
  readonly end: () => void;
}

/** Runs the command in this process until it is to end. */
function run(...words: string[]): Run {
  const out: string[] = [];
  const err: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const io = {
    out: (line: string) => void out.push(line),
    err: (line: string) => void err.push(line),
  };
  const code = webCommand(words, io, { end: promise, givesUp: false });
  return { out, err, code, end: resolve };
}

/** A port that was free a moment ago. */
function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

Deno.test("addresses of this machine alone, and sockets", () => {
  const shown = ["984", ":984", "127.0.0.1:984", "localhost:984", "[::1]:984", "/run/toom/web.sock"]
    .map((text) => webAddressText(parseWebAddress(text)));
  const loopback = "127.0.0.1:984";
  assertEquals(shown, [loopback, loopback, loopback, loopback, "[::1]:984", "/run/toom/web.sock"]);
  for (
    const text of ["0.0.0.0:984", "10.0.0.1:984", "[::]:984", "host:984", "0", "70000", "", "x"]
  ) {
    const { message } = assertThrows(() => parseWebAddress(text), FormatError);
    assertMatch(message, /^expected .* not ".*"$/);
  }
});

Deno.test("the link is printed, is in a file for root alone, and leads to the page", () =>
  withControl(async ({ socketPath }) => {
    const port = freePort();
    const words = [`--control-socket=${socketPath}`, `--listen=${port}`];
    const web = run(...words);
    await waitUntil(() => web.out.length > 0, "a link");
    const [link] = web.out;
    assertMatch(link!, new RegExp(`^http://127\\.0\\.0\\.1:${port}/#token=[\\w-]{32}$`));
    const file = linkPath(socketPath);
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
    assertEquals(readLink(file), link);
    const printed = run(...words, "--link");
    assertEquals([await printed.code, printed.out], [0, [link]]);
    const token = tokenOf(link)!;
    const answer = await fetch(`http://127.0.0.1:${port}/api/explain/60001`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assertEquals((await answer.json()).explanation.uid, 60001);
    const second = run(...words);
    assertEquals(await second.code, 1);
    assertStringIncludes(second.err[0]!, "its link is printed by toom web --link");
    assertEquals(readLink(file), link, "who could not listen leaves the link of who does");
    web.end();
    assertEquals([await web.code, web.err], [0, []]);
    const late = run(...words, "--link");
    assertEquals(await late.code, 1);
    assertStringIncludes(late.err[0]!, "no page is served here");
    const anew = run(...words);
    await waitUntil(() => anew.out.length > 0, "a link");
    assert(
      tokenOf(anew.out[0]) !== token,
      "a port that anybody may take has a new token each time",
    );
    anew.end();
    await anew.code;
  }));

Deno.test("where the link cannot be kept, the page is served all the same", () =>
  withControl(async ({ socketPath }) => {
    await Deno.mkdir(`${linkPath(socketPath)}.next/in-the-way`, { recursive: true });
    const web = run(`--control-socket=${socketPath}`, `--listen=${freePort()}`);
    await waitUntil(() => web.out.length > 0, "a link");
    assert(await isServed(web.out[0]!));
    assertMatch(web.err[0]!, /^toom web: the link is not kept in .*web\.link: /);
    web.end();
    assertEquals(await web.code, 0);
  }));

Deno.test("a Unix socket is made anew where nobody answers, and gone at the end", () =>
  withControl(async ({ socketPath, dirPath }) => {
    const path = `${dirPath}/web.sock`;
    const web = run(`--control-socket=${socketPath}`, `--listen=${path}`);
    await waitUntil(() => web.out.length > 0, "a link");
    assertEquals(web.out, [path]);
    assert(await isServed(path));
    const second = run(`--control-socket=${socketPath}`, `--listen=${path}`);
    assertEquals(await second.code, 1);
    assertStringIncludes(second.err[0]!, "another program answers there");
    web.end();
    assertEquals(await web.code, 0);
    assert(!await isServed(path));
    await Deno.writeTextFile(path, "not a socket");
    const third = run(`--control-socket=${socketPath}`, `--listen=${path}`);
    assertEquals(await third.code, 1);
    assertStringIncludes(third.err[0]!, "it is no socket");
  }));

Deno.test("without a daemon there is a line, not a page; wrong words too", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const web = run(`--control-socket=${dir}/none.sock`, "--listen=9185");
    assertEquals(await web.code, 1);
    assertStringIncludes(web.err[0]!, "toom is not running here");
    const open = run("--listen=0.0.0.0:9185");
    assertEquals(await open.code, 2);
    assertStringIncludes(open.err[0]!, "toom web: --listen: expected an address of this machine");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a link that others could have read or written is none", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/web.link`;
    const link = `http://127.0.0.1:984/#token=${newToken()}`;
    writeLink(path, link);
    assertEquals(readLink(path), link);
    await Deno.chmod(path, 0o640);
    assertEquals(readLink(path), undefined);
    await Deno.remove(path);
    await Deno.symlink(`${dir}/elsewhere`, path);
    await Deno.writeTextFile(`${dir}/elsewhere`, link, { mode: 0o600 });
    assertEquals(readLink(path), undefined);
    writeLink(path, link);
    assertEquals([readLink(path), (await Deno.lstat(path)).isSymlink], [link, false]);
    assertEquals(tokenOf("http://127.0.0.1:984/#token=short"), undefined);
    assertEquals(tokenOf(undefined), undefined);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a process that serves the page can start no program any more", () =>
  withControl(async ({ socketPath }) => {
    const script = `
      import { webCommand } from ${JSON.stringify(new URL("../../../cli/web.ts", import.meta.url))};
      const states = (names) => names.map((name) => Deno.permissions.querySync({ name }).state);
      const out = () => console.log(...states(["run", "ffi", "import"]));
      const end = new Promise((resolve) => setTimeout(resolve, 500));
      Deno.exit(await webCommand(Deno.args, { out, err: console.error }, { end }));`;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--no-check",
        `--config=${new URL("../../../deno.json", import.meta.url).pathname}`,
        script,
        `--control-socket=${socketPath}`,
        `--listen=${freePort()}`,
      ],
      env: { NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(text, "prompt prompt prompt\n");
  }));

Deno.test("as a program: it ends by SIGTERM, and with the daemon that started it", () =>
  withControl(async ({ socketPath }) => {
    for (const isForDaemon of [false, true]) {
      const words = [
        "web",
        `--control-socket=${socketPath}`,
        `--listen=${freePort()}`,
        ...(isForDaemon ? ["--for-daemon"] : []),
      ];
      const child = commandOf(SOURCE_PROGRAM, words, { stdin: "piped" }).spawn();
      const reader = child.stdout.getReader();
      const line = new TextDecoder().decode((await reader.read()).value);
      assertMatch(line, /^http:\S+#token=\S+\n$/);
      if (isForDaemon) await child.stdin.close();
      else {
        await child.stdin.close();
        child.kill("SIGTERM");
      }
      const { code } = await child.status;
      await reader.cancel();
      assertEquals([code, await new Response(child.stderr).text()], [0, ""]);
    }
  }));
