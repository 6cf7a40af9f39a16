/** Mail about what happens: its text, whatever users are called, and how many there are. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { AccountProgram, ProgramEnd } from "../../../kernel/programs/account_program.ts";
import type { MailSetting } from "../../../service/config/notify_settings.ts";
import type { JournalEvent, KillEvent } from "../../../service/journal/events.ts";
import { Journal, type JournalEntry } from "../../../service/journal/journal.ts";
import { Mail } from "../../../service/notify/mail.ts";
import { mailText } from "../../../service/notify/mail_text.ts";

const SETTING: MailSetting = {
  to: ["root"],
  from: "toom",
  subject: undefined,
  body: undefined,
  command: ["/usr/sbin/sendmail", "-t", "-i"],
  account: { name: "root", uid: 0, gid: 0 },
  everyMs: 600_000,
  events: ["kill"],
};
const KILL: KillEvent = {
  event: "kill",
  id: "0A",
  uid: 60001,
  user: "anna",
  pid: 4101,
  comm: "python3",
  trigger: "kernel",
  usagePages: 16385,
  sharedPages: 0,
  hardPages: 16384,
  overshootBytes: 4096,
  victimPages: 6144,
  latencyUs: 15.2,
  dryRun: false,
  sharers: 0,
  brakeLeftPages: null,
  signal: "SIGKILL",
  unit: "process",
  unitProcesses: 0,
  graceMs: null,
  ceilingPages: null,
  storm: false,
  weighed: [],
  rule: null,
  kept: [],
};
const AT = new Date("2026-08-22T10:00:00.123Z");
const FACTS = { host: "box", pageBytes: 4096, heldBack: 0 };

function entry(event: JournalEvent): JournalEntry {
  return { number: 7, monotonicNs: 1, at: AT, event };
}

interface Message {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** As a mail program would: headers with their folded lines, an empty line, the text. */
function parse(text: string): Message {
  const [head, ...rest] = text.split("\n\n");
  const headers: Record<string, string> = {};
  for (const line of head!.replaceAll(/\n /g, " ").split("\n")) {
    const found = /^([\w-]+): (.*)$/.exec(line);
    if (found === null) throw new Error(`no header: ${line}`);
    const name = found[1]!;
    const value = found[2]!;
    assertEquals(headers[name], undefined, name);
    headers[name] = value;
  }
  return { headers, body: rest.join("\n\n") };
}

const HEADERS = [
  "Auto-Submitted",
  "Content-Transfer-Encoding",
  "Content-Type",
  "Date",
  "From",
  "MIME-Version",
  "Message-ID",
  "Subject",
  "To",
];

Deno.test("a mail says what happened", () => {
  const { headers, body } = parse(mailText(SETTING, entry(KILL), FACTS)!);
  assertEquals(Object.keys(headers).sort(), HEADERS);
  assertEquals(headers["Subject"], "toom on box: kill anna");
  assertEquals([headers["From"], headers["To"]], ["toom", "root"]);
  assertEquals(headers["Date"], "Sat, 22 Aug 2026 10:00:00 +0000");
  assertEquals(headers["Message-ID"], `<7.${AT.getTime()}.toom@box>`);
  assertStringIncludes(body, 'kill: uid=60001 user=anna pid=4101 comm="python3"');
  assertStringIncludes(body, "At 2026-08-22T10:00:00.123Z on box.");
  assertStringIncludes(body, 'See "toom kills show 0A"');
});

Deno.test("templates are filled with the fields of the event, and with sizes", () => {
  const setting = {
    ...SETTING,
    to: ["{user}@example.org", "root"],
    subject: "{comm} ({pid}) of {user}: {victim} of {hard}",
    body: "{nothing}{usagePages} {overshootBytes} {heldBack}\n{trigger}",
  };
  const { headers, body } = parse(mailText(setting, entry(KILL), { ...FACTS, heldBack: 3 })!);
  assertEquals(headers["To"], "anna@example.org, root");
  assertEquals(headers["Subject"], "python3 (4101) of anna: 24.0 MiB of 64.0 MiB");
  assertEquals(body, "16385 4096 3\nkernel\n");
});

Deno.test("no name of a process or a user makes a header, a line or an address", () => {
  const hostile = [
    "x\nBcc: evil@example.org",
    "x\r\n\r\nbody",
    "\u001b[2J",
    "a\u2028b",
    "=?utf-8?B?QUJD?=",
    "ä".repeat(300),
    "{host}{user}",
    ".\nQUIT",
  ];
  const setting = {
    ...SETTING,
    to: ["root", "{user}"],
    subject: "{comm} {user}",
    body: "{comm}\n{user}",
  };
  for (const comm of hostile) {
    for (const user of [...hostile, null]) {
      const text = mailText(setting, entry({ ...KILL, comm, user }), FACTS)!;
      const { headers, body } = parse(text);
      assertEquals(Object.keys(headers).sort(), HEADERS);
      assertEquals(headers["To"], "root", String(user));
      assertEquals(body.split("\n").length, 3, JSON.stringify(body));
      // deno-lint-ignore no-control-regex
      assert(!/[\x00-\x09\x0b-\x1f\x7f\u2028]/.test(text), JSON.stringify(text));
      for (const line of text.split("\n")) {
        assert(new TextEncoder().encode(line).length <= 998, line);
        assert(line !== ".", "the end of a mail");
      }
      const [head] = text.split("\n\n");
      assert(/^[\x20-\x7e\n]*$/.test(head!), "headers are ASCII");
    }
  }
  assertEquals(
    mailText({ ...SETTING, to: ["{user}"] }, entry({ ...KILL, user: null }), FACTS),
    undefined,
  );
});

Deno.test("a subject that is not ASCII comes back as it was", () => {
  const subject = "Prozeß beendet: 終わり ".repeat(4).trim();
  const { headers } = parse(mailText({ ...SETTING, subject }, entry(KILL), FACTS)!);
  const words = headers["Subject"]!.split(" ");
  assert(words.every((word) => /^=\?utf-8\?B\?[\w+/=]+\?=$/.test(word) && word.length <= 75));
  const bytes = words.map((word) => atob(word.slice(10, -2))).join("");
  assertEquals(
    new TextDecoder().decode(Uint8Array.from(bytes, (one) => one.charCodeAt(0))),
    subject,
  );
});

class Stage {
  readonly started: AccountProgram[] = [];
  readonly journal = new Journal({ nowNs: () => 9e9, now: () => AT });
  readonly mail: Mail;
  nowMs = 0;

  constructor(setting: MailSetting, end: ProgramEnd = { kind: "done", message: "" }) {
    this.mail = new Mail({
      setting: () => setting,
      start: (program) => {
        this.started.push(program);
        return { pid: 1, ended: Promise.resolve(end), kill: () => {} };
      },
      tell: (where, message) => this.journal.publish({ event: "error", where, message }),
      nowMs: () => this.nowMs,
      host: "box",
      pageBytes: 4096,
    });
    this.journal.subscribe(this.mail);
  }

  get texts(): string[] {
    return this.started.map(({ input }) => new TextDecoder().decode(input));
  }
}

Deno.test("each user gets one mail in a while, and the next says how many there were", () => {
  const stage = new Stage(SETTING);
  for (let n = 0; n < 4; n++) stage.journal.publish(KILL);
  stage.journal.publish({ ...KILL, uid: 60002, user: "bob" });
  stage.journal.publish({ event: "config", message: "not asked for" });
  assertEquals(stage.started.map(({ command, account }) => [command[0], account.uid]), [
    ["/usr/sbin/sendmail", 0],
    ["/usr/sbin/sendmail", 0],
  ]);
  stage.nowMs += 600_000;
  stage.journal.publish(KILL);
  assertStringIncludes(stage.texts[2]!, "There were 3 more of this user since the last mail.");
  assertEquals(stage.mail.report()[0]!.left, 3);
});

Deno.test("a mail that fails is told, and no mail is sent about that", async () => {
  const setting = { ...SETTING, events: ["kill", "error"] as const, everyMs: 0 };
  const stage = new Stage(setting, { kind: "failed", message: "no such file" });
  stage.journal.publish(KILL);
  for (let n = 0; n < 5; n++) await Promise.resolve();
  assertEquals(stage.started.length, 1);
  assertEquals(stage.mail.report()[0]!.failed, 1);
  stage.journal.publish({ event: "error", where: "killer", message: "x" });
  assertEquals(stage.started.length, 2);
});
