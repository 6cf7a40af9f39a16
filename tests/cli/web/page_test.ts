/**
 * The page in a real Chromium, before a daemon that the test makes up: what is shown, chosen, pressed and
 * heard; names that are hostile; small screens. With TOOM_PHOTOGRAPHS=FOLDER the screens are kept there.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Browser, CHROMIUM, CHROMIUM_NEEDS } from "../../_support/browser.ts";
import { madeKill, madeUser, type ServedPage, servePage } from "../../_support/page.ts";
import { assertFits, CONTRAST, DESKTOP, PHONE, photograph } from "../../_support/page_looks.ts";
import { needing, waitUntil } from "../../_support/real_kernel.ts";

const NAMES = [
  "alice",
  "bob",
  "carol",
  "dave",
  "erin",
  "frank",
  "grace",
  "heidi",
  "ivan",
  "judy",
];

/** Alice is killed this often, seconds. */
const PERIOD = 168;
/** Of the day, when the page is opened. */
const NOW = 4 * PERIOD + 150;

/** Users at a second of their day: saws that end in kills, waves, and some who do nothing. */
function usersAt(second: number): ServedPage["daemon"]["users"] {
  return NAMES.map((name, at) => {
    const hardMib = 64 << at % 4;
    const saw = Math.min(1, 0.22 + second % PERIOD / 215);
    const wave = 0.46 + 0.4 * Math.sin(at * 1.7 + second / (40 + at * 11));
    const rest = 0.06 + 0.03 * at;
    const part = at < 2 ? (at === 0 ? saw : Math.min(0.96, saw * 0.9)) : at < 6 ? wave : rest;
    const more = {
      growthPagesPerSecond: at < 2 ? Math.round(hardMib * 256 / 215) : 0,
      kills: at === 0 ? 3 : 0,
      processes: 2 + at * 7 % 23,
    };
    return madeUser(60_001 + at, name, hardMib * part, hardMib, more);
  });
}

/** Ten minutes of them, with three kills of alice and one of carol. */
async function busyPage(): Promise<ServedPage> {
  const page = await servePage();
  const nowMs = Date.now();
  for (let second = 0; second < 600; second++) {
    page.watcher.samples.take(nowMs - (600 - second) * 1000, usersAt(NOW - 600 + second));
  }
  const users = usersAt(NOW);
  page.daemon.users = users;
  page.daemon.recent = [
    madeKill(1, users[0]!, (NOW - 2 * PERIOD) * 1000),
    madeKill(2, users[2]!, 205_000, { comm: "R" }),
    madeKill(3, users[0]!, (NOW - 3 * PERIOD) * 1000),
    madeKill(4, users[0]!, (NOW - 4 * PERIOD) * 1000),
  ];
  page.watcher.start();
  return page;
}

const ready = "document.querySelector('.users tbody tr') !== null && " +
  "document.querySelector('canvas') !== null";

Deno.test({
  ...needing(CHROMIUM !== undefined, CHROMIUM_NEEDS, "the page in Chromium"),
  async fn(t): Promise<void> {
    await using browser = await Browser.start();

    await t.step("all users, one of them, a kill's receipt", async () => {
      await using page = await busyPage();
      const tab = await browser.open(DESKTOP);
      await tab.go(page.link);
      await tab.until(ready);
      assertEquals(await tab.value("location.hash"), "", "the token is out of sight");
      const first = await tab.text(".users tbody tr");
      const most = page.daemon.users.toSorted((a, b) =>
        b.usagePages / b.hardPages - a.usagePages / a.hardPages
      )[0]!;
      assertStringIncludes(first, most.user!);
      assertStringIncludes(first, `${(most.usagePages / 256).toFixed(1)} MiB`);
      await assertFits(tab);
      await photograph(tab, "page");

      await tab.click('[data-uid="60001"]');
      await tab.until("document.querySelector('.sentences') !== null");
      assertEquals(await tab.value("location.hash"), "#user=60001");
      assertStringIncludes(await tab.text(".sentences"), "It uses ");
      assertStringIncludes(await tab.text(".processes"), "python3");
      assertMatch(
        await tab.value("document.querySelector('figcaption').textContent"),
        /alice used .* hard 64\.0 MiB; 3 kills\./,
      );
      assertEquals(await tab.value("document.querySelectorAll('.mark').length"), 3);
      assertEquals(await tab.value("document.querySelectorAll('.kills tbody tr').length"), 3);
      await tab.value("document.querySelector('.users').scrollIntoView()");
      await photograph(tab, "page-user");

      await tab.click(".mark");
      await tab.until("document.querySelector('dialog[open] .receipt') !== null");
      const [kill] = page.daemon.recent;
      assertStringIncludes(await tab.text("#dialog-title"), kill!.id);
      assertStringIncludes(
        await tab.text("dialog .receipt"),
        "alice (uid 60001), may use 64.0 MiB",
      );
      await photograph(tab, "page-receipt");
      await tab.press("Escape");
      await tab.until("document.querySelector('dialog') === null");
      // A link to a receipt is a link.
      await tab.value(`void (location.hash = "user=60003&kill=${page.daemon.recent[1]!.id}")`);
      await tab.until("document.querySelector('dialog .receipt') !== null");
      assertStringIncludes(await tab.text("dialog .receipt"), 'pid 211 ("R")');
      await tab.value("void history.back()");
      await tab.until("document.querySelector('dialog') === null");
      assertEquals(tab.complaints, []);
      const elsewhere = tab.requests.filter((url) => !url.startsWith(`${page.origin}/`));
      assertEquals(elsewhere, [], "nothing is fetched from elsewhere");
      await tab.close();
    });

    await t.step("what happens is shown as it happens, and said aloud", async () => {
      await using page = await servePage();
      page.daemon.users = [madeUser(60001, "alice", 16, 64)];
      page.watcher.start();
      const tab = await browser.open(DESKTOP);
      await tab.go(page.link);
      await tab.until(ready);
      assertStringIncludes(await tab.text(".users tbody"), "16.0 MiB");
      page.daemon.users = [madeUser(60001, "alice", 60, 64, { growthPagesPerSecond: 256 })];
      await tab.until("document.querySelector('.users tbody').innerText.includes('above soft')");
      assertStringIncludes(await tab.text(".users tbody"), "hard in 4 s");
      page.daemon.recent = [madeKill(1, page.daemon.users[0]!, 0)];
      await tab.until("document.querySelector('[aria-live]').innerText !== ''");
      assertMatch(
        await tab.text("[aria-live]"),
        /^toom has killed python3, pid 210 of alice, with 51\.2 MiB/,
      );
      assertStringIncludes(await tab.text(".kills tbody"), "python3");

      page.daemon.problem = "toom is not running here";
      await tab.until("document.querySelector('.problem')?.innerText.includes('not running')");
      page.daemon.problem = undefined;
      await tab.until("document.querySelector('.problem') === null");

      await tab.press("p");
      await tab.until("document.querySelector('.pills').innerText.includes('paused')");
      page.daemon.users = [madeUser(60001, "alice", 8, 64)];
      const { looks } = page.daemon;
      await waitUntil(() => page.daemon.looks > looks + 2, "two looks");
      assertStringIncludes(await tab.text(".users tbody"), "60.0 MiB");
      await tab.press("p");
      await tab.until("document.querySelector('.users tbody').innerText.includes('8.0 MiB')");
      assertEquals(tab.complaints, []);
      await tab.close();
    });

    await t.step("by keys alone, and as a screen reader has it", async () => {
      await using page = await busyPage();
      const tab = await browser.open(DESKTOP);
      await tab.go(page.link);
      await tab.until(ready);
      await tab.press("/");
      assertEquals(await tab.value("document.activeElement.id"), "search");
      for (const letter of "car") await tab.press(letter);
      await tab.until("document.querySelectorAll('.users tbody tr').length === 1");
      await tab.press("ArrowDown");
      assertEquals(await tab.value("document.activeElement.dataset.uid"), "60003");
      await tab.press("Enter");
      await tab.until("document.querySelector('.sentences') !== null");
      assertStringIncludes(await tab.text("#detail-title"), "carol");
      await tab.press("Escape");
      await tab.until("document.querySelector('.sentences') === null");
      await tab.press("?");
      await tab.until("document.querySelector('dialog .keys') !== null");
      await tab.press("Escape");
      await tab.until("document.querySelector('dialog') === null");
      const heard = await tab.accessible();
      for (
        const wanted of [
          /^meter: used$/,
          /^columnheader: USAGE/,
          /^button: carol$/,
          /^table: Users against their limits\./,
          /^searchbox: Only users with this name or uid$/,
          /^status: /,
          /^heading: toom$/,
        ]
      ) assert(heard.some((one) => wanted.test(one)), `${wanted}\n${heard.join("\n")}`);
      const nameless = heard.filter((one) => /^(button|link|searchbox|meter|table): ?$/.test(one));
      assertEquals(nameless, []);
      await tab.close();
    });

    await t.step("a phone, and in the dark", async () => {
      await using page = await busyPage();
      const tab = await browser.open(PHONE);
      await tab.go(page.link);
      await tab.until(ready);
      await assertFits(tab);
      await photograph(tab, "page-phone");
      await tab.click('[data-uid="60001"]');
      await tab.until("document.querySelector('.sentences') !== null");
      await tab.until("document.querySelector('.detail').getBoundingClientRect().top < 100");
      await assertFits(tab);
      await tab.value("document.querySelector('.detail').scrollIntoView()");
      await photograph(tab, "page-phone-user");
      const small = await tab.value<string[]>(
        `[...document.querySelectorAll(".tool, .name")].filter((one) =>
          one.getBoundingClientRect().height < 30).map((one) => one.innerText)`,
      );
      assertEquals(small, [], "large enough for a finger");
      await tab.show({ ...DESKTOP, isDark: true });
      await tab.until("getComputedStyle(document.body).backgroundColor === 'rgb(15, 18, 22)'");
      await tab.value("scrollTo(0, 0)");
      await photograph(tab, "page-dark");
      await tab.press("t");
      await tab.until("getComputedStyle(document.body).backgroundColor === 'rgb(244, 246, 249)'");
      assertEquals(tab.complaints, []);
      await tab.close();
    });

    await t.step("text can be read: contrast of 4.5 to 1, light and dark", async () => {
      await using page = await busyPage();
      const tab = await browser.open(DESKTOP);
      await tab.go(page.link);
      await tab.until(ready);
      for (const isDark of [false, true]) {
        await tab.show({ ...DESKTOP, isDark });
        await new Promise((resolve) => setTimeout(resolve, 100));
        const poor = await tab.value<string[]>(CONTRAST);
        assertEquals(poor, [], isDark ? "dark" : "light");
      }
      await tab.close();
    });

    await t.step("hostile names are shown and do nothing", async () => {
      await using page = await servePage();
      const names = [
        '<img src=x onerror="window.hit=1">',
        "</script><script>window.hit=1</script>",
        "\u202egnp.exe\u2066",
        "\u001b[2J\n\rline",
        "a".repeat(300),
        "${window.hit=1}",
        "javascript:window.hit=1",
        "constructor",
        "__proto__",
      ];
      page.daemon.users = names.map((name, at) => madeUser(60_001 + at, name, 20 + at, 64));
      page.daemon.recent = page.daemon.users.map((user, at) =>
        madeKill(at, user, 1000 * at, { comm: names[at]!, rule: names[at]! })
      );
      page.daemon.explanation = {
        rule: names[0]!,
        processes: names.map((comm, at) => ({
          pid: 100 + at,
          comm,
          countedPages: 100,
          givesBackPages: 100,
          growthPagesPerSecond: 0,
          oomScoreAdj: 0,
          fate: at === 0 ? "next" : "candidate",
          rule: names[at]!,
        })),
      };
      page.watcher.start();
      for (const screen of [DESKTOP, PHONE]) {
        const tab = await browser.open(screen);
        await tab.go(page.link);
        await tab.until(ready);
        await assertFits(tab);
        for (let at = 0; at < names.length; at++) {
          await tab.click(`[data-uid="${60_001 + at}"]`);
          await tab.until(`document.querySelector('.processes') !== null`);
        }
        await tab.click(".kills tbody .name");
        await tab.until("document.querySelector('dialog .receipt') !== null");
        const text = await tab.value<string>("document.body.innerText");
        assertStringIncludes(text, names[0]!);
        assertStringIncludes(text, "\\u202egnp.exe\\u2066");
        assertStringIncludes(text, "\\u001b[2J\\u000a\\u000dline");
        for (const one of "\u202e\u2066\u001b") assert(!text.includes(one));
        assertEquals(await tab.value("window.hit ?? null"), null);
        assertEquals(await tab.value("document.querySelectorAll('#app img').length"), 1);
        await tab.press("Escape");
        await tab.until("document.querySelector('dialog') === null");
        await assertFits(tab);
        assertEquals(tab.complaints, []);
        await tab.close();
      }
    });

    await t.step("without the token there is nothing but a line; with an old one too", async () => {
      await using page = await busyPage();
      for (const link of [page.origin, `${page.origin}/#token=${"x".repeat(32)}`]) {
        const tab = await browser.open(DESKTOP);
        await tab.go(link);
        await tab.until("document.querySelector('.problem') !== null");
        assertStringIncludes(await tab.text("#app"), "toom web --link");
        assert(!(await tab.text("#app")).includes("alice"));
        await tab.close();
      }
    });

    await t.step("another page can neither frame it nor ask", async () => {
      await using page = await busyPage();
      const other = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen: (): void => {} },
        () =>
          new Response(`<iframe src="${page.origin}/"></iframe>`, {
            headers: { "content-type": "text/html" },
          }),
      );
      try {
        const tab = await browser.open(DESKTOP);
        await tab.go(`http://127.0.0.1:${other.addr.port}/`);
        await tab.until("window.frames.length === 1");
        await waitUntil(() => tab.complaints.some((one) => /frame/i.test(one)), "a frame refused");
        const asked = await tab.value(
          `fetch("${page.origin}/api/kills").then(() => "answered", () => "refused")`,
        );
        assertEquals(asked, "refused");
        await tab.close();
      } finally {
        await other.shutdown();
      }
    });
  },
});
