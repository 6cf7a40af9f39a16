import { assert, assertEquals, assertMatch } from "@std/assert";
import { killsCommand, readSince } from "../../cli/kills.ts";
import { ownReceiptLine, receiptLines } from "../../cli/receipt_text.ts";
import type { Users } from "../../cli/users.ts";
import { HistoryDatabase } from "../../service/history/database.ts";
import { type KillRecord, withEnd } from "../../service/history/record.ts";
import { AT } from "../_support/journal_events.ts";
import { withControl } from "../_support/fake_control.ts";
import { killRecord } from "../_support/kill_entries.ts";

const USERS: Users = {
  uidOf: (name) => name === "skyzh" ? 10071 : undefined,
  nameOf: () => undefined,
};
const END = { freedBytes: 16_384_000, exitUs: 10_570, exitStatus: 9, outcome: null };

interface Ran {
  readonly code: number;
  readonly out: string[];
  readonly err: string[];
}

async function run(...args: string[]): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  return { code: await killsCommand(args, io, { users: USERS }), out, err };
}

function write(path: string, kills: readonly KillRecord[]): void {
  const database = new HistoryDatabase(path, { ageMsMax: 1e15, bytesMax: 2 ** 22 }, () => AT);
  database.open();
  const hourMs = 3_600_000 * 400_000;
  database.write({ kills, ends: [], peaks: [{ hourMs, uid: 10071, peakBytes: 2 ** 26 }] });
  database.close();
}

function ids(json: string | undefined): string[] {
  return JSON.parse(json!).kills.map(({ id }: KillRecord) => id);
}

Deno.test("toom kills lists what is in the file and what only the daemon knows yet", async () => {
  await withControl(async ({ dirPath, socketPath, backend }) => {
    const socket = `--control-socket=${socketPath}`;
    const [first, second, third] = [killRecord(1), killRecord(2, 7), killRecord(3)];
    assertEquals(await run(socket), { code: 0, out: ["no kills"], err: [] });
    backend.historyPath = `${dirPath}/history.db`;
    write(backend.historyPath, [first, second]);
    const ended = withEnd(second, { id: second.id, ...END });
    backend.recentKills = [ended, third];
    const json = await run("--json", socket);
    assertEquals(JSON.parse(json.out[0]!).kills, [first, ended, third]);
    assertEquals(ids((await run("--json", "--user=skyzh", socket)).out[0]), [first.id, third.id]);
    assertEquals(ids((await run("--json", "--rows=1", socket)).out[0]), [third.id]);
    const since = `--since=${second.at}`;
    assertEquals(ids((await run("--json", since, socket)).out[0]), [second.id, third.id]);
    const text = await run(socket);
    assertMatch(text.out[0]!, /^ID +WHEN +USER +UID +PID +COMMAND +TRIGGER +USAGE +HARD +OVER +/);
    assertMatch(
      text.out[1]!,
      /^\w+-210 +2026-08-22T10:00:01.123Z +skyzh +10071 +210 +hog +user +16/,
    );
    assertEquals(text.out.length, 4);
    const csv = await run("--csv", socket);
    assertEquals(csv.out.length, 4);
    assert(
      csv.out[0]!.startsWith("id,at,user,uid,pid,comm,trigger,policy,rule,dryRun,usagePages,"),
    );
    const peaks = await run("--peaks", "--csv", socket);
    assertEquals(peaks.out, ["hour,uid,peakBytes", "2015-08-19T16:00:00.000Z,10071,67108864"]);
    // Without a daemon, or of another file.
    const file = `--history=${backend.historyPath}`;
    assertEquals(ids((await run("--json", file)).out[0]), [first.id, second.id]);
  });
});

Deno.test("toom kills show tells a receipt in words", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const socket = `--control-socket=${socketPath}`;
    const kill = withEnd(killRecord(1), { id: killRecord(1).id, ...END });
    backend.recentKills = [kill, killRecord(2)];
    const shown = await run("show", kill.id, socket);
    assertEquals(shown, {
      code: 0,
      err: [],
      out: [
        `kill ${kill.id} of 2026-08-22T10:00:01.123Z`,
        "  user      skyzh (uid 10071), may use 16.0 MiB (soft 14.4 MiB): " +
        "10000-19999 by toom run --limit",
        "  used      16.0 MiB, 16.0 KiB too much; 16.0 MiB counted less 0 B shared, by 3 " +
        "processes; promised 100.0 KiB, at most so far 16.0 MiB",
        '  killed    pid 210 ("hog"), 15.6 MiB (15.2 MiB anonymous, 160.0 KiB shared memory, ' +
        "48.0 KiB of files, 240.0 KiB swapped out)",
        "  chosen    because its end gives back most (--victim largest)",
        "  trigger   an event of the user, which toom has read",
        "  times     the page crossed at 2026-08-22T10:00:01.122Z; the killer began 30 µs later, " +
        "the signal was sent 42 µs later, told of 500 µs after that",
        "  then      gone 10.6 ms after the signal, 15.6 MiB came back; ended by SIGKILL, as the " +
        "kernel says",
        "",
        "beside it",
        "PID    COUNTED  GIVES BACK  SCORE  OOM_SCORE_ADJ  FATE       RULE",
        "210  240.0 KiB   200.0 KiB     50              0  weighed    -",
        "211  160.0 KiB   160.0 KiB      0          -1000  protected  -",
      ],
    });
    assertEquals((await run("show", kill.id.slice(0, 3), socket)).err, [
      `no kill "${kill.id.slice(0, 3)}", see toom kills`,
    ]);
    assertEquals(JSON.parse((await run("show", kill.id, "--json", socket)).out[0]!), kill);
    const began = { ...kill, beganUs: null, dryRun: true, user: null, rule: null, sharers: 2 };
    const text = receiptLines(began).join("\n");
    for (const part of ["a dry run", "uid 10071, may", "nobody was signalled", "with 2 that ran"]) {
      assert(text.includes(part), text);
    }
    assert(!text.includes("killer began"));
    const gone = { ...kill, comm: "", victimPages: 0 };
    assert(
      receiptLines(gone).includes(
        "  killed    pid 210, an amount that is not known" +
          " (15.2 MiB anonymous, 160.0 KiB shared memory, 48.0 KiB of files, 240.0 KiB swapped out)",
      ),
    );
    assert(ownReceiptLine(gone).includes("pid 210, which used an amount that is not known: you"));
    const endings = [[null, "does not tell"], [15, "signal 15"], [768, "exit code 3"]] as const;
    for (const [exitStatus, words] of endings) {
      assert(receiptLines({ ...kill, exitStatus }).join("\n").includes(words), words);
    }
  });
});

Deno.test("what a user can name cannot forge a line of a receipt", () => {
  const hostile = "x\u001b[2J\n  then      nothing\u202e";
  const kill = { ...killRecord(1), comm: hostile, user: hostile, rule: hostile };
  for (const line of [...receiptLines(kill), ownReceiptLine(kill)]) {
    // deno-lint-ignore no-control-regex
    assert(!/[\u0000-\u001f\u007f\u202e]/.test(line), line);
  }
});

Deno.test("toom kills answers wrong uses with one line", async () => {
  const wrong = [
    ["hide", "x"],
    ["show"],
    ["show", "a", "b"],
    ["--json", "--csv"],
    ["--since", "yesterday"],
    ["--user", "nobody-here"],
    ["--user", "1000-2000"],
    ["--rows", "0"],
  ];
  for (const args of wrong) {
    const { code, out, err } = await run(...args, "--control-socket=/nowhere/x.sock");
    assertEquals([code, out.length, err.length], [2, 0, 1], `${args}: ${err}`);
  }
  const missing = await run("--history=/nowhere/history.db");
  assertEquals([missing.code, missing.err], [1, [
    "Cannot read /nowhere/history.db: there is no such file",
  ]]);
  const now = Date.parse("2026-11-27T12:00:00Z");
  assertEquals(readSince("2d", now), now - 172_800_000);
  assertEquals(readSince("90m", now), now - 5_400_000);
  assertEquals(readSince("2026-11-27", now), Date.parse("2026-11-27T00:00:00Z"));
});
