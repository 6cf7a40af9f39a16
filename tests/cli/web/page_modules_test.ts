/** The page's modules that need no document, run here as browsers run them; and what is vendored. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { EventParser, takeToken } from "../../../cli/web/page/connection.js";
import * as format from "../../../cli/web/page/format.js";
import { actionOf, KEYS } from "../../../cli/web/page/keys.js";
import { chartSentence, LiveSeries, nearestUsers } from "../../../cli/web/page/series.js";
import { secondsToHard, Store } from "../../../cli/web/page/store.js";
import {
  DOCUMENTS,
  PAGE_FILES,
  RECORDING_PAGE_FILES,
  VENDOR_FILES,
} from "../../../cli/web/assets.ts";
import { Feed } from "../../../cli/web/feed.ts";
import type { FieldSpec, FieldValue } from "../../../service/fields/field.ts";
import { formatSeconds, harmless, show } from "../../../service/fields/show.ts";
import { FIELD_TABLES } from "../../../service/fields/tables.ts";
import { formatBytes } from "../../../pipeline/limits/units.ts";
import type { StatusReport } from "../../../service/control/control_api.ts";
import { FAKE_STATUS } from "../../_support/fake_control.ts";
import { madeKill, madeUser } from "../../_support/page.ts";

const WEB = new URL("../../../cli/web/", import.meta.url);
const HOSTILE = [
  "",
  "plain",
  "<img src=x onerror=alert(1)>",
  "\u001b[31mred\u001b[0m",
  "a\nb\u2028c",
  "\u202egnp.exe",
  "\u2066x\u2069\u200f",
  "\"&amp;'",
];
const NUMBERS = [
  0,
  1,
  0.04,
  0.96,
  15.6,
  999.94,
  1000,
  1023,
  1024,
  1023.95 * 1024,
  123_456,
  1e6,
  -4096,
  2 ** 31,
  2 ** 40,
  1e15,
];

Deno.test("the page shows each value as tables and sentences do", () => {
  for (const { title, fields } of FIELD_TABLES) {
    for (const [name, spec] of Object.entries<FieldSpec>(fields)) {
      for (const value of [null, true, false, ...HOSTILE, ...NUMBERS] as FieldValue[]) {
        const told = format.show(spec, value, 4096);
        assertEquals(told, show(spec, value, 4096), `${title} ${name} ${value}`);
      }
    }
  }
  for (const text of HOSTILE) assertEquals(format.harmless(text), harmless(text));
  for (const number of NUMBERS) assertEquals(format.formatBytes(number), formatBytes(number));
  for (const seconds of [0, 59, 60, 3599, 3661, 86_400, 1e7]) {
    assertEquals(format.formatSeconds(seconds), formatSeconds(seconds));
  }
});

/** Names of the files in a folder. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(new URL(folder, WEB)));
  return entries.filter(({ isFile }) => isFile).map(({ name }) => name);
}

Deno.test("each file of the page is in the server's table, and imports only such files", async () => {
  const page = (await filesIn("page/")).map((name) => `page/${name}`);
  const documents = Object.values(DOCUMENTS);
  assertEquals(page.sort(), [...PAGE_FILES, ...RECORDING_PAGE_FILES, ...documents].sort());
  for (
    const file of [...PAGE_FILES, ...RECORDING_PAGE_FILES].filter((one) => one.endsWith(".js"))
  ) {
    const text = await Deno.readTextFile(new URL(file, WEB));
    const isOfBoth = PAGE_FILES.some((one) => one === file);
    const known = [...PAGE_FILES, ...(isOfBoth ? [] : RECORDING_PAGE_FILES), ...VENDOR_FILES];
    for (const [, path] of text.matchAll(/\bfrom "([^"]+)"/g)) {
      const target = new URL(path!, new URL(file, WEB)).href.slice(WEB.href.length);
      assert(known.some((one) => one === target), `${file}: ${path}`);
    }
    assert(!/\b(innerHTML|outerHTML|insertAdjacentHTML|eval|document\.write)\b/.test(text), file);
    assert(!/dangerouslySetInnerHTML/.test(text), file);
  }
});

Deno.test("what others have written is as their packages have it, with their licenses", async () => {
  const packages = JSON.parse(await Deno.readTextFile(new URL("vendor/vendor.json", WEB)));
  const listed: string[] = [];
  for (const { name, version, license, integrity, files } of packages) {
    assert(/^\d+\.\d+\.\d+$/.test(version) && integrity.startsWith("sha512-"), name);
    assert(files.some(({ path }: { path: string }) => path.startsWith("licenses/")), name);
    assert(["MIT", "Apache-2.0"].includes(license), `${name}: ${license}`);
    for (const { path, sha256 } of files) {
      const bytes = await Deno.readFile(new URL(`vendor/${path}`, WEB));
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      assertEquals(digest.toHex(), sha256, path);
      listed.push(path);
    }
  }
  const there: string[] = [];
  for (const folder of ["", "licenses/"]) {
    there.push(...(await filesIn(`vendor/${folder}`)).map((name) => folder + name));
  }
  assertEquals(there.sort(), [...listed, "README.md", "vendor.json"].sort());
  assertEquals(VENDOR_FILES.filter((file) => !listed.includes(file.slice("vendor/".length))), []);
});

/** Messages of a feed, as a page hears them. */
function hear(store: Store, bytes: Uint8Array): void {
  const parser = new EventParser((event: string, data: never) => store.take(event, data));
  parser.take(new TextDecoder().decode(bytes));
}

const MACHINE = {
  name: "host",
  totalBytes: 2 ** 34,
  availableBytes: 2 ** 33,
  cpus: 2,
  pageCpuMs: 100,
  pageRssBytes: 2 ** 26,
};

Deno.test("a page knows what the server knows: all at first, then what has changed", () => {
  const feed = new Feed();
  const alice = madeUser(60001, "alice", 32, 64);
  const bob = madeUser(60002, "bob", 8, 64);
  const kill = madeKill(1, alice, 1000, { exitUs: null });
  const status = (users: StatusReport["users"]): StatusReport => ({ ...FAKE_STATUS, users });
  feed.take({ atMs: 1000, status: status([alice, bob]), kills: [kill], machine: MACHINE });
  const store = new Store();
  hear(store, feed.snapshot());
  assertEquals([...store.users.values()], [alice, bob]);
  assertEquals([...store.kills.values()], [kill]);
  assertEquals([store.atMs, store.news], [1000, []]);

  const grown = { ...alice, usagePages: 9000 };
  const ended = { ...kill, exitUs: 500 };
  const next = madeKill(2, bob, 500);
  const change = feed.take({
    atMs: 2000,
    status: status([grown]),
    kills: [ended, next],
    machine: { ...MACHINE, pageCpuMs: 110 },
  });
  hear(store, change);
  assertEquals([...store.users.values()], [grown]);
  assertEquals([...store.kills.values()], [ended, next]);
  assertEquals(store.news, [next.id], "a kill is news once, not when its end is told");
  assertEquals(store.pageCpuShare, 0.01);
  assertEquals(store.toom?.events.total, FAKE_STATUS.events.total);

  hear(store, feed.fail("toom is not\u001b running"));
  assertEquals(store.problem, "toom is not\\u001b running");
  const late = new Store();
  hear(late, feed.snapshot());
  assertEquals([late.problem, late.users.size], [store.problem, 1]);
});

Deno.test("users who do nothing are not sent again", () => {
  const feed = new Feed();
  const users = Array.from({ length: 1000 }, (_, at) => madeUser(61_000 + at, null, 8, 64));
  const look = { atMs: 1, status: { ...FAKE_STATUS, users }, kills: [], machine: MACHINE };
  const first = feed.take(look).length;
  const second = feed.take({ ...look, atMs: 2 }).length;
  assert(first > 50_000 && second < 4000, `${first} bytes, then ${second}`);
});

Deno.test("a stream is taken apart in whatever pieces it comes", () => {
  const text = 'event: a\ndata: {"x":1}\n\nevent: b\nid: 4\ndata: [2]\n\n: note\n\n';
  for (const size of [1, 2, 7, 100]) {
    const heard: unknown[] = [];
    const parser = new EventParser((event: string, data: unknown) => heard.push([event, data]));
    for (let at = 0; at < text.length; at += size) parser.take(text.slice(at, at + size));
    assertEquals(heard, [["a", { x: 1 }], ["b", [2]]]);
  }
  const parser = new EventParser(() => {});
  assertThrows(() => parser.take("x".repeat(20_000_001)), Error, "too long");
});

Deno.test("the token leaves the address at once, and the rest stays", () => {
  const kept = new Map<string, string>();
  const shown: string[] = [];
  const take = (hash: string): string =>
    takeToken(
      { hash, pathname: "/" },
      { replaceState: (_: unknown, __: string, url: string) => shown.push(url) },
      { setItem: (key: string, value: string) => kept.set(key, value) },
    );
  assertEquals(take("#token=abc"), "");
  assertEquals(take("#user=60001"), "user=60001");
  assertEquals(take("#token=def&user=60001"), "user=60001");
  assertEquals([shown, [...kept.values()]], [["/", "/#user=60001"], ["def"]]);
});

Deno.test("users are sorted and searched as the person wants", () => {
  const store = new Store();
  const users = [
    madeUser(60001, "alice", 10, 64, { kills: 2 }),
    madeUser(60002, null, 60, 64),
    madeUser(60003, "Bob", 100, 512, { growthPagesPerSecond: 256 }),
  ];
  store.users = new Map(users.map((user) => [user.uid, user]));
  const uids = (): number[] => store.shownUsers.map(({ uid }: { uid: number }) => uid);
  assertEquals(uids(), [60002, 60003, 60001]);
  store.sortBy("kills");
  assertEquals(uids()[0], 60001);
  store.sortBy("kills");
  assertEquals(uids(), [60002, 60003, 60001]);
  store.sortBy("user");
  assertEquals(uids(), [60001, 60003, 60002]);
  store.filter = " bO";
  assertEquals(uids(), [60003]);
  store.filter = "60002";
  assertEquals(uids(), [60002]);
  assertEquals(secondsToHard(users[2]!), 512 - 100);
  assertEquals(secondsToHard(users[0]!), Infinity);
});

Deno.test("the chart begins with what the server remembers and goes on with what happens", () => {
  const live = new LiveSeries();
  const users = (usagePages: number): Map<number, unknown> =>
    new Map([[60001, { uid: 60001, usagePages }]]);
  live.begin(60001, [], []);
  live.take(4000, users(40));
  live.begin(60001, [1000, 2000, 3000], [10, null, 30]);
  live.take(5000, users(50));
  live.take(6000, new Map());
  assertEquals(live.of(60001), {
    seconds: [1, 2, 3, 4, 5, 6],
    pages: [10, null, 30, 40, 50, null],
  });
  for (let at = 0; at < 1000; at++) live.take(7000 + at, users(at));
  assertEquals(live.of(60001).seconds.length, 600);
  live.keep([]);
  assert(!live.has(60001));
  const alice = madeUser(60001, "alice", 32, 64);
  assertEquals(nearestUsers([alice, madeUser(60002, "bob", 50, 64)]), [60002, 60001]);
  const sentence = chartSentence(alice, { seconds: [1, 2], pages: [256, 512] }, 1, 4096);
  assertEquals(
    sentence.replace(/at \S+( \S+)?,/, "at T,"),
    "alice used 1.0 MiB at T, 2.0 MiB at the end, between 1.0 MiB and 2.0 MiB; soft 57.6 MiB, " +
      "hard 64.0 MiB; one kill.",
  );
});

Deno.test("keys do what the help says, and letters are letters in a text", () => {
  const press = (key: string, tagName = "BODY", more = {}): string | undefined =>
    actionOf({ key, ctrlKey: false, altKey: false, metaKey: false, target: { tagName }, ...more });
  for (const { key, action } of KEYS) {
    if (action !== "open") assertEquals(press(key), action);
  }
  assertEquals(press("Enter"), undefined, "the browser's own");
  assertEquals(press("p", "INPUT"), undefined);
  assertEquals(press("Escape", "INPUT"), "back");
  assertEquals(press("p", "BODY", { ctrlKey: true }), undefined, "Ctrl-P prints");
});
