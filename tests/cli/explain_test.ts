import { assert, assertEquals } from "@std/assert";
import { explainCommand, type ExplainDependencies } from "../../cli/explain.ts";
import { explanationLines } from "../../cli/explain_text.ts";
import type { Users } from "../../cli/users.ts";
import type { Explanation } from "../../service/control/control_api.ts";
import { FAKE_EXPLANATION, withControl } from "../_support/fake_control.ts";

const USERS: Users = {
  uidOf: (name) => name === "bob" ? 60001 : undefined,
  nameOf: () => undefined,
};

async function run(
  args: string[],
  dependencies: ExplainDependencies = {},
): Promise<{ code: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  const code = await explainCommand(args, io, { users: USERS, isTerminal: false, ...dependencies });
  return { code, out, err };
}

function text(change: Partial<Explanation>, user: Partial<Explanation["user"]> = {}): string {
  const told = { ...FAKE_EXPLANATION, ...change };
  return explanationLines({ ...told, user: told.user && { ...told.user, ...user } }).join("\n");
}

Deno.test("toom explain tells in sentences with the numbers", async () => {
  await withControl(async ({ socketPath, backend }) => {
    const socket = `--control-socket=${socketPath}`;
    const { code, out, err } = await run(["bob", socket]);
    assertEquals([code, err, out.length], [0, [], 1]);
    assertEquals(
      out[0]!.split("\n"),
      [
        "uid 60001 may use 64.0 MiB; from 57.6 MiB on (soft) toom makes ready. That is the limit " +
        "60001 by toom run --limit.",
        "It uses 32.0 MiB: 36.0 MiB of anon+swap+shmem in 3 processes, 4.0 MiB of that is shared, or " +
        "can be taken back by the kernel; mapped files and page cache do not count. tmalloc has " +
        "promised 1.0 MiB more. At most it has used 62.5 MiB.",
        "That is 50 % of the limit: 25.6 MiB below soft, 32.0 MiB below hard.",
        "It grows by 1.0 MiB/s: soft in 25 s, hard in 32 s at this pace.",
        "Nobody is killed now, because usage is not above hard.",
        'If it were over its limit now, pid 4101 ("python3") would be killed, because its end gives ' +
        "back most (--victim largest); 20.0 MiB would come back. That is done by a program in the " +
        "kernel, within the page fault.",
        'Protected: pid 4102 ("sshd") by an oom_score_adj of -1000, with 12.0 MiB.',
        "Trust: its books are exact.",
        "It is near; somebody is near, so each page is booked, for 12 s. So far 4 looks took 2 ms.",
        "It used 32.0 MiB 0.4 s ago, 31.0 MiB 1.4 s ago.",
        "",
        " PID  COMMAND   COUNTED  GIVES BACK     GROWTH  OOM_SCORE_ADJ  FATE       RULE",
        "4101  python3  24.0 MiB    20.0 MiB  1.0 MiB/s              0  next       -",
        "4102  sshd     12.0 MiB    12.0 MiB          -          -1000  protected  -",
      ].map((line) => line.replace(/^PID {3}/, " PID  ")),
    );
    assertEquals(backend.explained, [60001]);
    const json = await run(["60001", "--json", socket]);
    assertEquals(JSON.parse(json.out[0]!), FAKE_EXPLANATION);
  });
});

Deno.test("toom explain tells what is missing, in doubt, beyond, and of others", () => {
  const over = { usagePages: 20000, state: "hard" as const };
  assert(text({ unmet: [] }, over).includes("14.1 MiB above hard.\n"));
  assert(text({ unmet: [] }, over).includes("A kill is due now.\nNext, pid 4101"));
  const words = [
    ["dying-suffice", "come back with those that are dying"],
    ["in-doubt", "are read before anybody is signalled"],
    ["no-candidate", "None of its processes may be killed"],
    [
      "protected-hold-it",
      "protected processes have 12.0 MiB, and the ends of all others give back 20",
    ],
    ["has-grace", "has 2.5 s left, unless usage passes"],
    ["dry-run", "this is a dry run"],
  ] as const;
  for (const [unmet, part] of words) {
    assert(text({ unmet: [unmet], graceSeconds: 2.5 }).includes(part), unmet);
  }
  const plan = { signal: "SIGTERM", graceMs: 5000, ceilingPercent: 110, unit: "scope" } as const;
  const planned = text({ plan, storm: { kills: 20, seconds: 10, then: "parent" } });
  for (const part of ["by SIGTERM; SIGKILL comes after 5 s", "in its cgroup", "the parent of"]) {
    assert(planned.includes(part), part);
  }
  const plain = text({
    plan: { signal: "SIGKILL", unit: "process" },
    storm: { kills: 20, then: "off" },
  });
  assert(!/SIGKILL|cgroup|parent/.test(plain));
  assert(text({}, { inDoubt: true }).includes("Trust: in doubt"));
  assert(text({}, { growthPagesPerSecond: 0 }).includes("It does not grow."));
  assert(text({}, { growthPagesPerSecond: -256 }).includes("It shrinks by 1.0 MiB/s."));
  assert(
    text({ near: { ...FAKE_EXPLANATION.near!, isNear: false } }).includes("pages cost nothing"),
  );
  assert(text({ user: null }).includes("uid 60001 has no limit: nobody of it is killed."));
  assert(text({ uid: 100_000 }).startsWith("uid 100000 is subordinate to uid 60001"));
  assert(text({ counted: "anon+sum" }).includes("a page counts in each process that maps it"));
  const volunteer = { ...FAKE_EXPLANATION.processes[0]!, oomScoreAdj: 700 };
  assert(text({ processes: [volunteer] }).includes("it has volunteered (oom_score_adj 700)"));
  assert(text({ kernelTrigger: false }).includes("by toom, when it has read the event"));
});

Deno.test("hostile names stay on their line", () => {
  const comm = "a\u001b[2J\nTrust: fine";
  const process = { ...FAKE_EXPLANATION.processes[0]!, comm };
  const lines = text({ processes: [process, { ...process, fate: "protected" }] }, { user: comm });
  assertEquals(lines.split("\n").filter((line) => line.startsWith("Trust")).length, 1);
  assert(!lines.includes("\u001b"), lines);
});

Deno.test("toom explain --watch tells it anew, on a screen from the top", async () => {
  await withControl(async ({ socketPath }) => {
    const socket = `--control-socket=${socketPath}`;
    let turns = 0;
    const next = (): Promise<boolean> => Promise.resolve(++turns < 3);
    const plain = await run(["60001", "--watch", socket], { next });
    assertEquals([plain.code, plain.out.length], [0, 6]);
    turns = 0;
    const screen = await run(["60001", "--watch", socket], { next, isTerminal: true });
    assertEquals(screen.out.map((frame) => frame.slice(0, 6)), Array(3).fill("\u001b[H\u001b[J"));
    turns = 0;
    const json = await run(["60001", "--watch", "--json", socket], { next, isTerminal: true });
    assertEquals(json.out.map((line) => JSON.parse(line).uid), [60001, 60001, 60001]);
  });
});

Deno.test("toom explain answers wrong uses with one line", async () => {
  for (const args of [[], ["bob", "ann"], ["nobody-here"], ["1000-2000"], ["bob", "--csv"]]) {
    const { code, out, err } = await run(args);
    assertEquals([code, out.length, err.length], [2, 0, 1], args.join(" "));
  }
});
