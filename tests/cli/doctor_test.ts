import { assert, assertEquals, assertMatch } from "@std/assert";
import { z } from "zod";
import { doctorCommand } from "../../cli/doctor.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { canRunToom, runToomAs } from "../_support/other_user.ts";
import { hasTracefs, isRoot, needing } from "../_support/real_kernel.ts";

const STRANGER_UID = 60050;

const ReportSchema = z.strictObject({
  ok: z.boolean(),
  checks: z.array(z.strictObject({
    name: z.string().regex(/^[a-z_-]+$/),
    status: z.enum(["ok", "missing", "optional"]),
    detail: z.string().min(1),
    mend: z.string().min(1).nullable(),
  })),
  notes: z.array(z.string()),
});
type Report = z.infer<typeof ReportSchema>;

const CHECKS = [
  "ffi",
  "root",
  "capabilities",
  "proc",
  "tracefs",
  "rss_stat",
  "life-cycle",
  "instance",
  "sentinel",
  "pid-filter",
  "raw-pages",
  "mm-ids",
  "event-fork",
  "kernel-books",
  "kernel-kills",
  "pidfd",
  "process_mrelease",
  "oom_score_adj",
  "memory-lock",
  "sched-fifo",
  "psi",
  "uid-events",
  "brake",
];

async function run(...args: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await doctorCommand(args, {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
  });
  return { code, out, err };
}

function read(json: string): Report {
  const report = ReportSchema.parse(JSON.parse(json));
  assertEquals(report.checks.map(({ name }) => name), CHECKS);
  for (const { status, mend } of report.checks) assertEquals(mend === null, status === "ok");
  assertEquals(report.ok, report.checks.every(({ status }) => status !== "missing"));
  return report;
}

function statusOf({ checks }: Report, name: string): string {
  return checks.find((check) => check.name === name)!.status;
}

/** Instances that a doctor has left. */
function leftovers(): string[] {
  return Array.from(Deno.readDirSync(`${findTracefs()}/instances`), ({ name }) => name)
    .filter((name) => name.startsWith("toom-") && name.endsWith("-doctor"));
}

/** What doctor tries to change of its own process, and must put back. */
function ownState(): string[] {
  const stat = Deno.readTextFileSync("/proc/thread-self/stat");
  return [
    Deno.readTextFileSync("/proc/self/oom_score_adj"),
    /^VmLck:.*$/m.exec(Deno.readTextFileSync("/proc/self/status"))![0],
    // Priority, niceness; real-time priority and policy.
    ...stat.slice(stat.lastIndexOf(")") + 2).split(" ").filter((_, i) =>
      [15, 16, 37, 38].includes(i)
    ),
  ];
}

Deno.test({
  ...needing(hasTracefs(), "root and tracefs", "doctor finds all in order as root"),
  fn: async () => {
    const before = ownState();
    const { code, out, err } = await run("--json");
    assertEquals([err, out.length], [[], 1]);
    const report = read(out[0]!);
    assertEquals(report.checks.filter(({ status }) => status === "missing"), []);
    assertEquals([code, report.ok], [0, true]);
    assertEquals(ownState(), before);
    assertEquals(leftovers(), []);
  },
});

Deno.test({
  ...needing(hasTracefs(), "root and tracefs", "doctor is legible, and can be called again"),
  fn: async () => {
    for (let times = 0; times < 2; times++) {
      const { code, out } = await run();
      assertEquals(code, 0, out.join("\n"));
      assertMatch(out[0]!, /^ok +ffi +libc opened/);
      assertEquals(out.at(-1), "toom can run here");
      assertEquals(leftovers(), []);
    }
  },
});

Deno.test({
  ...needing(
    isRoot() && canRunToom(STRANGER_UID),
    "root, and a checkout that others can read",
    "doctor says to others what is missing, with the mend",
  ),
  fn: async () => {
    const { code, out, err } = await runToomAs(STRANGER_UID, ["doctor", "--json"]);
    assertEquals([code, err], [3, ""]);
    const report = read(out);
    for (const name of ["root", "capabilities", "tracefs"]) {
      assertEquals(statusOf(report, name), "missing", name);
    }
    assertEquals(statusOf(report, "ffi"), "ok");
    assertEquals(statusOf(report, "pidfd"), "ok");
    const root = report.checks.find(({ name }) => name === "root")!;
    assertMatch(root.detail, /^uid 60050: /);
    assertMatch(root.mend!, /run as root/);
    const text = await runToomAs(STRANGER_UID, ["doctor"]);
    assertEquals(text.code, 3);
    assertMatch(text.out, /^missing +root .*\n +mend: run as root/m);
    assertMatch(text.out, /\ntoom cannot run here: \d+ missing\n$/);
    if (hasTracefs()) assertEquals(leftovers(), []);
  },
});

Deno.test("doctor finds out that it may not call foreign functions", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--cached-only",
      "--allow-read",
      "mod.ts",
      "doctor",
      "--json",
    ],
    cwd: new URL("../../", import.meta.url).pathname,
    stdin: "null",
  });
  const { code, stdout, stderr } = await child.output();
  assertEquals([code, new TextDecoder().decode(stderr)], [3, ""]);
  const report = read(new TextDecoder().decode(stdout));
  const ffi = report.checks[0]!;
  assertEquals([ffi.status, ffi.mend], ["missing", "give Deno its permissions: deno run -A"]);
  assert(report.checks.every(({ status }) => status !== "ok"));
});

Deno.test({
  ...needing(hasTracefs(), "root and tracefs", "doctor removes its instance when a try fails"),
  fn: async () => {
    const original = Deno.Command;
    Deno.Command = class {
      constructor() {
        throw new Deno.errors.NotCapable("no child for you");
      }
    } as unknown as typeof Deno.Command;
    try {
      const { code, out, err } = await run("--json");
      assertEquals([code, err], [3, []]);
      const report = read(out[0]!);
      const missing = report.checks.filter(({ status }) => status === "missing");
      assertEquals(missing.map(({ name, detail }) => [name, detail]), [
        ["event-fork", "no child for you"],
      ]);
      assertEquals(missing[0]!.mend, "give Deno its permissions: deno run -A");
    } finally {
      Deno.Command = original;
    }
    assertEquals(leftovers(), []);
  },
});

Deno.test("doctor refuses what it does not know", async () => {
  for (const args of [["--wat"], ["x"], ["--json=1"]]) {
    const { code, out, err } = await run(...args);
    assertEquals([code, out, err.length], [2, [], 1]);
  }
  const { code, out } = await run("--help");
  assertEquals(code, 0);
  assertMatch(out.join("\n"), /^Usage: toom doctor/m);
});
