import { assert, assertEquals } from "@std/assert";
import { checkConfigCommand } from "../../cli/check_config.ts";
import { configCommand } from "../../cli/config.ts";
import { main } from "../../cli/main.ts";
import { openLibc } from "../../kernel/ffi/libc.ts";
import { limitCommand } from "../../cli/limit.ts";
import { overriddenLines } from "../../cli/limit_lines.ts";
import { reloadCommand } from "../../cli/reload.ts";
import type { Users } from "../../cli/users.ts";
import type { FileLimit } from "../../service/config/limits_section.ts";
import { NOTHING_CHANGED } from "../../service/lifecycle/reload.ts";
import { type Command, run } from "../_support/command_run.ts";
import { CONFIG_HOST } from "../_support/config.ts";
import { withControl } from "../_support/fake_control.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const USERS: Users = {
  uidOf: (name) => name === "bob" ? 60001 : undefined,
  nameOf: (uid) => uid === 60001 ? "bob" : undefined,
};

/** What a file says of one range of uids. */
function fileLimit(subject: string, uidFirst: number, uidLast: number, line: number): FileLimit {
  return {
    subject,
    kind: uidFirst === uidLast ? "group" : "range",
    place: `/etc/toom/config.jsonc:${line}`,
    origin: "config",
    uids: [{ uidFirst, uidLast }],
    limit: { hardPages: 1024, softPages: 512, processesMax: 9 },
  };
}

Deno.test("toom reload says what is another now, and what needs a restart", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.reloadAnswer = {
      ...NOTHING_CHANGED,
      reloaded: true,
      files: ["/etc/toom/config.jsonc"],
      changed: ["victim: newest (was largest)"],
      restart: ["tracing.readers: 2 (runs with 1)"],
      limitsSet: 3,
      limitsCleared: 1,
    };
    assertEquals(await run(reloadCommand, "--control-socket", socketPath), {
      code: 0,
      out: [
        "reloaded: /etc/toom/config.jsonc",
        "victim: newest (was largest)",
        "3 limits set, 1 cleared",
        "needs a restart: tracing.readers: 2 (runs with 1)",
      ],
      err: [],
    });
    await run(reloadCommand, "--now", "--control-socket", socketPath);
    assertEquals(backend.reloads, ["later", "now"]);
  });
});

Deno.test("toom reload tells all problems of the files, and ends with code 2", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.reloadAnswer = {
      ...NOTHING_CHANGED,
      problems: ["a:1:1: expected x", "a:2:1: expected y"],
    };
    const { code, out, err } = await run(reloadCommand, "--control-socket", socketPath);
    assertEquals([code, out], [2, []]);
    assertEquals(err, [
      "a:1:1: expected x",
      "a:2:1: expected y",
      "not reloaded: what was in force stays in force",
    ]);
    const json = await run(reloadCommand, "--json", "--control-socket", socketPath);
    assertEquals(JSON.parse(json.out[0]!).problems.length, 2);
  });
});

Deno.test("toom config show prints each value with where it came from", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const command: Command = (args, io) => configCommand(args, io, { users: USERS });
    backend.report = {
      files: ["/etc/toom/config.jsonc", "/etc/toom/config.d/1.jsonc"],
      settings: [
        { path: "victim", value: "newest", from: "/etc/toom/config.jsonc:3" },
        { path: "dryRun", value: "true", from: "--dry-run" },
      ],
      limits: [
        fileLimit("@staff", 60001, 60001, 4),
        fileLimit("1000-60000", 1000, 60000, 5),
        fileLimit("*", 1, 99999, 6),
      ],
      rules: [],
    };
    const { out } = await run(command, "show", "--control-socket", socketPath);
    assertEquals(out, [
      "files  /etc/toom/config.jsonc",
      "       /etc/toom/config.d/1.jsonc",
      "",
      "SETTING  VALUE   FROM",
      "victim   newest  /etc/toom/config.jsonc:3",
      "dryRun   true    --dry-run",
      "",
      "no limits; set one with toom limit set USER SIZE",
    ]);
    backend.rules.set({ uidFirst: 60001, uidLast: 60001, hardPages: 2048, softPages: 1024 });
    const bob = await run(command, "show", "--user", "bob", "--control-socket", socketPath);
    assertEquals(
      bob.out,
      [
        "bob (uid 60001) hard 8.0 MiB (2048 pages), soft 4.0 MiB (1024 pages), by toom limit set",
        "",
        "SUBJECT  UIDS        HARD     SOFT  PROCESSES  FROM                            ",
        "@staff   60001    4.0 MiB  2.0 MiB          9  /etc/toom/config.jsonc:4  yields",
        "*        1-99999  4.0 MiB  2.0 MiB          9  /etc/toom/config.jsonc:6  yields",
      ].map((line) => line.trimEnd()),
    );
    const json = await run(command, "show", "--json", "--control-socket", socketPath);
    assertEquals(JSON.parse(json.out[0]!).config.settings[0], {
      path: "victim",
      value: "newest",
      from: "/etc/toom/config.jsonc:3",
      reloads: true,
    });
    const nobody = await run(command, "show", "--user", "bbo", "--control-socket", socketPath);
    assertEquals(nobody.code, 2);
    assertEquals((await run(command, "shwo")).err, [
      'toom config: expected show, not "shwo", did you mean "show"? (see toom config --help)',
    ]);
  });
});

Deno.test("toom limit list and diff show limits of files beside those that were set", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const command: Command = (args, io) => limitCommand(args, io, { users: USERS });
    const limit = (word: string): ReturnType<typeof run> =>
      run(command, word, "--control-socket", socketPath);
    assertEquals((await limit("diff")).out, ["no limit differs from the configuration"]);
    const uids = { uidFirst: 60001, uidLast: 60001 };
    const rule = { ...uids, hardPages: 1024, softPages: 512 };
    const place = "/etc/toom/config.jsonc:4";
    backend.overrides = [
      {
        ...uids,
        running: { ...rule, hardPages: 2048, origin: "control" },
        configured: { ...rule, origin: "config", subject: "bob", place },
      },
      {
        uidFirst: 5,
        uidLast: 9,
        running: undefined,
        configured: { ...rule, uidFirst: 5, uidLast: 9, origin: "command-line" },
      },
      { uidFirst: 7, uidLast: 7, running: { ...rule, origin: "control" }, configured: undefined },
    ];
    assertEquals((await limit("diff")).out, [
      "USER         UID    IN FORCE               CONFIGURED             BY",
      "bob          60001  8.0 MiB, soft 2.0 MiB  4.0 MiB, soft 2.0 MiB  /etc/toom/config.jsonc:4 (bob)",
      "each of 5-9  5-9    cleared                4.0 MiB, soft 2.0 MiB  toom run --limit",
      "7            7      4.0 MiB, soft 2.0 MiB  -                      -",
    ]);
  });
});

Deno.test("what names nobody is told by toom config show and toom limit diff", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const absent = [
      { path: "limits.gone", place: "/a:2", message: 'expected a user, and no user is "gone"' },
      { path: "hooks.after.user", place: "/a:3", message: "expected a user" },
    ];
    backend.report = { files: ["/a"], settings: [], limits: [], rules: [], absent };
    const line = 'not in force: /a:2: limits.gone: expected a user, and no user is "gone"';
    const show: Command = (args, io) => configCommand(args, io, { users: USERS });
    const { out } = await run(show, "show", "--control-socket", socketPath);
    assertEquals(out.filter((one) => one.startsWith("not")), [
      line,
      "not in force: /a:3: hooks.after.user: expected a user",
    ]);
    const limit: Command = (args, io) => limitCommand(args, io, { users: USERS });
    assertEquals((await run(limit, "diff", "--control-socket", socketPath)).out, [line]);
    const json = await run(limit, "diff", "--json", "--control-socket", socketPath);
    assertEquals(JSON.parse(json.out[0]!), { overridden: [], absent: [absent[0]] });
  });
});

Deno.test("toom limit diff shows all in which a limit differs", async () => {
  const uids = { uidFirst: 60001, uidLast: 60001 };
  const sizes = { hardBytes: 2 ** 26, softBytes: 2 ** 25, hardPages: 16384, softPages: 8192 };
  const running = {
    ...uids,
    ...sizes,
    origin: "control",
    victim: "newest",
    maxProcesses: 9,
    brake: "all",
    plan: { signal: "SIGTERM" },
  } as const;
  const configured = {
    ...uids,
    ...sizes,
    origin: "config",
    place: "/a:1",
    victim: "growing",
  } as const;
  assertEquals(await overriddenLines([{ ...uids, running, configured }], USERS), [
    "USER  UID    IN FORCE                                                                         CONFIGURED                               BY",
    "bob   60001  64.0 MiB, soft 32.0 MiB, at most 9 processes, brake all, victim newest, SIGTERM  64.0 MiB, soft 32.0 MiB, victim growing  /a:1",
  ]);
});

Deno.test("toom limit reset says whether there was anything to forget", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const command: Command = (args, io) => limitCommand(args, io, { users: USERS });
    const reset = (): ReturnType<typeof run> =>
      run(command, "reset", "bob", "--control-socket", socketPath);
    assertEquals((await reset()).err, ["nothing was set for exactly bob, see toom limit diff"]);
    backend.rules.set({ uidFirst: 60001, uidLast: 60001, hardPages: 2, softPages: 1 });
    assertEquals(await reset(), { code: 0, out: ["limit as configured: bob"], err: [] });
  });
});

Deno.test("toom check-config tells all problems with exit code 2, and what it would enforce", async () => {
  const dirPath = await Deno.makeTempDir();
  const path = `${dirPath}/c.jsonc`;
  const check: Command = (args, io) => checkConfigCommand(args, io, CONFIG_HOST);
  try {
    const missing = await run(check, path);
    assertEquals([missing.code, missing.err], [2, [`${path}: expected a file, and there is none`]]);
    await Deno.writeTextFile(path, '{\n "victm": "newest",\n "limits": { "bob": "4X" }\n}', {
      mode: 0o600,
    });
    const broken = await run(check, path);
    assertEquals([broken.code, broken.out, broken.err.length], [2, [], 2]);
    assert(broken.err.some((line) => line.startsWith(`${path}:2:2: victm: expected one of`)));
    assert(broken.err.some((line) => line.startsWith(`${path}:3:21: limits.bob: expected a size`)));
    // A directory that is away may answer later.
    await Deno.writeTextFile(path, '{ "limits": { "away": "1G" } }');
    assertEquals((await run(check, path)).code, 1);
    await Deno.writeTextFile(path, '{ "victim": "newest", "limits": { "@students": "4MiB" } }');
    assertEquals(await run(check, path), {
      code: 0,
      out: [
        `right: ${path} (drop-ins: ${dirPath}/c.d)`,
        "",
        "SETTING  VALUE   FROM",
        `victim   newest  ${path}:1`,
        "",
        `SUBJECT    UIDS               HARD     SOFT  PROCESSES  FROM`,
        `@students  1001,1002,2000  4.0 MiB  3.6 MiB          -  ${path}:1`,
        "3 users and ranges have a limit",
      ],
      err: [],
    });
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("toom run does not start by a file that is refused, and tells all that is wrong", async () => {
  const dirPath = await Deno.makeTempDir();
  const path = `${dirPath}/c.jsonc`;
  try {
    await Deno.writeTextFile(path, '{ "victm": 1,\n "limits": { "rooot": "1G" } }', {
      mode: 0o600,
    });
    const command: Command = (args, io) => main(args, io);
    const { code, out, err } = await run(command, "run", "--config", path, "--dry-run");
    assertEquals([code, out, err.length], [2, [], 2], err.join("; "));
    assert(err[0]!.startsWith(`${path}:1:3: victm: expected one of`), err[0]);
    assert(err[1]!.startsWith(`${path}:2:14: limits.rooot: expected a user's name`), err[1]);
    const missing = await run(command, "run", `--config=${dirPath}/none.jsonc`);
    assertEquals([missing.code, missing.err], [
      2,
      [`${dirPath}/none.jsonc: expected a file, and there is none`],
    ]);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});
