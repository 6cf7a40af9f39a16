import { assert, assertEquals, assertThrows } from "@std/assert";
import { helpText } from "../../cli/args.ts";
import { exitCodeOf, UsageError } from "../../cli/errors.ts";
import type { LimitHost } from "../../service/config/limit_spec.ts";
import { parseDurationMs } from "../../service/config/option_values.ts";
import { parseRunFlags, type RunOptions, runOptions } from "../../cli/run_options.ts";
import { z } from "zod";
import { CONFIG_OPTIONS } from "../../service/config/options.ts";
import { ANY_HOST, configSchema } from "../../service/config/schema.ts";
import { checkTexts } from "../_support/config.ts";
import { EMPTY_CONFIG } from "../../service/config/load.ts";
import { RUN_COMMAND } from "../../cli/run_command.ts";

const HOST: LimitHost = {
  totalMemoryBytes: 2 ** 34,
  pageBytes: 4096,
  uidOf: (name) => name === "bob" ? 1001 : undefined,
};

/** Without a file. */
function parseRunOptions(args: readonly string[], host: LimitHost): RunOptions | undefined {
  const flags = parseRunFlags(args, host);
  return flags && runOptions(flags, EMPTY_CONFIG, host);
}

/** Without what only tells where it comes from. */
function parsed(args: readonly string[]): unknown {
  const { config: _, flagLimits: __, ...options } = parseRunOptions(args, HOST)!;
  return options;
}

/** What stands in files only. */
const FILE_ONLY = {
  mail: undefined,
  webhook: undefined,
  hookBefore: undefined,
  hookAfter: undefined,
  hookSoft: undefined,
  readGroup: undefined,
};

Deno.test("parseRunOptions() has a default for everything", () => {
  assertEquals(parsed([]), {
    limits: [],
    source: "auto",
    readerCount: 1,
    memberMask: 0b1110,
    creditsShares: true,
    victim: "largest",
    victimRules: [],
    defaultRules: true,
    softDefault: { kind: "percent", percent: 90 },
    intervalMs: 1000,
    lowerGraceMs: 60_000,
    killSignal: 9,
    killGraceMs: 5000,
    killCeilingPermille: 1050,
    killUnit: "process",
    stormKills: 20,
    stormSeconds: 10,
    stormThen: "off",
    minAvailableBytes: 0,
    psi: true,
    machineVictim: "share",
    dryRun: false,
    logFormat: "text",
    bufferKib: 4096,
    subbufKib: undefined,
    controlSocketPath: "/run/toom/control.sock",
    tmallocSocketPath: "/run/toom/tmalloc.sock",
    historyPath: "/var/lib/toom/history.db",
    recordSeconds: 0,
    recordFiles: 20,
    metricsAddress: undefined,
    webAddress: undefined,
    stateDirPath: "/var/lib/toom",
    subuidPath: "/etc/subuid",
    processesMax: 16384,
    usersMax: 4096,
    userProcessesMax: 4096,
    pathCpu: "auto",
    arms: true,
    kernelTrigger: true,
    brake: "off",
    terminals: "kills+soft",
    ...FILE_ONLY,
    debugFaults: false,
  });
});

Deno.test("parseRunOptions() reads every option and freezes the result", () => {
  const args = "--limit bob=1G --limit=2000-2999=64MiB,soft=32MiB --source raw --readers 64 " +
    "--count rss+sum --max-user-processes 32 --victim growing --soft 80% --interval 500ms --min-available 25% --dry-run " +
    "--log-format json --buffer-kib 16 --subbuf-kib 64 --control-socket /tmp/c " +
    "--tmalloc-socket none --state-dir /tmp/s --history off --metrics 9184 --web 985 --no-subuids --max-processes 64 --max-users 16 --cpu any --no-arm " +
    "--no-psi --machine-victim over-soft --no-default-rules --brake growers --terminals kills --lower-grace 0s --debug-faults " +
    "--kill-signal term --kill-grace 1500ms --kill-ceiling 110.5% --kill-unit scope " +
    "--storm-kills 0 --storm-seconds 60 --storm-then session --record-seconds 30 --record-files 5";
  const options = parseRunOptions(args.split(" "), HOST);
  const origin = "command-line" as const;
  const place = "--limit";
  assertEquals(parsed(args.split(" ")), {
    limits: [
      {
        uidFirst: 1001,
        uidLast: 1001,
        hardPages: 262144,
        softPages: 209715,
        origin,
        subject: "bob",
        place,
      },
      {
        uidFirst: 2000,
        uidLast: 2999,
        hardPages: 16384,
        softPages: 8192,
        origin,
        subject: "2000-2999",
        place,
      },
    ],
    source: "raw",
    readerCount: 64,
    memberMask: 0b1011,
    creditsShares: false,
    victim: "growing",
    victimRules: [],
    defaultRules: false,
    softDefault: { kind: "percent", percent: 80 },
    intervalMs: 500,
    lowerGraceMs: 0,
    killSignal: 15,
    killGraceMs: 1500,
    killCeilingPermille: 1105,
    killUnit: "scope",
    stormKills: 0,
    stormSeconds: 60,
    stormThen: "session",
    minAvailableBytes: 2 ** 32,
    psi: false,
    machineVictim: "over-soft",
    dryRun: true,
    logFormat: "json",
    bufferKib: 16,
    subbufKib: 64,
    controlSocketPath: "/tmp/c",
    tmallocSocketPath: undefined,
    historyPath: undefined,
    recordSeconds: 30,
    recordFiles: 5,
    metricsAddress: { hostname: "127.0.0.1", port: 9184 },
    webAddress: { kind: "tcp", hostname: "127.0.0.1", port: 985 },
    stateDirPath: "/tmp/s",
    subuidPath: undefined,
    processesMax: 64,
    usersMax: 16,
    userProcessesMax: 32,
    pathCpu: -1,
    arms: false,
    kernelTrigger: true,
    brake: "growers",
    terminals: "kills",
    ...FILE_ONLY,
    debugFaults: true,
  });
  assert(Object.isFrozen(options) && Object.isFrozen(options?.limits));
  assert(Object.isFrozen(options?.limits[0]));
});

Deno.test("parseRunOptions() answers each wrong use with one line and exit code 2", () => {
  const wrong: readonly string[][] = [
    ["--limit", "bob"],
    ["--limit"],
    ["--limit="],
    ["--limit", "bob=4X"],
    ["--limit", "bob=64MB"],
    ["--limit", "nobody-here=1G"],
    ["--limit", "bob=1G,soft=2G"],
    ["--limit", "0-1000=1G"],
    ["--limit", "bob=1G", "--limit", "1001=2G"],
    ["--limit", "bob=0"],
    ["--machine-victim", "larges"],
    ["--limit", "bob=1G", "--soft", "2G"],
    ["--foo"],
    ["-v"],
    ["--no-dry-run", "--dry-run"],
    ["--psi", "--no-psi"],
    ["--no-interval"],
    ["--dry-run=true"],
    ["stray"],
    ["--", "stray"],
    ["--source", "csv"],
    ["--source", "raw", "--source", "text"],
    ["--kill-signal", "SIGTREM"],
    ["--kill-signal", "0"],
    ["--kill-signal", "65"],
    ["--kill-grace", "25h"],
    ["--kill-ceiling", "99%"],
    ["--kill-ceiling", "105"],
    ["--kill-ceiling", "1001%"],
    ["--kill-unit", "user"],
    ["--storm-kills", "1001"],
    ["--storm-seconds", "0"],
    ["--record-seconds", "3601"],
    ["--record-files", "0"],
    ["--storm-then", "on"],
    ["--readers", "0"],
    ["--readers", "65"],
    ["--readers", "1.5"],
    ["--readers", "two"],
    ["--readers", "-1"],
    ["--readers=-1"],
    ["--readers", "0x10"],
    ["--count", "heap"],
    ["--count", "anon+"],
    ["--count", "rss+swap"],
    ["--count", "toString"],
    ["--victim", "oldest"],
    ["--soft", "0%"],
    ["--soft", "101%"],
    ["--interval", "99ms"],
    ["--interval", "2h"],
    ["--interval", "soon"],
    ["--min-available", "lots"],
    ["--min-available", "101%"],
    ["--log-format", "xml"],
    ["--buffer-kib", "3"],
    ["--buffer-kib", "1048577"],
    ["--buffer-kib", "4K"],
    ["--subbuf-kib", "5"],
    ["--subbuf-kib", "1024"],
    ["--control-socket", ""],
    ["--control-socket", `/${"x".repeat(107)}`],
    ["--tmalloc-socket", `/${"x".repeat(100)}`],
    ["--state-dir", ""],
    ["--max-processes", "63"],
    ["--max-users", "999999999"],
  ];
  for (const args of wrong) {
    const error = assertThrows(() => parseRunOptions(args, HOST), UsageError, "toom run: ");
    assertEquals(exitCodeOf(error), 2);
    assert(!/[\n\r]/.test(error.message) && error.message.length < 300, error.message);
    assert(/expected|needs|given|unknown|unexpected|takes no value/.test(error.message));
  }
});

Deno.test("parseRunOptions() says what was expected", () => {
  const message = (...args: string[]): string =>
    assertThrows(() => parseRunOptions(args, HOST), UsageError).message;
  const see = " (see toom run --help)";
  assertEquals(
    message("--limit", "bob"),
    'toom run: Cannot read limit "bob": expected USER=SIZE[,soft=SIZE|PCT], ' +
      `for example bob=4GiB${see}`,
  );
  assertEquals(
    message("--readers", "x"),
    `toom run: --readers: expected a whole number from 1 to 64, not "x"${see}`,
  );
  assertEquals(
    message("--source", "csv"),
    `toom run: --source: expected auto, bpf, raw, text, not "csv"${see}`,
  );
  assertEquals(
    message("--interval", "99ms"),
    `toom run: --interval: expected 100ms to 1h, not "99ms"${see}`,
  );
});

Deno.test("parseRunOptions() is undefined when help is asked for, whatever else is wrong", () => {
  assertEquals(parseRunOptions(["--foo", "--help"], HOST), undefined);
  const help = helpText(RUN_COMMAND);
  assert(help.split("\n").every((line) => line.length <= 100), help);
  for (const hidden of ["debug-faults", "no-arm"]) assert(!help.includes(hidden), help);
  for (const { name, hidden } of RUN_COMMAND.options) {
    assertEquals(help.includes(`--${name}`), hidden !== true);
  }
});

Deno.test("parseDurationMs() takes a bare number for seconds", () => {
  assertEquals(parseDurationMs("1"), 1000);
  assertEquals(parseDurationMs("0.25"), 250);
  assertEquals(parseDurationMs("500ms"), 500);
  assertEquals(parseDurationMs("1.5s"), 1500);
  assertEquals(parseDurationMs("2m"), 120_000);
  assertEquals(parseDurationMs("1h"), 3_600_000);
});

const FILE = `{
  "limits": { "bob": "1GiB", "carol": "2GiB", "1000-1999": "3GiB", "@students": "4GiB" },
  "soft": "50%",
  "victim": "newest",
  "machine": { "minAvailable": "1GiB", "psi": false },
  "sockets": { "tmalloc": "none" },
  "subuids": false,
  "maxUserProcesses": 100,
  "tracing": { "readers": 3, "cpu": "any", "trigger": "user" }
}`;

/** The options of these words with {@link FILE}. */
async function withFile(...args: string[]): Promise<RunOptions> {
  const { config } = await checkTexts(FILE);
  return runOptions(parseRunFlags(args, HOST)!, config!, HOST);
}

Deno.test("toom run takes each option from the file, and from the command line where it is given", async () => {
  const file = await withFile();
  assertEquals(
    [file.victim, file.softDefault, file.minAvailableBytes, file.psi, file.tmallocSocketPath],
    ["newest", { kind: "percent", percent: 50 }, 2 ** 30, false, undefined],
  );
  assertEquals(
    [file.subuidPath, file.userProcessesMax, file.readerCount, file.pathCpu, file.kernelTrigger],
    [undefined, 100, 3, -1, false],
  );
  assertEquals([file.logFormat, file.usersMax], ["text", 4096]);
  const args = "--victim growing --min-available 0 --tmalloc-socket /tmp/t --readers 1 --soft 80%" +
    " --max-user-processes 7 --cpu auto --trigger kernel";
  const both = await withFile(...args.split(" "));
  assertEquals(
    [both.victim, both.minAvailableBytes, both.tmallocSocketPath, both.readerCount],
    ["growing", 0, "/tmp/t", 1],
  );
  assertEquals([both.userProcessesMax, both.pathCpu, both.kernelTrigger], [7, "auto", true]);
  assertEquals(both.softDefault, { kind: "percent", percent: 80 });
});

Deno.test("toom run: options without a value win over a file in both ways", async () => {
  const text = `{ "dryRun": true, "machine": { "psi": false }, "subuids": false,
    "tracing": { "arm": false } }`;
  const { config } = await checkTexts(text);
  const options = (...args: string[]): RunOptions =>
    runOptions(parseRunFlags(args, HOST)!, config!, HOST);
  const of = (
    { dryRun, psi, subuidPath, arms }: RunOptions,
  ): unknown[] => [dryRun, psi, subuidPath, arms];
  assertEquals(of(options()), [true, false, undefined, false]);
  const other = options("--no-dry-run", "--psi", "--subuids", "--arm");
  assertEquals(of(other), [false, true, "/etc/subuid", true]);
  assertEquals(of(options("--dry-run", "--no-psi", "--no-subuids", "--no-arm")), of(options()));
  const from = other.config.settings.flatMap(({ path, value, from }) =>
    from === "default" ? [] : [`${path} ${value} ${from}`]
  );
  assertEquals(from, [
    "subuids true --subuids",
    "dryRun false --no-dry-run",
    "machine.psi true --psi",
    "tracing.arm true --arm",
  ]);
});

Deno.test("toom run says of each setting who said it", async () => {
  const { config } = await withFile("--victim=growing", "--no-arm", "--max-processes=64");
  const from = new Map(config.settings.map(({ path, value, from }) => [path, `${value} ${from}`]));
  assertEquals(config.settings.length, CONFIG_OPTIONS.length);
  assertEquals(from.get("victim"), "growing --victim");
  assertEquals(from.get("tracing.arm"), "false --no-arm");
  assertEquals(from.get("soft"), "50% /etc/toom/config.jsonc:3");
  assertEquals(from.get("machine.psi"), "false /etc/toom/config.jsonc:5");
  assertEquals(from.get("dryRun"), "false default");
  assertEquals(from.get("tracing.subbufKib"), "as they are default");
  assertEquals(from.get("maxUserProcesses"), "100 /etc/toom/config.jsonc:8");
  assertEquals(config.files, ["/etc/toom/config.jsonc"]);
});

Deno.test("toom run: a limit of the command line replaces that of the file for the same uids", async () => {
  const args = ["--limit", "bob=8GiB", "--limit", "1000-1999=none", "--limit", "1002=5GiB"];
  const { limits } = await withFile(...args);
  assertEquals(
    limits.map(({ uidFirst, uidLast, hardPages, softPages, place }) =>
      [uidFirst, uidLast, hardPages, softPages, place].join(" ")
    ),
    [
      "1002 1002 1310720 655360 --limit",
      "1001 1001 2097152 1048576 --limit",
      "2000 2000 1048576 524288 /etc/toom/config.jsonc:2",
      "1000 1999 2147483647 2147483647 --limit",
    ],
  );
});

/** Of a file, and no options. */
const NO_SETTINGS = ["$schema", "limits", "rules"];

Deno.test("each option of toom run has its place in the configuration, and each place its option", () => {
  const hidden = ["config", "limit", "subuid-file", "debug-faults"];
  for (const { opposite } of CONFIG_OPTIONS) if (opposite !== undefined) hidden.push(opposite);
  const options = RUN_COMMAND.options.map(({ name }) => name).filter((one) =>
    !hidden.includes(one)
  );
  const inFiles = CONFIG_OPTIONS.flatMap(({ option }) => option === undefined ? [] : [option]);
  assertEquals(inFiles.sort(), options.sort());
  const schema = z.toJSONSchema(configSchema(ANY_HOST), { io: "input" });
  const paths = CONFIG_OPTIONS.map(({ path }) => path).sort();
  assertEquals(leavesOf(schema).filter((path) => !NO_SETTINGS.includes(path)), paths);
});

/** Paths of a JSON Schema that hold no objects. */
function leavesOf(schema: z.core.JSONSchema.BaseSchema, above = ""): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const path = above === "" ? key : `${above}.${key}`;
    const isSetting = CONFIG_OPTIONS.some((one) => one.path === path);
    return typeof inner === "object" && inner.properties !== undefined && !isSetting
      ? leavesOf(inner, path)
      : [path];
  }).sort();
}
