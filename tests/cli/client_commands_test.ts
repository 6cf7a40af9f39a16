import { assert, assertEquals } from "@std/assert";
import { limitCommand } from "../../cli/limit.ts";
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { statusCommand, statusLines } from "../../cli/status.ts";
import type { StatusReport } from "../../service/control/control_api.ts";
import type { Users } from "../../cli/users.ts";
import { type Command, type Ran, run } from "../_support/command_run.ts";
import { FAKE_STATUS, withControl } from "../_support/fake_control.ts";

const USERS: Users = {
  uidOf: (name) => name === "bob" ? 60001 : name === "root" ? 0 : undefined,
  nameOf: (uid) => uid === 60001 ? "bob" : undefined,
};

const limitWithUsers: Command = (args, io) => limitCommand(args, io, { users: USERS });

/** `toom limit` against one socket. */
function limitOn(socketPath: string): (...args: string[]) => Promise<Ran> {
  return (...args) => run(limitWithUsers, ...args, "--control-socket", socketPath);
}

Deno.test("toom limit sets, gets, lists and clears, for people", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const limit = limitOn(socketPath);
    assertEquals(await limit("list"), {
      code: 0,
      out: ["no limits; set one with toom limit set USER SIZE"],
      err: [],
    });
    assertEquals(await limit("get", "bob"), { code: 1, out: [], err: ["no limit for bob"] });
    assertEquals(await limit("set", "bob", "64MiB"), {
      code: 0,
      out: [
        "limit set: bob (uid 60001) hard 64.0 MiB (16384 pages), soft 57.6 MiB (14745 pages)",
      ],
      err: [],
    });
    assertEquals(backend.rules.find(60001)?.hardPages, 16384);
    assertEquals((await limit("set", "1000-59999", "25%", "--soft", "50%")).out, [
      "limit set: each of 1000-59999 (uid 1000-59999) hard 4.0 GiB (1048576 pages), " +
      "soft 2.0 GiB (524288 pages)",
    ]);
    await limit("set", "60009", "64MiB", "--now");
    assertEquals(backend.rules.find(60009)?.isAtOnce, true);
    assertEquals(backend.rules.find(60001)?.isAtOnce, undefined);
    await limit("clear", "60009");
    assertEquals((await limit("get", "60001")).out, [
      "bob (uid 60001) hard 64.0 MiB (16384 pages), soft 57.6 MiB (14745 pages)",
    ]);
    assertEquals((await limit("list")).out, [
      "USER                UID             HARD      SOFT    PAGES  SET BY",
      "bob                 60001       64.0 MiB  57.6 MiB    16384  toom limit set",
      "each of 1000-59999  1000-59999   4.0 GiB   2.0 GiB  1048576  toom limit set",
    ]);
    assertEquals((await limit("set", "bob", "64MiB", "--brake", "all")).out, [
      "limit set: bob (uid 60001) hard 64.0 MiB (16384 pages), soft 57.6 MiB (14745 pages), " +
      "brake all",
    ]);
    assertEquals(backend.rules.find(60001)?.brake, "all");
    assertEquals((await limit("list")).out.slice(0, 2), [
      "USER                UID             HARD      SOFT    PAGES  BRAKE  SET BY",
      "bob                 60001       64.0 MiB  57.6 MiB    16384  all    toom limit set",
    ]);
    const words = [
      "--count",
      "anon+file",
      "--victim",
      "newest",
      "--max-processes",
      "50",
      "--kill-signal",
      "TERM",
    ];
    assertEquals((await limit("set", "bob", "64MiB", ...words)).out, [
      "limit set: bob (uid 60001) hard 64.0 MiB (16384 pages), soft 57.6 MiB (14745 pages), " +
      "counted file+anon, at most 50 processes, victim newest, SIGTERM",
    ]);
    const { victim, processesMax, brake } = backend.rules.find(60001)!;
    assertEquals([victim, processesMax, brake], ["newest", 50, undefined]);
    assertEquals((await limit("list")).out, [
      "USER                UID             HARD      SOFT    PAGES  PROCESSES  COUNTED    VICTIM  PLAN     SET BY",
      "bob                 60001       64.0 MiB  57.6 MiB    16384         50  file+anon  newest  SIGTERM  toom limit set",
      "each of 1000-59999  1000-59999   4.0 GiB   2.0 GiB  1048576          -  -          -       -        toom limit set",
    ]);
    assertEquals(await limit("clear", "bob"), { code: 0, out: ["limit cleared: bob"], err: [] });
    assertEquals(await limit("clear", "bob"), {
      code: 1,
      out: [],
      err: ["no limit for exactly bob, see toom limit list"],
    });
    assertEquals(backend.rules.count, 1);
  });
});

Deno.test("toom limit knows users without a limit inside of a range", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const limit = limitOn(socketPath);
    await limit("set", "1000-60999", "25%");
    for (const word of ["none", "unlimited", "infinity"]) {
      assertEquals((await limit("set", "bob", word)).out, [
        "limit set: bob (uid 60001) no limit",
      ]);
    }
    assertEquals(backend.rules.find(60001)?.hardPages, NO_LIMIT_PAGES);
    assertEquals((await limit("get", "bob")).out, ["bob (uid 60001) no limit"]);
    assertEquals((await limit("list")).out, [
      "USER                UID            HARD     SOFT    PAGES  SET BY",
      "bob                 60001          none     none        -  toom limit set",
      "each of 1000-60999  1000-60999  4.0 GiB  3.6 GiB  1048576  toom limit set",
    ]);
    const json = JSON.parse((await limit("get", "bob", "--json")).out[0]!);
    assertEquals(json.limit.hardPages, null);
    assertEquals(json.limit.softBytes, null);
    assertEquals((await limit("set", "bob", "none", "--soft", "50%")).code, 2);
    assertEquals((await limit("clear", "bob")).code, 0);
    assertEquals((await limit("get", "bob")).out[0]?.startsWith("each of 1000-60999"), true);
  });
});

Deno.test("toom limit refuses what can mean two users, and mistakes of units", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const named: Users = {
      uidOf: (name) => name === "60310" ? 60311 : name === "60320-60329" ? 60312 : undefined,
      nameOf: () => undefined,
    };
    const limit = (...args: string[]): Promise<Ran> =>
      run(
        (words, io) => limitCommand(words, io, { users: named }),
        ...args,
        "--control-socket",
        socketPath,
      );
    for (const user of ["60310", "60320-60329"]) {
      for (const words of [["set", user, "1G"], ["get", user], ["clear", user]]) {
        const { code, out, err } = await limit(...words);
        assertEquals([code, out, err.length], [2, [], 1], words.join(" "));
        assert(err[0]!.includes(`expected uid:${user} or user:${user}`), err[0]);
      }
    }
    assertEquals((await limit("set", "user:60310", "1G")).code, 0);
    assertEquals(backend.rules.find(60311)?.hardPages, 2 ** 18);
    assertEquals((await limit("set", "uid:60310", "2G")).code, 0);
    assertEquals(backend.rules.find(60310)?.hardPages, 2 ** 19);
    for (const size of ["4096", "16000", "1,5G", "0", "1048577"]) {
      assertEquals((await limit("set", "uid:5", size)).code, 2, size);
    }
    for (const soft of ["95", "1", "4096"]) {
      assertEquals((await limit("set", "uid:5", "4G", "--soft", soft)).code, 2, soft);
    }
    assertEquals(backend.rules.count, 2);
  });
});

Deno.test("toom limit --json prints the daemon's answer on one line", async () => {
  await withControl(async ({ socketPath }) => {
    const limit = limitOn(socketPath);
    const report = {
      uidFirst: 60001,
      uidLast: 60001,
      hardBytes: 67108864,
      softBytes: 33554432,
      hardPages: 16384,
      softPages: 8192,
      origin: "control",
    };
    const parse = async (...args: string[]): Promise<unknown> => {
      const { code, out } = await limit(...args, "--json");
      assertEquals([code, out.length], [0, 1]);
      return JSON.parse(out[0]!);
    };
    assertEquals(await parse("set", "bob", "64MiB", "--soft=32MiB"), {
      limit: report,
      persisted: true,
    });
    assertEquals(await parse("get", "bob"), { limit: report });
    assertEquals(await parse("list"), { limits: [report], overridden: [] });
    assertEquals(await parse("clear", "bob"), { cleared: true, persisted: true });
  });
});

Deno.test("toom limit warns when a change will not survive a restart", async () => {
  await withControl(async ({ socketPath, backend }) => {
    backend.persisted = false;
    const { code, out, err } = await limitOn(socketPath)("set", "bob", "64MiB");
    assertEquals([code, out.length, err.length], [1, 1, 1]);
    assert(err[0]?.includes("will not survive a restart"));
  });
});

Deno.test("toom limit answers wrong uses with one line and exit code 2", async () => {
  const wrong: readonly string[][] = [
    [],
    ["put", "bob", "1G"],
    ["toString"],
    ["--json"],
    ["set"],
    ["set", "bob"],
    ["set", "bob", "1G", "2G"],
    ["set", "bob", "4X"],
    ["set", "bob", "64MB"],
    ["set", "bob", "-1"],
    ["set", "bob", "0"],
    ["set", "bob", "1"],
    ["set", "nobody-here", "1G"],
    ["set", "root", "1G"],
    ["set", "0-5", "1G"],
    ["set", "9-5", "1G"],
    ["set", "4294967295", "1G"],
    ["set", "bob", "1G", "--soft", "2G"],
    ["set", "bob", "1G", "--soft", "200%"],
    ["set", "bob", "1G", "--soft"],
    ["set", "bob", "1G", "--brake", "some"],
    ["set", "bob", "1G", "--victim", "newst"],
    ["set", "bob", "1G", "--victim", "newest=0"],
    ["set", "bob", "1G", "--victim", ""],
    ["set", "bob", "1G", "--max-processes", "0"],
    ["set", "bob", "1G", "--hard", "1G"],
    ["get"],
    ["get", "bob", "ann"],
    ["get", "bob", "--soft", "1G"],
    ["get", ""],
    ["list", "bob"],
    ["list", "--jsn"],
    ["clear"],
    ["clear", "bob\nann"],
  ];
  await withControl(async ({ socketPath, backend }) => {
    for (const args of wrong) {
      const result = args.length > 1
        ? await limitOn(socketPath)(...args)
        : await run(limitWithUsers, ...args);
      const what = `${args.join(" ")}: ${JSON.stringify(result)}`;
      assertEquals([result.code, result.out.length, result.err.length], [2, 0, 1], what);
      assert(!result.err[0]!.includes("\n") && result.err[0]!.startsWith("toom "), what);
    }
    assertEquals(backend.rules.count, 0);
  });
});

Deno.test("toom limit and toom status have help", async () => {
  for (const args of [["--help"], ["-h"], ["set", "--help"], ["get", "-h"], ["list", "--help"]]) {
    const { code, out, err } = await run(limitWithUsers, ...args);
    assertEquals([code, err.length], [0, 0]);
    assert(out[0]?.includes("Usage: toom limit"), out[0]);
  }
  assert((await run(statusCommand, "--help")).out[0]?.includes("Usage: toom status"));
});

Deno.test("toom status shows a table, or the report as JSON", async () => {
  await withControl(async ({ socketPath }) => {
    const text = await run(statusCommand, "--control-socket", socketPath);
    assertEquals(text, {
      code: 0,
      err: [],
      out: [
        "toom 0.1.0, pid 77, up 1 h 2 min, source raw, 80.0 MiB resident",
        "books in order",
        "",
        "USER    UID     USAGE   SHARED  PROMISED      SOFT      HARD      PEAK     GROWTH  STATE  PROCESSES  KILLS",
        "-     60001  32.0 MiB  4.0 MiB   1.0 MiB  57.6 MiB  64.0 MiB  62.5 MiB  1.0 MiB/s  ok             3      1",
        "",
        "kills   1 (0 failed, 2 spared)",
        "events  123456 (1235/s), 0 lost, 1 malformed, 2 foreign, 3 stale, 4 unattributed",
        "sweeps  6, drift corrected 5 pages",
        "shares  measured 7 times in 745 ms, 0.02% of a CPU",
        "tmalloc 40 requests of 2 processes: 20 granted, 4 denied, 1 waiting; 3 connections, " +
        "5 refused, 3 broken off",
        "",
        "WORKER      STATE    HEARTBEAT      CPU  RESTARTS  EVENTS",
        "reader0     running  13 ms ago  1230 ms         0  123456",
        "accounting  running   3 ms ago    40 ms         1  123450",
      ],
    });
    const json = await run(statusCommand, "--json", `--control-socket=${socketPath}`);
    assertEquals([json.code, json.out.length], [0, 1]);
    assertEquals(JSON.parse(json.out[0]!), FAKE_STATUS);
    const csv = await run(statusCommand, "--csv", `--control-socket=${socketPath}`);
    assertEquals(csv, {
      code: 0,
      err: [],
      out: [
        "user,uid,usagePages,countedPages,sharedPages,promisedPages,softPages,hardPages,peakPages," +
        "growthPagesPerSecond,state,isNear,inDoubt,processes,refusals,kills",
        ",60001,8192,9216,1024,256,14745,16384,16000,256,ok,true,false,3,0,1",
      ],
    });
    assertEquals((await run(statusCommand, "now")).code, 2);
    assertEquals((await run(statusCommand, "--csv", "--json")).code, 2);
  });
});

Deno.test("toom status tells of the brake, where there is one or was", () => {
  const brake = { mode: "off", by: null, braked: 0, refused: 0, failures: 0, left: 0 } as const;
  const linesOf = (more: Partial<NonNullable<StatusReport["brake"]>>): string[] =>
    statusLines({ ...FAKE_STATUS, brake: { ...brake, ...more } })
      .filter((line) => line.startsWith("brake") || line.includes("REFUSED"));
  assertEquals(linesOf({}), []);
  assertEquals(
    linesOf({ mode: "growers", by: "helpers", braked: 2, refused: 5 })[1],
    [
      "brake   growers, by helpers: 2 processes lowered, 5 refused so far",
    ][0],
  );
  assertEquals(
    linesOf({ mode: "all", failures: 3, left: 1 })[1],
    [
      "brake   all, cannot be here: 0 processes lowered, 0 refused so far, 3 times not allowed, " +
      "1 not given back yet",
    ][0],
  );
  assertEquals(linesOf({ refused: 1 }).length, 2, "of a user whose limit has it");
});

Deno.test("toom status tells of the history, and that it is off", () => {
  const history = { path: "/x\u001b/h.db", written: 3, pending: 1, missed: 2, failures: 4 };
  const line = "history 3 kills written to /x\\u001b/h.db, 1 wait, 2 missed, 4 failures";
  assert(statusLines({ ...FAKE_STATUS, history }).includes(line));
  const off = { ...history, path: null };
  assert(statusLines({ ...FAKE_STATUS, history: off }).includes("history off"));
});

Deno.test("clients say that toom is not running, with exit code 1", async () => {
  const dirPath = await Deno.makeTempDir();
  try {
    const path = `${dirPath}/control.sock`;
    const line = `toom is not running here (no answer on ${path}): start it with toom run`;
    assertEquals(await limitOn(path)("list"), { code: 1, out: [], err: [line] });
    const status = await run(statusCommand, "--control-socket", path);
    assertEquals(status, { code: 1, out: [], err: [line] });
    // As after kill -9: the socket is there, but nobody is.
    const dead = Deno.listen({ transport: "unix", path: `${dirPath}/dead.sock` });
    await Deno.rename(`${dirPath}/dead.sock`, path);
    dead.close();
    assertEquals((await limitOn(path)("list")).err, [line]);
  } finally {
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test("clients do not believe everything that answers", async () => {
  const dirPath = await Deno.makeTempDir();
  const path = `${dirPath}/control.sock`;
  const answers: readonly (readonly [Response, string])[] = [
    [new Response("hello"), "is no toom"],
    [Response.json({ limits: [{}] }), "Cannot understand toom's answer: limits.0."],
    [Response.json({}, { status: 500 }), "toom failed: status 500"],
    [Response.json({ error: "full" }, { status: 409 }), "toom failed: full"],
  ];
  let next = 0;
  const server = Deno.serve({ path, onListen: () => {} }, () => answers[next]![0]);
  try {
    for (; next < answers.length; next++) {
      const { code, err } = await limitOn(path)("list");
      assertEquals([code, err.length], [1, 1]);
      assert(err[0]?.includes(answers[next]![1]), err[0]);
    }
  } finally {
    await server.shutdown();
    await Deno.remove(dirPath, { recursive: true });
  }
});

Deno.test({
  name: "clients say what to do when the socket is not theirs, with exit code 3",
  // Only root can become somebody else, and the way there is glibc's.
  ignore: Deno.uid() !== 0 || !Deno.build.target.endsWith("gnu"),
  fn: async () => {
    await withControl(async ({ dirPath, socketPath }) => {
      await Deno.chmod(dirPath, 0o755);
      const script = `
        import { ControlClient } from ${
        JSON.stringify(import.meta.resolve("../../cli/control_client.ts"))
      };
        import { errorLine, exitCodeOf } from ${
        JSON.stringify(import.meta.resolve("../../cli/errors.ts"))
      };
        // Loaded as root, used as nobody.
        const libc = Deno.dlopen("libc.so.6", {
          setgid: { parameters: ["u32"], result: "i32" },
          setuid: { parameters: ["u32"], result: "i32" },
        });
        libc.symbols.setgid(65534);
        libc.symbols.setuid(65534);
        using client = new ControlClient(${JSON.stringify(socketPath)});
        await client.limits().catch((error) => {
          console.log(exitCodeOf(error) + " " + errorLine(error));
        });
      `;
      const scriptPath = `${dirPath}/nobody.ts`;
      await Deno.writeTextFile(scriptPath, script);
      const config = new URL("../../deno.json", import.meta.url).pathname;
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "--quiet", "--config", config, scriptPath],
      }).output();
      assertEquals(
        new TextDecoder().decode(stdout).trim(),
        `3 Cannot open ${socketPath}: permission denied: only root may control toom, try sudo`,
        new TextDecoder().decode(stderr),
      );
    });
  },
});
