/**
 * The witness, truth.c, as a process of its own beside the toom that it judges.
 *
 * @module
 */
import { FIRST_UID, GOOD_LAST_UID, HARD_BYTES, LIMITED_LAST_UID, RATE_BYTES } from "./crowd.ts";

/** A time for which a user was over its limit in each sample of the witness. */
export interface OverEpisode {
  readonly uid: number;
  readonly atMs: number;
  readonly lastsMs: number;
  /** Kills of its user in that time, and when the last was sent; without any, its whole time. */
  readonly kills: number;
  readonly untilKillMs: number;
  /** Whether one of them was for what no event tells: copies after a fork, shares. */
  readonly isMeasured: boolean;
  /** The most beyond its limit. */
  readonly peakBytes: number;
}

export type Percentiles = Readonly<Record<"kills" | "p50" | "p90" | "p99" | "p999", number>>;

/** What it has seen; what each count is, says truth.c. */
export interface Verdict {
  readonly kills: number;
  readonly wrong: number;
  readonly foreign: number;
  readonly needlessSecond: number;
  readonly undecided: number;
  readonly longestOverMs: number;
  readonly longestOver: readonly OverEpisode[];
  /** Of all kills: how long the victim's user was over its limit, until memory had come back. */
  readonly overMs: Percentiles;
  /** And until the last signal that it took. */
  readonly untilKillMs: Percentiles;
  /** That of users who got there by what no event tells. */
  readonly untilMeasuredKillMs: Percentiles;
  /** Beyond HARD_BYTES, it is the churn that is wrong, or its witness. */
  readonly goodMostBytes: number;
  readonly findings: readonly unknown[];
}

/** Builds the C programs of the churn into a folder. */
export async function buildPrograms(dir: string): Promise<void> {
  for (const path of ["./truth", "./churn_worker", "../_support/stop_thread"]) {
    const name = path.split("/").at(-1)!;
    const source = new URL(`${path}.c`, import.meta.url).pathname;
    const args = ["-O2", "-pthread", "-o", `${dir}/${name}`, source];
    const { success, stderr } = await new Deno.Command("cc", { args }).output();
    if (!success) throw new Error(`cannot compile ${name}.c: ${new TextDecoder().decode(stderr)}`);
    await Deno.chmod(`${dir}/${name}`, 0o755);
  }
}

export class Witness {
  private readonly child: Deno.ChildProcess;
  private readonly told: Promise<Deno.CommandOutput>;

  /**
   * @param dir Where {@link buildPrograms} has put it.
   * @param logPath Log of the toom, which it reads as it grows.
   */
  constructor(dir: string, logPath: string) {
    this.child = new Deno.Command(`${dir}/truth`, {
      args: [
        logPath,
        `${FIRST_UID}`,
        `${LIMITED_LAST_UID}`,
        `${HARD_BYTES}`,
        `${RATE_BYTES}`,
        `${GOOD_LAST_UID}`,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.told = this.child.output();
  }

  /** Ends it. */
  async verdict(): Promise<Verdict> {
    await this.child.stdin.close();
    return JSON.parse(new TextDecoder().decode((await this.told).stdout));
  }
}
