import { assert, assertEquals, assertThrows } from "@std/assert";
import { helpText } from "../../cli/args.ts";
import { exitCodeOf, UsageError } from "../../cli/errors.ts";
import type { LimitHost } from "../../cli/limit_spec.ts";
import { parseDurationMs } from "../../cli/option_values.ts";
import { parseRunOptions } from "../../cli/run_options.ts";
import { RUN_COMMAND } from "../../cli/run_command.ts";

const HOST: LimitHost = {
  totalMemoryBytes: 2 ** 34,
  pageBytes: 4096,
  uidOf: (name) => name === "bob" ? 1001 : undefined,
};

Deno.test("parseRunOptions() has a default for everything", () => {
  assertEquals(parseRunOptions([], HOST), {
    limits: [],
    source: "auto",
    readerCount: 1,
    memberMask: 0b1110,
    creditsShares: true,
    victim: "largest",
    softDefault: { kind: "percent", percent: 90 },
    intervalMs: 1000,
    minAvailableBytes: 0,
    psi: true,
    dryRun: false,
    logFormat: "text",
    bufferKib: 4096,
    subbufKib: undefined,
    controlSocketPath: "/run/toom/control.sock",
    tmallocSocketPath: "/run/toom/tmalloc.sock",
    stateDirPath: "/var/lib/toom",
    subuidPath: "/etc/subuid",
    processesMax: 16384,
    usersMax: 4096,
    userProcessesMax: 4096,
    pathCpu: "auto",
    arms: true,
    kernelTrigger: true,
    debugFaults: false,
  });
});

Deno.test("parseRunOptions() reads every option and freezes the result", () => {
  const args = "--limit bob=1G --limit=2000-2999=64MiB,soft=32MiB --source raw --readers 64 " +
    "--count rss+sum --max-user-processes 32 --victim growing --soft 80% --interval 500ms --min-available 25% --dry-run " +
    "--log-format json --buffer-kib 16 --subbuf-kib 64 --control-socket /tmp/c " +
    "--tmalloc-socket none --state-dir /tmp/s --no-subuids --max-processes 64 --max-users 16 --cpu any --no-arm " +
    "--no-psi --debug-faults";
  const options = parseRunOptions(args.split(" "), HOST);
  assertEquals(options, {
    limits: [
      { uidFirst: 1001, uidLast: 1001, hardPages: 262144, softPages: 209715 },
      { uidFirst: 2000, uidLast: 2999, hardPages: 16384, softPages: 8192 },
    ],
    source: "raw",
    readerCount: 64,
    memberMask: 0b1011,
    creditsShares: false,
    victim: "growing",
    softDefault: { kind: "percent", percent: 80 },
    intervalMs: 500,
    minAvailableBytes: 2 ** 32,
    psi: false,
    dryRun: true,
    logFormat: "json",
    bufferKib: 16,
    subbufKib: 64,
    controlSocketPath: "/tmp/c",
    tmallocSocketPath: undefined,
    stateDirPath: "/tmp/s",
    subuidPath: undefined,
    processesMax: 64,
    usersMax: 16,
    userProcessesMax: 32,
    pathCpu: -1,
    arms: false,
    kernelTrigger: true,
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
    ["--limit", "bob=1G", "--soft", "2G"],
    ["--foo"],
    ["-v"],
    ["--no-dry-run"],
    ["--dry-run=true"],
    ["stray"],
    ["--", "stray"],
    ["--source", "csv"],
    ["--source", "raw", "--source", "text"],
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
