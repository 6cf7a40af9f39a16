/**
 * What it costs to be watched: a toom with a thousand users and ten thousand processes, a page in a real
 * browser, `toom top` in a real terminal, a browser that stops reading and a scraper that asks every 100 ms.
 *
 *     deno run -A --no-check tests/soak/watching.ts [--seconds 30] [--users 1000] [--each 10] [--kills 12]
 *
 * Prints CPU and memory of each, and how long kills take with and without those who watch, in turns. Needs
 * root, tracefs, a C compiler, tmux and chromium.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { linkPath, readLink, tokenOf } from "../../cli/web/link.ts";
import { Browser, type Tab } from "../_support/browser.ts";
import { Tmux } from "../_support/tmux.ts";
import { Toom } from "../_support/toom.ts";
import { Workload } from "../_support/workload.ts";

const FIRST_UID = 62_000;
const HOG_UID = 61_999;
const PAGES = 20;
const SCRAPE_EVERY_MS = 100;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const CROWD = new URL("./crowd.c", import.meta.url).pathname;

const args = parseArgs(Deno.args, { string: ["seconds", "users", "each", "kills"] });
const seconds = Number(args.seconds ?? 30);
const users = Number(args.users ?? 1000);
const each = Number(args.each ?? 10);
const kills = Number(args.kills ?? 12);

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function childrenOf(pid: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
    found.push(...text.split(" ").filter((word) => word !== "").map(Number));
  }
  return found;
}

/** A process and all that it has started. */
function family(pid: number): number[] {
  try {
    return [pid, ...childrenOf(pid).flatMap(family)];
  } catch {
    return [];
  }
}

function commandLine(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

/** CPU of these processes so far, milliseconds. */
function cpuMs(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    try {
      const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      sum += (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {
      // It has ended.
    }
  }
  return sum;
}

function rssMib(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Everybody who watches. */
interface Watchers extends AsyncDisposable {
  readonly browser: Browser;
  readonly tab: Tab;
  readonly top: number;
}

async function watchAll(toom: Toom, link: string, dir: string): Promise<Watchers> {
  const browser = await Browser.start();
  const tab = await browser.open({ width: 1280, height: 860 });
  await tab.go(link);
  await tab.until("document.querySelector('.users tbody tr') !== null", 60_000);
  const tmux = new Tmux(dir);
  const start = `exec '${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
    `--control-socket='${toom.socketPath}'`;
  await tmux.run("new-session", "-d", "-x", "120", "-y", "40", start);
  await tmux.until((lines) => lines.join().includes("F10Quit"), "top is there");
  const top = Number(await tmux.run("list-panes", "-F", "#{pane_pid}"));
  return {
    browser,
    tab,
    top,
    async [Symbol.asyncDispose](): Promise<void> {
      await tmux[Symbol.asyncDispose]();
      await browser[Symbol.asyncDispose]();
    },
  };
}

/** Opens the page's stream and never reads it. */
async function stopReading(link: string): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(link);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const head = `GET /api/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${
    tokenOf(link)
  }\r\n\r\n`;
  await connection.write(new TextEncoder().encode(head));
  return connection;
}

/** Kills of one hog each. @returns Latencies, µs. */
async function killSome(toom: Toom, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let number = 0; number < count; number++) {
    await using hog = new Workload(HOG_UID, "hold", 64);
    await hog.end();
    const line = await toom.waitFor("kill", ({ pid }) => pid === hog.pid);
    found.push(Number(line["latencyUs"]));
  }
  return found;
}

const dir = await Deno.makeTempDir();
Deno.chmodSync(dir, 0o755);
const crowdPath = `${dir}/crowd`;
const built = await new Deno.Command("cc", { args: ["-O1", "-static", "-o", crowdPath, CROWD] })
  .output();
if (!built.success) throw new Error("cc: crowd.c does not build");
const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
const { port } = listener.addr as Deno.NetAddr;
listener.close();
const crowd = new Deno.Command("setsid", {
  args: [crowdPath, FIRST_UID, users, each, PAGES].map(String),
  stdin: "piped",
  stdout: "piped",
}).spawn();
try {
  await crowd.stdout.getReader().read();
  await using toom = await Toom.start([
    `--limit=${FIRST_UID}-${FIRST_UID + users - 1}=64MiB`,
    `--limit=${HOG_UID}=32MiB`,
    `--web=${port}`,
  ]);
  await toom.waitFor("config", ({ message }) => String(message).startsWith("page on "));
  const link = readLink(linkPath(toom.socketPath))!;
  const web = childrenOf(toom.pid).find((pid) => commandLine(pid).includes("--for-daemon"))!;
  await wait(3000);

  const measure = async (what: string, watchers?: Watchers): Promise<void> => {
    const parts: Record<string, number[]> = { toom: [toom.pid], page: [web] };
    if (watchers !== undefined) {
      parts["browser"] = family(watchers.browser.pid);
      parts["top"] = [watchers.top];
    }
    const before = Object.values(parts).map(cpuMs);
    const memory = [rssMib(toom.pid), rssMib(web)];
    const beganMs = performance.now();
    await wait(seconds * 1000);
    const passedMs = performance.now() - beganMs;
    const shares = Object.entries(parts).map(([name, pids], at) =>
      `${name} ${((cpuMs(pids) - before[at]!) / passedMs * 100).toFixed(1)} %`
    );
    const grown = [rssMib(toom.pid), rssMib(web)].map((mib, at) =>
      `${memory[at]!.toFixed(1)} to ${mib.toFixed(1)}`
    );
    console.log(`${what}: ${shares.join(", ")}; MiB: toom ${grown[0]}, page ${grown[1]}`);
  };

  const status = await toom.status();
  console.log(
    `${status.users.length} users, ${
      status.users.reduce((sum, { processes }) => sum + processes, 0)
    } processes, source ${status.source}`,
  );
  await measure("nobody watches");
  const quiet: number[] = [];
  const watched: number[] = [];
  for (let round = 0; round < 3; round++) {
    quiet.push(...await killSome(toom, Math.ceil(kills / 3)));
    await using watchers = await watchAll(toom, link, dir);
    if (round === 0) await measure("page and top", watchers);
    using stuck = await stopReading(link);
    let scrapes = 0;
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: toom.socketPath } });
    const scraper = setInterval(async () => {
      try {
        await (await fetch("http://localhost/metrics", { client })).bytes();
        scrapes++;
      } catch {
        // The next one.
      }
    }, SCRAPE_EVERY_MS);
    if (round === 0) {
      await measure("and one that stops reading, and a scraper", watchers);
      await watchers.tab.click(".users tbody .name");
      await measure("and one user is chosen", watchers);
      console.log(`${scrapes} scrapes`);
    }
    watched.push(...await killSome(toom, Math.ceil(kills / 3)));
    clearInterval(scraper);
    void stuck;
  }
  console.log(
    `kills, µs: nobody watches ${median(quiet)} (${quiet.join()}), ` +
      `all watch ${median(watched)} (${watched.join()})`,
  );
} finally {
  await crowd.stdin.close().catch(() => {});
  await crowd.status;
  await Deno.remove(dir, { recursive: true });
}
