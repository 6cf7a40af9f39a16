import { assertEquals } from "@std/assert";
import { LimitRules, RulesFullError } from "../../../pipeline/limits/limits.ts";
import { Journal } from "../../../service/journal/journal.ts";
import { Member } from "../../../pipeline/memory/layout.ts";
import { CONFIG_OPTIONS } from "../../../service/config/options.ts";
import { Reloader } from "../../../service/reloader.ts";
import type { SupervisorOptions } from "../../../service/lifecycle/options.ts";
import { reloadOptions } from "../../../service/lifecycle/reload.ts";
import type { LoadedOptions } from "../../../service/lifecycle/start_over.ts";

const RUNNING: SupervisorOptions = {
  version: "0.1.0",
  limits: [],
  config: {
    files: ["/etc/toom/config.jsonc"],
    settings: CONFIG_OPTIONS.map(({ path }) => ({ path, value: "old", from: "default" })),
    limits: [],
    rules: [],
  },
  logFormat: "text",
  source: "auto",
  readerCount: 1,
  memberMask: 1 << Member.anon,
  creditsShares: false,
  memberNames: "anon+sum",
  victim: "largest",
  victimRules: [],
  defaultRules: true,
  softDefault: { kind: "percent", percent: 90 },
  intervalMs: 1000,
  brake: "off",
  terminals: "kills",
  mail: undefined,
  webhook: undefined,
  hookBefore: undefined,
  hookAfter: undefined,
  hookSoft: undefined,
  readGroup: undefined,
  historyPath: undefined,
  recordSeconds: 0,
  recordFiles: 20,
  metricsAddress: undefined,
  webAddress: undefined,
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
  arms: true,
  kernelTrigger: true,
  bufferKib: 4096,
  subbufKib: undefined,
  controlSocketPath: "/run/toom/control.sock",
  tmallocSocketPath: "/run/toom/tmalloc.sock",
  stateDirPath: "/var/lib/toom",
  subuidPath: "/etc/subuid",
  processesMax: 100,
  usersMax: 64,
  userProcessesMax: 25,
  debugFaults: false,
  pathCpu: "auto",
  pageBytes: 4096,
};

const HOOK = {
  command: ["/bin/true"],
  account: { name: "nobody", uid: 65534, gid: 65534 },
  timeoutMs: 200,
  atOnce: 4,
};

/** All that a file can change, changed. */
const OTHER: SupervisorOptions = {
  ...RUNNING,
  limits: [{
    uidFirst: 7,
    uidLast: 7,
    hardPages: 100,
    softPages: 90,
    origin: "config",
    subject: "bob",
    place: "a:1",
  }],
  config: {
    files: ["/etc/toom/config.jsonc", "/etc/toom/config.d/1.jsonc"],
    settings: CONFIG_OPTIONS.map(({ path }) => ({ path, value: "new", from: "a:1" })),
    limits: [],
    rules: [],
  },
  logFormat: "json",
  source: "raw",
  readerCount: 2,
  memberMask: 1 << Member.anon | 1 << Member.file,
  creditsShares: true,
  memberNames: "anon+file",
  victim: "newest",
  victimRules: [{
    match: { command: { equals: "x" } },
    effect: "avoid",
    weight: 1,
    place: "a:2",
    text: 'command: "x"',
  }],
  defaultRules: false,
  softDefault: { kind: "bytes", bytes: 4096 },
  intervalMs: 500,
  brake: "growers",
  terminals: "off",
  mail: {
    to: ["root"],
    from: "toom",
    subject: undefined,
    body: undefined,
    command: ["/usr/sbin/sendmail"],
    account: { name: "root", uid: 0, gid: 0 },
    everyMs: 0,
    events: ["kill"],
  },
  webhook: { url: "http://localhost/", timeoutMs: 1000, attempts: 1, events: ["kill"] },
  hookBefore: HOOK,
  hookAfter: HOOK,
  hookSoft: HOOK,
  readGroup: { name: "toom", gid: 7 },
  historyPath: "/h",
  recordSeconds: 10,
  recordFiles: 3,
  metricsAddress: { hostname: "127.0.0.1", port: 9184 },
  webAddress: { kind: "unix", path: "/w" },
  lowerGraceMs: 1,
  killSignal: 15,
  killGraceMs: 1000,
  killCeilingPermille: 1100,
  killUnit: "group",
  stormKills: 3,
  stormSeconds: 4,
  stormThen: "parent",
  minAvailableBytes: 2 ** 30,
  psi: false,
  machineVictim: "largest",
  dryRun: true,
  arms: false,
  kernelTrigger: false,
  bufferKib: 64,
  subbufKib: 8,
  controlSocketPath: "/c",
  tmallocSocketPath: undefined,
  stateDirPath: "/s",
  subuidPath: undefined,
  processesMax: 1000,
  usersMax: 128,
  userProcessesMax: 250,
  pathCpu: 1,
};

Deno.test("reloadOptions() changes what can change, and names each setting that needs a restart", () => {
  const { options, changed, restart } = reloadOptions(RUNNING, OTHER);
  const named = (lines: readonly string[]): string[] =>
    lines.map((line) => line.split(":")[0]!).sort();
  const paths = (reloads: boolean): string[] =>
    CONFIG_OPTIONS.filter((one) => one.reloads === reloads).map(({ path }) => path).sort();
  assertEquals(named(changed), [...paths(true), "rules"].sort());
  assertEquals(named(restart), paths(false));
  assertEquals(changed[0], "soft: new (was old)");
  assertEquals(restart[0], "count: new (runs with old)");
  const { limits, victim, softDefault, intervalMs, minAvailableBytes } = OTHER;
  assertEquals(options, {
    ...RUNNING,
    ...{ limits, victim, softDefault, intervalMs, minAvailableBytes },
    victimRules: OTHER.victimRules,
    defaultRules: false,
    ...{
      brake: OTHER.brake,
      terminals: OTHER.terminals,
      mail: OTHER.mail,
      webhook: OTHER.webhook,
      hookBefore: OTHER.hookBefore,
      hookAfter: OTHER.hookAfter,
      hookSoft: OTHER.hookSoft,
      readGroup: OTHER.readGroup,
      psi: false,
      machineVictim: "largest",
      lowerGraceMs: 1,
      killSignal: 15,
      killGraceMs: 1000,
      killCeilingPermille: 1100,
      killUnit: "group",
      stormKills: 3,
      stormSeconds: 4,
      stormThen: "parent",
      dryRun: true,
      arms: false,
      kernelTrigger: false,
    },
    // The table is as large as it was.
    userProcessesMax: 100,
    config: {
      files: OTHER.config.files,
      limits: [],
      rules: [],
      settings: CONFIG_OPTIONS.map(({ path, reloads }) => ({
        path,
        value: reloads ? "new" : "old",
        from: reloads ? "a:1" : "default",
      })),
    },
  });
});

Deno.test("reloadOptions() says nothing of what is written otherwise and means the same", () => {
  const settings = RUNNING.config.settings.map((one) => ({ ...one, value: "same", from: "a:9" }));
  const { changed, restart } = reloadOptions(RUNNING, {
    ...RUNNING,
    config: { ...RUNNING.config, settings },
  });
  assertEquals([changed, restart], [[], []]);
});

interface Stage {
  readonly reloader: Reloader;
  readonly messages: string[];
  readonly running: () => SupervisorOptions;
  readonly rules: LimitRules;
  /** Rules about who dies, how many each time. */
  readonly rulesPut: readonly number[];
}

function stage(...loads: (LoadedOptions | Error)[]): Stage {
  const messages: string[] = [];
  const journal = new Journal({ nowNs: () => 1, now: () => new Date(0) });
  journal.subscribe({
    name: "test",
    take: ({ event }) => void (event.event === "config" && messages.push(event.message)),
  });
  let running = RUNNING;
  const rulesPut: number[] = [];
  const rules = new LimitRules();
  const reloader = new Reloader({
    journal,
    victimRules: { put: ({ victimRules }) => void (rulesPut.push(victimRules.length)) },
    limits: {
      reload: (base) => {
        if (base.length > 1) throw new RulesFullError("Cannot set a limit: no room");
        for (const rule of base) rules.set(rule);
        return { set: base.length, cleared: 0 };
      },
    },
    loadOptions: () => {
      const load = loads.shift()!;
      return load instanceof Error ? Promise.reject(load) : Promise.resolve(load);
    },
    running: () => running,
    put: (options) => void (running = options),
    isClosed: () => false,
  });
  return { reloader, messages, running: () => running, rules, rulesPut };
}

Deno.test("a reload is in force at once, and is told in the answer and in the log", async () => {
  const { reloader, messages, running, rules } = stage({ options: OTHER }, { options: OTHER });
  const answer = await reloader.reload(false);
  assertEquals([answer.reloaded, answer.limitsSet, answer.problems], [true, 1, []]);
  assertEquals([running().victim, running().readerCount, rules.count], ["newest", 1, 1]);
  assertEquals(messages.length, 1);
  assertEquals(messages[0]!.includes("tracing.readers: new (runs with old) needs a restart"), true);
  // What needs a restart still does.
  assertEquals((await reloader.reload(false)).restart, answer.restart);
});

Deno.test("a reload of files that are refused changes nothing, and all problems are told", async () => {
  const problems = Array.from({ length: 25 }, (_, index) => `a:${index}:1: expected x`);
  const full: SupervisorOptions = {
    ...OTHER,
    limits: [...OTHER.limits, { ...OTHER.limits[0]!, uidFirst: 8, uidLast: 8 }],
  };
  const { reloader, messages, running, rules } = stage(
    { problems },
    new Error("the disk is gone"),
    { options: full },
    { options: OTHER },
  );
  const answers = await Promise.all([
    reloader.reload(false),
    reloader.reload(false),
    reloader.reload(false),
  ]);
  assertEquals(answers.map(({ reloaded }) => reloaded), [false, false, false]);
  assertEquals(answers.map((one) => one.problems), [
    problems,
    ["the disk is gone"],
    ["Cannot set a limit: no room"],
  ]);
  assertEquals([running() === RUNNING, rules.count], [true, 0]);
  assertEquals(messages.length, 20 + 1 + 1 + 1);
  assertEquals(messages[0], "not reloaded: a:0:1: expected x");
  assertEquals(messages[20], "not reloaded: 5 more problems");
  // The next one is as good as ever.
  assertEquals((await reloader.reload(false)).reloaded, true);
});
