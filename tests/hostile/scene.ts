/**
 * A toom under attack: one user that means no good, one that keeps to its limit, one without a limit,
 * and the witness of tests/soak/truth.c beside them, which judges each kill by its own reading of /proc.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { hasFile, needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, ScratchProcess, Workload } from "../_support/workload.ts";

/** Keeps to its limit; the first uid that the witness watches. */
export const NEIGHBOUR_UID = 60019;
export const HOSTILE_UID = 60020;
/** Conspires with the first. */
export const SECOND_UID = 60021;
/** Has no limit. */
export const STRANGER_UID = 60022;
/** As in programs/common.h. */
export const HARD_MIB = 24;
export const MIB_PAGES = 256;
const MIB = 2 ** 20;
/** What `take` of programs/common.h makes at most, of a few processes at a time. */
const RATE_BYTES = 1000 * MIB;
const HOSTILE_POSSIBLE = E2E_POSSIBLE && hasFile("/usr/bin/cc");
const HOSTILE_NEEDS = `${E2E_NEEDS}, and a C compiler`;

/** Name and `ignore` of a hostile test. @param why What else is missing. */
export function hostile(name: string, why?: string): { name: string; ignore: boolean } {
  // On a busy machine some of them find that measuring, or a program of theirs, came late.
  if (!IS_CHAOS) return needing(false, "deno task chaos", name);
  if (!HOSTILE_POSSIBLE) return needing(false, HOSTILE_NEEDS, name);
  return needing(why === undefined, why ?? "", name);
}

/** Slow cases too, which `deno task chaos` asks for. */
export const IS_CHAOS = Deno.env.get("TOOM_CHAOS") !== undefined;
/** Where events come from: all of them take their time. */
export const SOURCES: readonly string[] = IS_CHAOS ? ["bpf", "raw", "text"] : ["auto"];

/** A kill that was wrong, as the witness has it. */
interface Finding {
  readonly kind: string;
  readonly pid: number;
}

/** Programs of tests/hostile, built into a folder that everybody can read. */
export class Programs implements AsyncDisposable {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(...sources: readonly string[]): Promise<Programs> {
    const programs = new Programs(await Deno.makeTempDir({ prefix: "toom-hostile-" }));
    await Deno.chmod(programs.dir, 0o755);
    for (const source of sources) await programs.compile(source);
    return programs;
  }

  /** @param source A file without its `.c`, from here. @returns The program's path. */
  async compile(source: string): Promise<string> {
    const path = this.path(source);
    const file = new URL(`${source}.c`, import.meta.url).pathname;
    const args = ["-O2", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", path, file];
    const { success, stderr } = await new Deno.Command("/usr/bin/cc", { args }).output();
    if (!success) throw new Error(`cannot compile ${file}: ${new TextDecoder().decode(stderr)}`);
    await Deno.chmod(path, 0o755);
    return path;
  }

  path(source: string): string {
    return `${this.dir}/${source.split("/").at(-1)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Numbers of the processes that a user has. */
export function processesOf(uid: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = Deno.readTextFileSync(`/proc/${name}/status`);
      if (Number(/^Uid:\t(\d+)/m.exec(status)![1]) === uid && !/^State:\t[ZX]/m.test(status)) {
        found.push(Number(name));
      }
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** Ends what is left of a user. */
export async function endAll(uid: number): Promise<void> {
  await waitUntil(() => {
    const left = processesOf(uid);
    for (const pid of left) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    return left.length === 0;
  }, `all of uid ${uid} have ended`);
}

/** How many descriptors a process has open. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

function residentMib(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
}

export class Scene implements AsyncDisposable {
  readonly toom: Toom;
  readonly programs: Programs;
  private readonly neighbour: Workload;
  private readonly stranger: Workload;
  private readonly witness: Deno.ChildProcess;
  private readonly told: Promise<Deno.CommandOutput>;
  private descriptors = 0;
  private residentMib = 0;
  private isOver = false;
  /** Victims that took more than the witness can follow. */
  private readonly tooFast = new Set<number>();

  private constructor(
    programs: Programs,
    toom: Toom,
    [neighbour, stranger]: [Workload, Workload],
    witness: Deno.ChildProcess,
  ) {
    this.programs = programs;
    this.toom = toom;
    this.neighbour = neighbour;
    this.stranger = stranger;
    this.witness = witness;
    this.told = witness.output();
  }

  /** @param args More options of toom run. */
  static async start(sources: readonly string[], ...args: readonly string[]): Promise<Scene> {
    const programs = await Programs.make(...sources, "../soak/truth");
    const logPath = `${programs.dir}/log`;
    await Deno.writeTextFile(logPath, "");
    const limits = [NEIGHBOUR_UID, HOSTILE_UID, SECOND_UID]
      .map((uid) => `--limit=${uid}=${HARD_MIB}MiB`);
    const toom = await Toom.start([...limits, "--no-psi", ...args], { logPath });
    const neighbour = await new Workload(NEIGHBOUR_UID, "hold", 12).until("held");
    const stranger = await new Workload(STRANGER_UID, "hold", 40).until("held");
    const witness = new Deno.Command(programs.path("truth"), {
      args: [logPath, NEIGHBOUR_UID, SECOND_UID, HARD_MIB * MIB, RATE_BYTES, NEIGHBOUR_UID]
        .map(String),
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const scene = new Scene(programs, toom, [neighbour, stranger], witness);
    scene.descriptors = descriptorsOf(toom.pid);
    scene.residentMib = residentMib(toom.pid);
    return scene;
  }

  /** Starts a program and lets it attack. */
  async attack(program: string, ...args: readonly (string | number)[]): Promise<ScratchProcess> {
    return await this.attackAs(HOSTILE_UID, program, ...args);
  }

  async attackAs(
    uid: number,
    program: string,
    ...args: readonly (string | number)[]
  ): Promise<ScratchProcess> {
    const attack = new ScratchProcess(uid, this.programs.path(program), args.map(String), {});
    await attack.until("here");
    return await attack.go();
  }

  /** Kills of a user, by pid. */
  killed(uid = HOSTILE_UID): number[] {
    return this.toom.of("kill").filter((line) => line["uid"] === uid)
      .map((line) => Number(line["pid"]));
  }

  /** Waits until toom has killed somebody of the user beyond those that were known. */
  async untilKilled(before: number, uid = HOSTILE_UID, timeoutMs = 10_000): Promise<number> {
    await waitUntil(() => this.killed(uid).length > before, `somebody of ${uid} dies`, timeoutMs);
    return this.killed(uid)[before]!;
  }

  /** The user holds what it may, and does so for a while. */
  async assertEnforced(uid = HOSTILE_UID, timeoutMs = 5000): Promise<void> {
    await waitUntil(
      () => heldPages(uid) <= HARD_MIB * MIB_PAGES,
      `uid ${uid} holds at most ${HARD_MIB} MiB`,
      timeoutMs,
    );
  }

  /** Nobody else has suffered, toom is whole, and nothing has grown. */
  async assertUnharmed(): Promise<void> {
    const { toom } = this;
    const foreign = toom.of("kill").filter(({ uid }) => uid !== HOSTILE_UID && uid !== SECOND_UID);
    assertEquals(foreign, [], "nobody else's process is killed");
    assert(this.neighbour.alive && this.stranger.alive, "neighbour and stranger live");
    assertEquals(toom.errors, []);
    assertEquals(toom.of("worker-restart"), []);
    assertEquals(toom.of("restart"), []);
    const { descriptors } = this;
    await waitUntil(() => descriptorsOf(toom.pid) <= descriptors + 4, "toom closes descriptors");
    const grownMib = residentMib(toom.pid) - this.residentMib;
    assert(grownMib < 64, `toom has grown by ${grownMib} MiB`);
  }

  /** Who was killed since `before` takes memory at once: the witness cannot say what it had. */
  async excuse(before: number): Promise<void> {
    await pass(100);
    for (const pid of this.killed().slice(before)) this.tooFast.add(pid);
  }

  /** Ends it. @returns What the witness finds wrong with kills. */
  async end(): Promise<readonly Finding[]> {
    this.isOver = true;
    await endAll(HOSTILE_UID);
    await endAll(SECOND_UID);
    await this.witness.stdin.close();
    const { stdout } = await this.told;
    for (const own of [this.neighbour, this.stranger]) await own[Symbol.asyncDispose]();
    await this.toom[Symbol.asyncDispose]();
    await this.programs[Symbol.asyncDispose]();
    const findings: Finding[] = JSON.parse(new TextDecoder().decode(stdout)).findings;
    return findings.filter(({ kind, pid }) => kind !== "not-over" || !this.tooFast.has(pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isOver) await this.end();
  }
}

/** What the processes of a user hold, each page divided by those who map it (PSS), pages. */
export function heldPages(uid: number): number {
  let kib = 0;
  for (const pid of processesOf(uid)) {
    try {
      const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
      const of = (key: string): number =>
        Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);
      kib += of("Pss_Anon") + of("Pss_Shmem") + of("SwapPss") - of("LazyFree");
    } catch {
      // It has ended, or its memory has.
    }
  }
  return kib / 4;
}

/** Passes some time. */
export async function pass(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
