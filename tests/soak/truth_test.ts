/** The witness of the churn, by itself: logs that are right, and logs that are not. */
import { assert, assertEquals } from "@std/assert";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const GOOD_UID = 60343;
const UID = 60344;
const MIB = 2 ** 20;
const HARD_BYTES = 48 * MIB;
const RATE_BYTES = 150 * MIB;
const POSSIBLE = E2E_POSSIBLE && hasFile("/usr/bin/cc");

interface Report {
  readonly kills: number;
  readonly wrong: number;
  readonly foreign: number;
  readonly needlessSecond: number;
  readonly undecided: number;
  readonly unseenVictims: number;
  readonly longestOverMs: number;
  readonly longestOverUid: number;
  readonly overMs: { readonly p50: number; readonly p999: number };
  readonly longestOver: { readonly uid: number; readonly lastsMs: number }[];
  readonly goodMostBytes: number;
  readonly findings: { readonly kind: string; readonly uid: number; readonly pid: number }[];
}

/** A witness and the log that it reads, which the test writes. */
class Witness {
  private readonly dir: string;
  private readonly child: Deno.ChildProcess;

  private constructor(dir: string) {
    this.dir = dir;
    const numbers = [GOOD_UID, UID, HARD_BYTES, RATE_BYTES, GOOD_UID].map(String);
    this.child = new Deno.Command(`${dir}/truth`, {
      args: [`${dir}/log`, ...numbers],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
  }

  static async start(): Promise<Witness> {
    const dir = await Deno.makeTempDir();
    const source = new URL("./truth.c", import.meta.url).pathname;
    const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", `${dir}/truth`, source];
    const { success, stderr } = await new Deno.Command("cc", { args }).output();
    assert(success, new TextDecoder().decode(stderr));
    await Deno.writeTextFile(`${dir}/log`, "");
    return new Witness(dir);
  }

  async kill(uid: number, pid: number, trigger = "user"): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const line = { ts: new Date().toISOString(), event: "kill", uid, pid, usagePages: 1, trigger };
    await Deno.writeTextFile(`${this.dir}/log`, `${JSON.stringify(line)}\n`, { append: true });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async report(): Promise<Report> {
    await this.child.stdin.close();
    const { stdout } = await this.child.output();
    await Deno.remove(this.dir, { recursive: true });
    return JSON.parse(new TextDecoder().decode(stdout));
  }
}

Deno.test({
  ...needing(
    POSSIBLE,
    "root, python3 and a C compiler",
    "the witness tells right kills from wrong",
  ),
  fn: async () => {
    const witness = await Witness.start();
    await using over = new Workload(UID, "hold", 60);
    await over.until("held");
    await witness.kill(UID, over.pid);
    // It is dying, as the witness must believe: what is left is far below the limit.
    await using rest = new Workload(UID, "hold", 10);
    await rest.until("held");
    await witness.kill(UID, rest.pid);
    await using good = new Workload(GOOD_UID, "hold", 10);
    await good.until("held");
    await witness.kill(GOOD_UID, good.pid);
    await witness.kill(UID, good.pid);
    const report = await witness.report();
    assertEquals(report.findings.map(({ kind, pid }) => [kind, pid]), [
      ["needless-second", rest.pid],
      ["well-behaved", good.pid],
      ["another-users", good.pid],
    ]);
    const { kills, wrong, foreign, needlessSecond, undecided, unseenVictims } = report;
    assertEquals([kills, wrong, foreign, needlessSecond], [4, 1, 1, 1]);
    assertEquals([undecided, unseenVictims], [0, 0]);
    assertEquals(report.longestOverUid, UID);
    assert(report.longestOverMs > 300, `${report.longestOverMs} ms`);
    // Of four kills one was of somebody who was seen above its limit.
    const [longest] = report.longestOver;
    assertEquals([longest?.uid, report.overMs.p50], [UID, 0]);
    assert(longest!.lastsMs > 300 && report.overMs.p999 === longest!.lastsMs);
  },
});

Deno.test({
  ...needing(POSSIBLE, "root, python3 and a C compiler", "the witness counts shared memory once"),
  fn: async () => {
    const witness = await Witness.start();
    await using family = new Workload(UID, "fork-hold", 8);
    await family.until("held");
    await witness.kill(UID, family.pid);
    const report = await witness.report();
    assertEquals(report.findings.map(({ kind }) => kind), ["not-over"]);
    assertEquals([report.wrong, report.longestOverMs], [1, 0]);
  },
});

Deno.test({
  ...needing(
    POSSIBLE,
    "root, python3 and a C compiler",
    "the witness: who runs on the memory of a dying process holds it",
  ),
  fn: async () => {
    const witness = await Witness.start();
    await using over = await new Workload(UID, "crowd", 1, 60).until("here");
    await over.go();
    await over.until("held");
    await witness.kill(UID, over.pid);
    const sharer = over.numbers("sharer")[0]!;
    await witness.kill(UID, sharer);
    Deno.kill(sharer, "SIGKILL");
    const report = await witness.report();
    assertEquals([report.kills, report.needlessSecond], [2, 0]);
  },
});
