/**
 * Everybody who can end a hog, behind one face: started, and told where its line is.
 *
 * Rivals that act on the machine's memory run as the hogs' user, so that they can end nobody else.
 *
 * @module
 */
import { readMemInfo } from "../../kernel/proc/mem_info.ts";
import { hasFile } from "../../tests/_support/real_kernel.ts";
import { Toom } from "../../tests/_support/toom.ts";
import { nohangConfig } from "./nohang_config.ts";
import type { Line } from "./stage.ts";
import { TrivialApproach } from "./subject.ts";
import { BENCH_UID, OTHER_UID, Program, sleep, type Toolbox } from "./toolbox.ts";

/** What the hogs' user may have, where that is what is limited. */
export const LIMIT_MIB = 160;
/** What the crowd may have: more than it will. */
const OTHER_LIMIT = "1TiB";
/** What the machine may lose, where that is what is limited: more, as others use memory too. */
export const HEADROOM_MIB = 512;
const SETTLE_MS = 300;

/** A killer at work. */
export interface Killer extends AsyncDisposable {
  readonly line: Line;
  /** toom's own account of its kills. */
  readonly toom?: Toom;
}

export interface KillerKind {
  readonly name: string;
  readonly label: string;
  /** Hogs begin at any time within this: they must have nothing to do with its timer. */
  readonly periodMs: number;
  /** After a kill it does not act for so long. */
  readonly pauseMs: number;
  /** Why it cannot take part; undefined when it can. */
  unavailable(): string | undefined;
  start(toolbox: Toolbox): Promise<Killer>;
}

const USER_LINE: Line = { kind: "user", kib: LIMIT_MIB * 1024 };
const ALWAYS = (): undefined => undefined;

function toomKind(name: string, label: string, ...args: string[]): KillerKind {
  return {
    name,
    label,
    periodMs: 5,
    pauseMs: 20,
    unavailable: ALWAYS,
    start: async () => {
      const toom = await Toom.start([
        `--limit=${BENCH_UID}=${LIMIT_MIB}MiB`,
        `--limit=${OTHER_UID}=${OTHER_LIMIT}`,
        "--storm-kills=0",
        ...args,
      ]);
      return { line: USER_LINE, toom, [Symbol.asyncDispose]: () => toom[Symbol.asyncDispose]() };
    },
  };
}

function pollerKind(periodMs: number): KillerKind {
  return {
    name: `poll-${periodMs}`,
    label: `/proc every ${periodMs} ms`,
    periodMs,
    pauseMs: 20,
    unavailable: ALWAYS,
    start: async (toolbox) => {
      const program = toolbox.run("rival", ["poll", BENCH_UID, USER_LINE.kib, periodMs * 1000]);
      await program.until("ready");
      return { line: USER_LINE, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
    },
  };
}

const trivialKind: KillerKind = {
  name: "trivial",
  label: "trivial approach",
  periodMs: 5,
  pauseMs: 20,
  unavailable: ALWAYS,
  start: async (toolbox) => {
    const rival = await TrivialApproach.start(toolbox, BENCH_UID, USER_LINE.kib);
    return { line: USER_LINE, [Symbol.asyncDispose]: () => rival[Symbol.asyncDispose]() };
  },
};

function availableKib(): number {
  return Math.floor(readMemInfo().availableBytes / 1024);
}

const EARLYOOM = "/usr/bin/earlyoom";

const earlyoomKind: KillerKind = {
  name: "earlyoom",
  label: "earlyoom",
  periodMs: 200,
  pauseMs: 300,
  unavailable: () => hasFile(EARLYOOM) ? undefined : "earlyoom is not installed",
  start: async () => {
    const kib = availableKib() - HEADROOM_MIB * 1024;
    // One threshold for asking and for forcing; no reports; and it likes hogs best.
    const args = ["-M", `${kib},${kib}`, "-r", "0", "--prefer", "^zzhog$"];
    const program = new Program(EARLYOOM, args, { uid: BENCH_UID, silent: true });
    await sleep(SETTLE_MS);
    return {
      line: { kind: "available", kib },
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    };
  },
};

const NOHANG = ["/usr/sbin/nohang", "/usr/local/sbin/nohang", "/usr/bin/nohang"].find(hasFile);
/** nohang takes thresholds up to half of memory; so much must stay free for all others. */
const SPARE_MIB = 4096;

function nohangProblem(): string | undefined {
  if (NOHANG === undefined) return "nohang is not installed";
  const totalMib = readMemInfo().totalBytes / 2 ** 20;
  return totalMib / 2 - HEADROOM_MIB > SPARE_MIB
    ? undefined
    : "nohang takes thresholds up to half of memory, and that is too little here";
}

const nohangKind: KillerKind = {
  name: "nohang",
  label: "nohang",
  periodMs: 200,
  pauseMs: 300,
  unavailable: nohangProblem,
  start: async (toolbox) => {
    const { totalBytes } = readMemInfo();
    const halfKib = Math.floor(totalBytes / 2048) - 64 * 1024;
    const ballastMib = Math.ceil((availableKib() - HEADROOM_MIB * 1024 - halfKib) / 1024);
    const ballast = ballastMib > 0 ? toolbox.run("load", ["hold", ballastMib]) : undefined;
    const dir = await Deno.makeTempDir({ prefix: "toom-bench-nohang-" });
    await Deno.chmod(dir, 0o755);
    let program: Program | undefined;
    const end = async (): Promise<void> => {
      await program?.[Symbol.asyncDispose]();
      await ballast?.[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    };
    try {
      await ballast?.until("ready");
      // While the ballast was made others may have given memory back: never above the half.
      const mib = Math.floor(Math.min(availableKib() - HEADROOM_MIB * 1024, halfKib) / 1024);
      await Deno.writeTextFile(`${dir}/nohang.conf`, nohangConfig(mib));
      const args = ["--monitor", "--config", `${dir}/nohang.conf`];
      program = new Program(NOHANG!, args, { uid: BENCH_UID, silent: true });
      await sleep(4 * SETTLE_MS);
      return { line: { kind: "available", kib: mib * 1024 }, [Symbol.asyncDispose]: end };
    } catch (error) {
      await end();
      throw error;
    }
  },
};

export const KILLERS: readonly KillerKind[] = [
  toomKind("toom-bpf", "toom bpf", "--source=bpf"),
  toomKind("toom-raw", "toom raw", "--source=raw"),
  toomKind("toom-text", "toom text", "--source=text"),
  toomKind("toom-no-arm", "toom raw, no arming", "--source=raw", "--no-arm"),
  trivialKind,
  pollerKind(1),
  pollerKind(10),
  pollerKind(100),
  pollerKind(1000),
  earlyoomKind,
  nohangKind,
];

export function killerNamed(name: string): KillerKind {
  const kind = KILLERS.find((one) => one.name === name);
  if (kind === undefined) throw new Error(`no killer is called ${name}`);
  return kind;
}
