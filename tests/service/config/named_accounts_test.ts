/** Settings that name users and groups; what names nobody; hooks, mail and webhook as they are read. */
import { assertEquals } from "@std/assert";
import { checkConfig } from "../../../service/config/load.ts";
import { settingText } from "../../../service/config/setting_text.ts";
import { checkTexts, CONFIG_HOST } from "../../_support/config.ts";

const FILE = "/etc/toom/config.jsonc";

Deno.test("a hook is read with its user and what is left out", async () => {
  const { config, lines } = await checkTexts(`{
    "hooks": {
      "before": { "command": ["/bin/true", "a b; $(id)"] },
      "after": { "command": ["/bin/x"], "user": "alice", "timeout": "2s", "atOnce": 9 }
    },
    "control": { "readGroup": "staff" }
  }`);
  assertEquals(lines, []);
  assertEquals(config!.values["hooks.before"], {
    command: ["/bin/true", "a b; $(id)"],
    account: { name: "nobody", uid: 65534, gid: 65544 },
    timeoutMs: 200,
    atOnce: 4,
  });
  assertEquals(config!.values["hooks.after"], {
    command: ["/bin/x"],
    account: { name: "alice", uid: 1000, gid: 1010 },
    timeoutMs: 2000,
    atOnce: 9,
  });
  assertEquals(config!.values["control.readGroup"], { name: "staff", gid: 1 });
});

Deno.test("mail and webhook are read with what is left out", async () => {
  const { config, lines } = await checkTexts(`{ "notify": {
    "mail": { "to": ["root", "{user}@example.org"] },
    "webhook": { "url": "https://example.org/secret", "events": ["kill", "degraded"] },
  } }`);
  assertEquals(lines, []);
  assertEquals(config!.values["notify.mail"], {
    to: ["root", "{user}@example.org"],
    from: "toom",
    subject: undefined,
    body: undefined,
    command: ["/usr/sbin/sendmail", "-t", "-i"],
    account: { name: "root", uid: 0, gid: 10 },
    everyMs: 600_000,
    events: ["kill"],
  });
  assertEquals(config!.values["notify.webhook"], {
    url: "https://example.org/secret",
    timeoutMs: 5000,
    attempts: 6,
    events: ["kill", "degraded"],
  });
});

const WRONG: readonly (readonly [string, string])[] = [
  [
    '{ "hooks": { "before": { "command": "echo hello" } } }',
    `${FILE}:1:37: hooks.before.command: expected a list of texts: the path of a program from / on, and its arguments, such as ["/usr/bin/logger", "-t", "toom"], not "echo hello"`,
  ],
  [
    '{ "hooks": { "before": { "command": ["true"] } } }',
    `${FILE}:1:37: hooks.before.command: expected a list of texts: the path of a program from / on, and its arguments, such as ["/usr/bin/logger", "-t", "toom"], not ["true"]`,
  ],
  [
    '{ "hooks": { "before": { "command": ["/bin/true"], "timeout": "1m" } } }',
    `${FILE}:1:63: hooks.before.timeout: expected 10ms to 5s, not "1m"`,
  ],
  [
    '{ "hooks": { "after": { "command": ["/bin/true"], "user": "alcie" } } }',
    `${FILE}:1:59: hooks.after.user: expected the name of a user, and no user is "alcie", did you mean "alice"?`,
  ],
  [
    '{ "control": { "readGroup": "staf" } }',
    `${FILE}:1:29: control.readGroup: expected the name of a group, and no group is "staf", did you mean "staff"?`,
  ],
  [
    '{ "notify": { "mail": { "to": ["a\\nBcc: x"] } } }',
    `${FILE}:1:32: notify.mail.to.0: expected an address such as root or admin@example.org, or {user}, not "a\\nBcc: x"`,
  ],
  [
    '{ "notify": { "mail": { "to": ["-Xlog"] } } }',
    `${FILE}:1:32: notify.mail.to.0: expected an address such as root or admin@example.org, or {user}, not "-Xlog"`,
  ],
  [
    '{ "notify": { "mail": { "to": ["root"], "subject": "a\\r\\nBcc: x" } } }',
    `${FILE}:1:52: notify.mail.subject: expected one line of at most 200 characters, not "a\\r\\nBcc: x"`,
  ],
  [
    '{ "notify": { "webhook": { "url": "file:///etc/passwd" } } }',
    `${FILE}:1:35: notify.webhook.url: expected an address such as https://example.org/toom, not "file:///etc/passwd"`,
  ],
];

for (const [text, line] of WRONG) {
  Deno.test(`refused: ${text}`, async () => {
    assertEquals((await checkTexts(text)).lines, [line]);
  });
}

Deno.test("a directory that does not answer is no wrong name", async () => {
  const { problems } = await checkTexts(
    '{ "hooks": { "before": { "command": ["/bin/true"], "user": "away" } } }',
  );
  assertEquals(problems.map(({ isPassing, isAbsent }) => [isPassing, isAbsent]), [
    [true, undefined],
  ]);
});

const ABSENT = `{
  "limits": { "gone": "1GiB", "alice": "2GiB", "@gone": "3GiB", "uid:100000": "1GiB" },
  "hooks": {
    "before": { "command": ["/bin/true"], "user": "gone" },
    "after": { "command": ["/bin/true"] },
  },
}`;

Deno.test("at the start, what names nobody is left out and told; the rest is in force", async () => {
  const sources = [{ file: FILE, text: ABSENT }];
  const { config, problems } = await checkConfig(sources, CONFIG_HOST, { leavesOutAbsent: true });
  assertEquals(problems, undefined);
  assertEquals(config!.limits.map(({ subject }) => subject), ["alice"]);
  assertEquals(config!.settings.map(({ path }) => path), ["hooks.after"]);
  assertEquals(config!.absent.map(({ path, place }) => [path, place]), [
    ["limits.gone", `${FILE}:2`],
    ["limits.@gone", `${FILE}:2`],
    ["limits.uid:100000", `${FILE}:2`],
    ["hooks.before.user", `${FILE}:4`],
  ]);
  assertEquals(
    config!.absent[0]!.message,
    `expected a user's name, a uid or a range, and no user is "gone"`,
  );
});

Deno.test("a check and a reload refuse what names nobody; a start refuses all else that is wrong", async () => {
  assertEquals((await checkTexts(ABSENT)).lines.length, 4);
  const sources = [{ file: FILE, text: '{ "limits": { "gone": "1GiB", "bob": "1XiB" } }' }];
  const { problems } = await checkConfig(sources, CONFIG_HOST, { leavesOutAbsent: true });
  assertEquals(problems!.map(({ path }) => path), ["limits.gone", "limits.bob"], "all is told");
});

Deno.test("where a webhook is posted to is not shown beyond the machine's name", () => {
  const shown = (url: string): string => settingText("notify.webhook", { url });
  assertEquals(shown("https://u:p@example.org/T0/secret?k=1"), '{"url":"https://example.org/..."}');
  assertEquals(shown("http://localhost:8080"), '{"url":"http://localhost:8080"}');
  assertEquals(settingText("victim", "newest"), "newest");
});
