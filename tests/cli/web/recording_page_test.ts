/**
 * `toom web --record`: what would have been is what a replay with other limits decides; who may ask, what
 * a page that has gone costs, and the page itself in a real Chromium.
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { webCommand } from "../../../cli/web.ts";
import { loadAssets } from "../../../cli/web/assets.ts";
import { listenForPages } from "../../../cli/web/listen.ts";
import { linkOf } from "../../../cli/web/link.ts";
import * as answers from "../../../cli/web/page/answers.js";
import { EventParser } from "../../../cli/web/page/connection.js";
import { RecordingAnswers } from "../../../cli/recording_answers.ts";
import type { Answer } from "../../../cli/web/recording_answer.ts";
import { RecordingServer } from "../../../cli/web/recording_server.ts";
import { NO_QUESTION, readQuestion, whatIfOf } from "../../../cli/web/what_if.ts";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { fileHead, type RecordedKill } from "../../../pipeline/recording/format.ts";
import type { RecordingReplay } from "../../../pipeline/replay/recording_replay.ts";
import { Browser, CHROMIUM, CHROMIUM_NEEDS } from "../../_support/browser.ts";
import { assertFits, CONTRAST, DESKTOP, PHONE, photograph } from "../../_support/page_looks.ts";
import { TOKEN } from "../../_support/page.ts";
import { needing, waitUntil } from "../../_support/real_kernel.ts";
import { withKills } from "../../_support/recorded_chunks.ts";
import { recordRun, replayChunks, type RunOptions } from "../../_support/recorded_run.ts";

const STARTED_AT = "2026-05-06T10:00:00.000Z";
const RUN: RunOptions = { seed: 3, policy: "largest", steps: 1500, before: 100 };
const LET_IN = { authorization: `Bearer ${TOKEN}` };
const HOSTILE = '<img src=x onerror="window.hit=1">\u202e';

interface Recorded {
  readonly path: string;
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

/** A recording in a file, with the kills that its replay decides. */
async function withRecording(
  body: (recorded: Recorded) => Promise<void>,
  comm = "python3",
  options: Partial<RunOptions> = {},
): Promise<void> {
  const run = recordRun({ ...RUN, ...options });
  const kills = replayChunks(run.chunks).kills.map((kill, index): RecordedKill => ({
    ...kill,
    comm,
    id: `kill-${index}`,
    trigger: "user",
    dryRun: false,
  }));
  const chunks = withKills(run.chunks, STARTED_AT, kills);
  const dirPath = await Deno.makeTempDir();
  try {
    const path = `${dirPath}/monday.toomrec`;
    await Deno.writeFile(
      path,
      new Uint8Array(await new Blob([fileHead(), ...chunks]).arrayBuffer()),
    );
    await body({ path, chunks });
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
}

async function serverOf(path: string): Promise<RecordingServer> {
  const { head } = replayChunks(recordRun({ ...RUN, steps: 150 }).chunks);
  return new RecordingServer({
    assets: await loadAssets("recording"),
    answers: new RecordingAnswers(path),
    name: "monday.toomrec",
    head: { ...head, startedAt: STARTED_AT },
    names: new Map([[1001, "alice"], [1002, HOSTILE]]),
    token: TOKEN,
  });
}

/** Asks with any header, Host too, as no browser lets a page do. */
async function ask(
  server: RecordingServer,
  path: string,
  headers: Record<string, string> = LET_IN,
  method = "GET",
): Promise<Response> {
  const request = new Request(`http://localhost${path}`, { method });
  const all = new Headers({ host: "localhost", ...headers });
  Object.defineProperty(request, "headers", { value: all });
  return await server.answer(request);
}

/** Of a stream, by the name of the message; the last of each. */
async function messagesOf(response: Response): Promise<Map<string, unknown>> {
  const told = new Map<string, unknown>();
  new EventParser((event: string, data: unknown) => told.set(event, data))
    .take(await response.text());
  return told;
}

function scaledTo(percent: number, uid?: number): (recorded: LimitRules) => LimitRules {
  return (recorded) => {
    const rules = new LimitRules();
    for (const rule of recorded.list()) {
      const isIt = uid === undefined || rule.uidFirst === uid;
      const part = (pages: number): number => Math.round(pages * percent / 100);
      rules.set(
        isIt ? { ...rule, hardPages: part(rule.hardPages), softPages: part(rule.softPages) } : rule,
      );
    }
    return rules;
  };
}

Deno.test("questions are read, and what is none is refused with what was expected", () => {
  const read = (text: string) => readQuestion(new URLSearchParams(text));
  assertEquals(read(""), NO_QUESTION);
  assertEquals(read("percent=80&uid=1001&victim=newest"), {
    percent: 80,
    uid: 1001,
    victim: "newest",
  });
  for (
    const [text, expected] of [
      ["percent=0", "a number from 1 to 10000"],
      ["percent=-5", "a number from 1 to 10000"],
      ["percent=1e3", "a number from 1 to 10000"],
      ["percent=99999", "a number from 1 to 10000"],
      ["percent=", "a number from 1 to 10000"],
      ["uid=alice", "a uid"],
      ["uid=", "a uid"],
      ["victim=biggest", "one of largest, newest, growing, culprit"],
    ] as const
  ) {
    let message = "";
    try {
      read(text);
    } catch (error) {
      message = (error as Error).message;
    }
    assertStringIncludes(message, `expected ${expected}, not "`, text);
  }
  assertEquals(whatIfOf(NO_QUESTION), undefined);
  assertEquals(whatIfOf({ ...NO_QUESTION, uid: 1001 }), undefined);
});

Deno.test("limits are made smaller and larger within what a limit can be, and no limit stays none", () => {
  const recorded = new LimitRules();
  recorded.set({ uidFirst: 1000, uidLast: 1999, hardPages: 1000, softPages: 901 });
  recorded.set({ uidFirst: 1500, uidLast: 1500, hardPages: 0x7fffffff, softPages: 0x7fffffff });
  recorded.set({ uidFirst: 2000, uidLast: 2000, hardPages: 0x7ffffffe, softPages: 1 });
  const rulesOf = (percent: number, uid?: number): LimitRules =>
    whatIfOf({ percent, uid, victim: undefined })!.limits!(recorded);
  const of = (rules: LimitRules, uid: number) => {
    const { hardPages, softPages } = rules.find(uid)!;
    return [hardPages, softPages];
  };
  const half = rulesOf(50);
  assertEquals(of(half, 1000), [500, 451]);
  assertEquals(of(half, 1500), [0x7fffffff, 0x7fffffff]);
  assertEquals(of(half, 2000), [0x3fffffff, 1]);
  assertEquals(of(rulesOf(1), 2000)[1], 1);
  assertEquals(of(rulesOf(400), 2000), [0x7ffffffe, 4]);
  const one = rulesOf(50, 1200);
  assertEquals([of(one, 1200), of(one, 1201)], [[500, 451], [1000, 901]]);
  assertEquals(rulesOf(50, 3000).list(), recorded.list(), "who has no limit gets none");
});

Deno.test("what would have been is what a replay with those limits decides", () =>
  withRecording(async ({ path, chunks }) => {
    const asked = new RecordingAnswers(path);
    const killsOf = ({ kills }: Answer) =>
      kills.flatMap(({ uid, pid, now }) =>
        now === null ? [] : [{ uid, pid, pages: now.usagePages }]
      );
    const killsIn = ({ kills }: RecordingReplay) =>
      kills.map(({ uid, pid, usagePages }) => ({ uid, pid, pages: usagePages }));
    const sorted = (kills: readonly { pid: number }[]) => kills.toSorted((a, b) => a.pid - b.pid);
    const then = await asked.answer(NO_QUESTION);
    assert(then.kills.length > 5, `${then.kills.length} kills`);
    assertEquals(killsOf(then), killsIn(replayChunks(chunks)));
    assert(then.kills.every((kill) => answers.fateOf(kill) === "both"));
    for (const [percent, uid] of [[50, undefined], [150, undefined], [75, 1002]] as const) {
      const answer = await asked.answer({ percent, uid, victim: undefined });
      const replay = replayChunks(chunks, { limits: scaledTo(percent, uid) });
      const wanted = killsIn(replay);
      const hardPages = new Map(replay.users().map((user) => [user.uid, user.hardPages]));
      assertEquals(sorted(killsOf(answer)), sorted(wanted), `${percent} % of ${uid ?? "all"}`);
      for (const user of answer.users) {
        assertEquals(user.hardPages, hardPages.get(user.uid));
        assertEquals(user.killsNow, wanted.filter((kill) => kill.uid === user.uid).length);
        assertEquals(user.killsThen, then.kills.filter((kill) => kill.uid === user.uid).length);
        const chart = answer.charts.find((one) => one.uid === user.uid)!;
        const known = chart.usagePages.filter((pages) => pages !== null);
        assertEquals(Math.max(...known), user.peakPages);
      }
    }
    const newest = await asked.answer({ percent: 100, uid: undefined, victim: "newest" });
    assertEquals(
      sorted(killsOf(newest)),
      sorted(killsIn(replayChunks(chunks, { settings: { victimPolicy: "newest" } }))),
    );
    assert(newest.kills.some((kill) => answers.fateOf(kill) !== "both"));
  }));

Deno.test("an answer is kept; a question that nobody waits for any more is given up", () =>
  withRecording(async ({ path }) => {
    const asked = new RecordingAnswers(path);
    const half = { percent: 50, uid: undefined, victim: undefined };
    const gone = assertRejects(
      () =>
        asked.answer(half, () => {
          throw new Error("it has gone");
        }),
      Error,
      "it has gone",
    );
    const [first, second] = await Promise.all([asked.answer(half), asked.answer(half)]);
    await gone;
    assertEquals(first, second);
    assert(first === second, "replayed once");
    assert(await asked.answer({ ...half }) === first);
  }));

Deno.test("the server answers who has the token, in a stream that says how far it is", () =>
  withRecording(async ({ path }) => {
    const server = await serverOf(path);
    for (const headers of [{}, { authorization: "Bearer x" }, { cookie: `token=${TOKEN}` }]) {
      for (const asked of ["/api/recording", "/api/what-if?percent=50"]) {
        const answer = await ask(server, asked, headers as Record<string, string>);
        assertEquals(answer.status, 401);
        await answer.body?.cancel();
      }
    }
    const { answer: then, names, name } = await (await ask(server, "/api/recording")).json();
    assertEquals([name, names], ["monday.toomrec", { 1001: "alice", 1002: HOSTILE }]);
    const response = await ask(server, "/api/what-if?percent=50&uid=1001");
    assertEquals(response.headers.get("content-type"), "text/event-stream");
    const told = await messagesOf(response);
    assertEquals(told.get("progress"), 0);
    const now = told.get("answer") as Answer;
    assertEquals(now.question.percent, 50);
    assert(now.kills.length !== then.kills.length);
    const refused = await ask(server, "/api/what-if?percent=no");
    assertEquals(refused.status, 400);
    assertMatch((await refused.json()).error, /^percent: expected .*, not "no"$/);
    assertEquals((await ask(server, "/api/what-if", LET_IN, "HEAD")).status, 405);
    assertEquals((await ask(server, "/api/live")).status, 404);
    assertEquals((await ask(server, "/", {})).status, 200);
    assertEquals((await ask(server, "/page/recording.js", {})).status, 200);
  }));

Deno.test("pages that go while their questions wait leave nothing, and keep out nobody", () =>
  withRecording(async ({ path }) => {
    const server = await serverOf(path);
    for (let round = 0; round < 3; round++) {
      const many = await Promise.all(
        Array.from({ length: 20 }, (_, at) => ask(server, `/api/what-if?percent=${20 + at}`)),
      );
      assertEquals(many.filter(({ status }) => status === 503).length, 4, `round ${round}`);
      await Promise.all(many.map(({ body }) => body?.cancel()));
      let status = 503;
      for (let tries = 0; tries < 500 && status !== 200; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        const answer = await ask(server, "/api/what-if?percent=100");
        await answer.body?.cancel();
        ({ status } = answer);
      }
      const told = await messagesOf(await ask(server, "/api/what-if?percent=150"));
      assertEquals((told.get("answer") as Answer).question.percent, 150);
    }
  }));

Deno.test("a file that cannot be read any more is a problem, in a line", () =>
  withRecording(async ({ path }) => {
    const server = await serverOf(path);
    await Deno.remove(path);
    const told = await messagesOf(await ask(server, "/api/what-if?percent=50"));
    assertMatch((told.get("problem") as { problem: string }).problem, /^Cannot read .*monday/);
    assertEquals((await ask(server, "/api/recording")).status, 502);
  }));

Deno.test("toom web --record prints a link, and says what it cannot do", () =>
  withRecording(async ({ path }) => {
    const run = (words: string[], end: Promise<void>) => {
      const out: string[] = [];
      const err: string[] = [];
      const io = {
        out: (line: string) => void out.push(line),
        err: (line: string) => void err.push(line),
      };
      const code = webCommand(words, io, { end, givesUp: false });
      return { out, err, code };
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    const served = run([`--record=${path}`], promise);
    await waitUntil(() => served.out.length > 0, "a link", 20_000);
    const [link] = served.out;
    assertMatch(link!, /^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{32}$/);
    const [origin, token] = link!.split("/#token=");
    const answer = await fetch(`${origin}/api/recording`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assertEquals((await answer.json()).name, "monday.toomrec");
    resolve();
    assertEquals([await served.code, served.err], [0, []]);
    for (
      const [words, code, expected] of [
        [[`--record=${path}`, "--link"], 2, /--record and --link exclude each other/],
        [[`--record=${path}`, "--control-socket=/x"], 2, /--record and --control-socket exclude/],
        [["--record=/dev/null/x"], 1, /^Cannot read/],
        [[`--record=${import.meta.filename}`], 1, /it is no recording of toom/],
        [
          [`--record=${path}`, "--listen=0.0.0.0:984"],
          2,
          /expected an address of this machine alone/,
        ],
      ] as const
    ) {
      const failed = run([...words], Promise.resolve());
      assertEquals([await failed.code, failed.out], [code, []]);
      assertMatch(failed.err.join("\n"), expected);
    }
  }));

Deno.test("the page's sentences", () => {
  const moment = { atSeconds: 1, usagePages: 2, hardPages: 1 };
  const kill = { uid: 1, pid: 2, comm: "x", isInGap: false };
  const kills = [
    { ...kill, then: moment, now: moment },
    { ...kill, then: moment, now: null },
    { ...kill, then: null, now: moment },
    { ...kill, then: null, now: moment },
  ];
  const nameOf = (uid: number): string => `user ${uid}`;
  const sentence = (question: object, more = {}) =>
    answers.answerSentence({ question, kills, killsLeftOut: 0, ...more }, nameOf);
  assertEquals(
    sentence({ percent: 80, uid: undefined, victim: undefined }),
    "With all limits at 80 %: 3 processes would have been killed; 2 were. 1 of those would have " +
      "lived, 2 others would have died.",
  );
  assertMatch(
    sentence({ percent: 150, uid: 7, victim: "newest" }),
    /^With the limit of user 7 at 150 % and victims by newest: /,
  );
  assertEquals(
    sentence({ percent: 100, uid: undefined, victim: undefined }, { kills: kills.slice(0, 1) }),
    "As it was: 1 process killed.",
  );
  assertMatch(
    sentence({ percent: 100, uid: undefined, victim: undefined }, { killsLeftOut: 5 }),
    / Of 5 later kills nothing is shown\.$/,
  );
  assertEquals(
    [-0.001, 1.234, 12.34, 61, 3599, 3661].map(answers.formatElapsed),
    ["0.00 s", "1.23 s", "12.3 s", "1:01", "59:59", "1:01:01"],
  );
  assertEquals(answers.PERCENTS, answers.PERCENTS.toSorted((a: number, b: number) => a - b));
  assert(answers.PERCENTS.includes(answers.PERCENT_THEN));
});

Deno.test({
  ...needing(CHROMIUM !== undefined, CHROMIUM_NEEDS, "the page of a recording in Chromium"),
  fn: () =>
    withRecording(async ({ path }) => {
      const server = await serverOf(path);
      const address = { kind: "tcp", hostname: "127.0.0.1", port: 0 } as const;
      const listener = await listenForPages(address, (request) => server.answer(request));
      await using browser = await Browser.start();
      try {
        const tab = await browser.open(DESKTOP);
        await tab.go(linkOf(listener.origin!, TOKEN));
        await tab.until("document.querySelector('.users tbody tr') !== null");
        await tab.until("document.querySelector('canvas') !== null");
        assertEquals(await tab.value("location.hash"), "", "the token is out of sight");
        assertMatch(await tab.text(".answer"), /^As it was: \d+ processes killed\.$/);
        await assertFits(tab);

        // By keys alone: half of the limits of all.
        await tab.value("document.getElementById('percent').focus()");
        const steps = answers.PERCENTS.indexOf(100) - answers.PERCENTS.indexOf(50);
        for (let step = 0; step < steps; step++) await tab.press("ArrowLeft");
        await tab.until("document.querySelector('.answer').innerText.startsWith('With all')");
        assertMatch(
          await tab.text(".answer"),
          /^With all limits at 50 %: \d+ processes would have been killed/,
        );
        assertEquals(await tab.text(".slider output"), "50 %");
        assertMatch(await tab.text(".users tbody"), /1\.6 MiB → 800\.0 KiB/);
        assert(Number(await tab.value("document.querySelectorAll('.mark').length")) > 0);
        await tab.value("scrollTo(0, 0)");
        await photograph(tab, "page-recording");
        await tab.click(".mark");
        assertMatch(await tab.value("document.activeElement.id"), /^kill-\d+$/);

        // One user, who has a hostile name and whose processes have.
        await tab.value(`{
          const whose = document.getElementById("whose");
          whose.value = "1002";
          whose.dispatchEvent(new Event("change", { bubbles: true }));
        }`);
        await tab.until("document.querySelector('.answer').innerText.startsWith('With the limit')");
        const text = await tab.value<string>("document.body.innerText");
        assertStringIncludes(text, '<img src=x onerror="window.hit=1">\\u202e');
        assert(!text.includes("\u202e"));
        assertEquals(await tab.value("window.hit ?? null"), null);
        assertMatch(await tab.text(".slider output"), /^50 %, 800\.0 KiB$/);
        await tab.click(".what-if button");
        await tab.until("document.querySelector('.answer').innerText.startsWith('As it was')");

        const heard = await tab.accessible();
        for (
          const wanted of [
            /^slider: had been/,
            /^combobox: the limits of/,
            /^status: /,
            /^table: Users, those with kills first/,
            /^heading: What if$/,
          ]
        ) assert(heard.some((one) => wanted.test(one)), `${wanted}\n${heard.join("\n")}`);

        for (const isDark of [false, true]) {
          await tab.show({ ...DESKTOP, isDark });
          await new Promise((done) => setTimeout(done, 100));
          assertEquals(await tab.value<string[]>(CONTRAST), [], isDark ? "dark" : "light");
        }
        assertEquals(tab.complaints, []);
        await tab.close();

        const phone = await browser.open(PHONE);
        await phone.go(linkOf(listener.origin!, TOKEN));
        await phone.until("document.querySelector('canvas') !== null");
        await assertFits(phone);
        await photograph(phone, "page-recording-phone");
        assertEquals(phone.complaints, []);
        await phone.close();
      } finally {
        await listener.close();
      }
    }, HOSTILE),
});
