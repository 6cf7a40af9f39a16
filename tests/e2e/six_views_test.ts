/**
 * toom top, the page, explain, kills, /metrics and status show the same numbers for the same moment while a
 * hog grows, each as people see it: top in a terminal, the page in a browser.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { linkPath, readLink } from "../../cli/web/link.ts";
import { pageBytes } from "../../kernel/ffi/libc.ts";
import { formatBytes } from "../../pipeline/limits/units.ts";
import { Browser, CHROMIUM, CHROMIUM_NEEDS, type Tab } from "../_support/browser.ts";
import { samplesOf } from "../_support/metric_samples.ts";
import { needing, waitUntil } from "../_support/real_kernel.ts";
import { TMUX, Tmux } from "../_support/tmux.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60_615;
const HARD_MIB = 64;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const HAS_ALL = E2E_POSSIBLE && CHROMIUM !== undefined && TMUX !== undefined;
const NEEDS = `${E2E_NEEDS}, ${CHROMIUM_NEEDS} and tmux`;

/** Usage, hard, soft and peak as people read them, and how many processes. */
type Numbers = readonly [string, string, string, string, string];

const size = (pages: number): string => formatBytes(pages * pageBytes());

interface Scene {
  readonly toom: Toom;
  readonly client: ControlClient;
  readonly tmux: Tmux;
  readonly tab: Tab;
}

async function statusNumbers({ client }: Scene): Promise<Numbers> {
  const user = (await client.status()).users.find(({ uid }) => uid === UID)!;
  const { usagePages, hardPages, softPages, peakPages, processes } = user;
  return [size(usagePages), size(hardPages), size(softPages), size(peakPages), String(processes)];
}

async function metricNumbers({ toom }: Scene): Promise<Numbers> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: toom.socketPath } });
  const answer = await fetch("http://localhost/metrics", { client });
  const samples = samplesOf(await answer.text());
  const memory = (type: string): string =>
    formatBytes(samples.get(`toom_user_memory_bytes{uid="${UID}",type="${type}"}`)!);
  const limit = (kind: string): string =>
    formatBytes(samples.get(`toom_user_limit_bytes{uid="${UID}",kind="${kind}"}`)!);
  const processes = samples.get(`toom_user_processes{uid="${UID}"}`)!;
  return [memory("charged"), limit("hard"), limit("soft"), memory("peak"), String(processes)];
}

/** From the sentences of `toom explain`. */
async function explainNumbers({ toom }: Scene): Promise<Numbers> {
  const { out } = await toom.command("explain", String(UID));
  const [, hard, soft] = /may use (\S+ \S+); from (\S+ \S+) on \(soft\)/.exec(out)!;
  const [, usage] = /It uses (\S+ \S+): /.exec(out)!;
  const [, processes] = / in (\d+) process/.exec(out)!;
  const [, peak] = /At most it has used (\S+ \S+)\./.exec(out)!;
  return [usage!, hard!, soft!, peak!, processes!];
}

/** From the facts about the user that is chosen. */
async function pageNumbers({ tab }: Scene): Promise<Numbers> {
  const facts = await tab.value<Record<string, string>>(
    `Object.fromEntries([...document.querySelectorAll(".detail .facts > div")]
      .map((one) => [one.querySelector("dt").innerText, one.querySelector("dd").innerText]))`,
  );
  return ["USAGE", "HARD", "SOFT", "PEAK", "PROCESSES"].map((name) =>
    facts[name]!
  ) as unknown as Numbers;
}

/** top has shorter words, and neither soft nor peak as numbers: usage, hard, processes. */
async function topNumbers({ tmux }: Scene): Promise<readonly [string, string, string]> {
  const line = (await tmux.screen()).find((one) => one.startsWith(`${UID} `)) ?? "";
  const [, , usage, hard, , , processes] = line.trim().split(/\s+/);
  const long = (short = "?"): string => short.replace(/([KMGB])$/, " $1iB").replace("BiB", "B");
  return [long(usage), long(hard), processes ?? "?"];
}

const shortOf = ([usage, hard, , , processes]: Numbers): readonly [string, string, string] => [
  usage,
  hard,
  processes,
];

Deno.test({
  ...needing(HAS_ALL, NEEDS, "top, page, explain, kills, metrics and status tell the same"),
  fn: async (t) => {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const dir = await Deno.makeTempDir();
    try {
      await using browser = await Browser.start();
      await using toom = await Toom.start([`--limit=${UID}=${HARD_MIB}MiB`, `--web=${port}`]);
      await using hog = new Workload(UID, "steps", 1);
      await hog.until("here");
      using client = new ControlClient(toom.socketPath);
      await using tmux = new Tmux(dir);
      const start = `'${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
        `--control-socket='${toom.socketPath}'`;
      await tmux.run("new-session", "-d", "-x", "100", "-y", "30", start);
      await toom.waitFor("config", ({ message }) => String(message).startsWith("page on "));
      const link = readLink(linkPath(toom.socketPath))!;
      const tab = await browser.open({ width: 1280, height: 860 });
      await tab.go(link);
      await tab.until(`document.querySelector('[data-uid="${UID}"]') !== null`);
      await tab.click(`[data-uid="${UID}"]`);
      await tab.until("document.querySelector('.sentences') !== null");
      const scene: Scene = { toom, client, tmux, tab };
      let grown = 0;
      const grow = async (mib: number): Promise<void> => {
        for (let step = 0; step < mib; step++) {
          await hog.go();
          await hog.until(`grown ${++grown}`);
        }
      };

      await t.step("at rest all say the same", async () => {
        const usages: number[] = [];
        for (let round = 0; round < 4; round++) {
          await grow(9);
          let said: unknown[] = [];
          let isSame = false;
          // Each is of a moment of its own; when nothing moves, these are one.
          for (let tries = 0; tries < 30 && !isSame; tries++) {
            await new Promise((resolve) => setTimeout(resolve, 500));
            const before = await statusNumbers(scene);
            const others = [
              await metricNumbers(scene),
              await explainNumbers(scene),
              await pageNumbers(scene),
            ];
            const top = await topNumbers(scene);
            const after = await statusNumbers(scene);
            said = [before, ...others, top, after];
            isSame = before.join() === after.join() &&
              others.every((one) => one.join() === before.join()) &&
              top.join() === shortOf(before).join();
            if (isSame) usages.push(parseFloat(before[0]));
          }
          assert(isSame, `they never agree:\n${said.join("\n")}`);
          assert(usages.at(-1)! >= grown, `${usages.at(-1)} MiB of ${grown}`);
        }
        assertEquals(usages, usages.toSorted((a, b) => a - b));
        assert(new Set(usages).size === 4, usages.join());
      });

      await t.step("while it grows, no view is behind or before the others", async () => {
        let isGrowing = true;
        const growing = (async (): Promise<void> => {
          for (let step = 0; step < 12; step++) {
            await grow(1);
            await new Promise((resolve) => setTimeout(resolve, 250));
          }
          isGrowing = false;
        })();
        const seen: Record<"page" | "top", number[]> = { page: [], top: [] };
        while (isGrowing) {
          const [page] = await pageNumbers(scene);
          const [top] = await topNumbers(scene);
          const [now] = await statusNumbers(scene);
          for (const [view, shown] of [["page", page], ["top", top]] as const) {
            const mib = parseFloat(shown);
            assert(mib <= parseFloat(now), `${view} shows ${shown}, and it is ${now}`);
            seen[view].push(mib);
          }
        }
        await growing;
        for (const [view, usages] of Object.entries(seen)) {
          assertEquals(usages, usages.toSorted((a, b) => a - b), `${view}: it only grows`);
          assert(new Set(usages).size > 1, `${view} follows: ${usages}`);
        }
      });

      await t.step("of the kill too", async () => {
        for (let step = 0; step < HARD_MIB; step++) await hog.go().catch(() => {});
        assertEquals((await hog.end()).signal, "SIGKILL");
        const { id } = await toom.waitFor("killed", ({ uid }) => uid === UID).then(() =>
          toom.of("kill")[0]!
        ) as unknown as { readonly id: string };
        const [kill] = (await client.kills()).kills;
        const victim = size(kill!.victimPages);
        const row = "document.querySelector('.kills tbody tr')";
        await tab.until(`${row} !== null`);
        const cells = await tab.value<string[]>(`[...${row}.cells].map((one) => one.innerText)`);
        assertEquals(
          cells.slice(1, 8).filter((cell) => cell !== ""),
          [
            `uid ${UID}`,
            kill!.comm,
            String(hog.pid),
            victim,
            size(kill!.usagePages),
            size(kill!.hardPages),
            formatBytes(kill!.overshootBytes),
          ].filter((cell) => cell !== ""),
        );
        await tab.click(".kills tbody .name");
        await tab.until("document.querySelector('dialog .receipt') !== null");
        const shown = (await toom.command("kills", "show", id)).out;
        const receipt = await tab.value<string[]>(
          "[...document.querySelectorAll('dialog .receipt dd')].map((one) => one.innerText)",
        );
        assertEquals(receipt.length, 7);
        for (const sentence of receipt) assert(shown.includes(sentence), `${sentence}\n${shown}`);
        const top = await tmux.until(
          (lines) => lines.some((line) => line.includes(`pid ${hog.pid} `)),
          "top shows the kill",
        );
        const line = top.find((one) => one.includes(`pid ${hog.pid} `))!;
        assertMatch(
          line,
          new RegExp(`, ${victim}, ${formatBytes(kill!.overshootBytes)} over 64\\.0`),
        );
        const { kills } = await client.status();
        const total = await tab.value(
          "[...document.querySelectorAll('.tile')]" +
            ".find((one) => one.innerText.startsWith('Kills')).querySelector('.big').innerText",
        );
        assertEquals([kills.total, total], [1, "1"]);
        assertEquals(tab.complaints, []);
      });

      await t.step("the page says that toom has gone, and ends with it", async () => {
        assertEquals((await toom.stop()).code, 0);
        await tab.until("document.querySelector('.problem') !== null");
        await waitUntil(
          () => {
            try {
              Deno.listen({ port, hostname: "127.0.0.1" }).close();
              return true;
            } catch {
              return false;
            }
          },
          "nobody listens there any more",
        );
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
