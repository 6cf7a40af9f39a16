/**
 * The stage on which hogs cross a line: c/stage.c, and what it tells as numbers.
 *
 * @module
 */
import { pageBytes } from "../../kernel/ffi/libc.ts";
import type { Program, Toolbox } from "./toolbox.ts";

/** Where the line is. */
export interface Line {
  /** `user`: so much for all of the user. `available`: the machine has so much left available. */
  readonly kind: "user" | "available";
  readonly kib: number;
}

export interface HogSpec {
  readonly processes: number;
  /** 0: full speed. */
  readonly mibPerSecond: number;
  readonly huge: boolean;
}

export interface Raise extends HogSpec {
  readonly line: Line;
  /** Hogs grow so far past the line and no further. */
  readonly capMib: number;
  /** Waits first. */
  readonly delayUs: number;
  readonly timeoutMs: number;
}

/** How hogs ended. Times are from the page that crossed the line. */
export type Ending =
  | { readonly kind: "killed"; readonly pid: number } & KillNumbers
  /** Killed before the line was crossed. */
  | { readonly kind: "early"; readonly pid: number; readonly overKib: number }
  | { readonly kind: "survived" }
  /** The line was too near to be raised at all. */
  | { readonly kind: "short" };

export interface KillNumbers {
  /** Until the victim's last page; 0 when that was the one that crossed, or an earlier one. */
  readonly stopUs: number;
  /** Until waitpid(2) told of its end, all of its memory given back. */
  readonly deathUs: number;
  /** What all had touched past the line by then. */
  readonly overKib: number;
  /** CLOCK_MONOTONIC. */
  readonly crossedNs: number;
  readonly deathNs: number;
}

export function parseEnding(line: string, kibPerPage: number): Ending {
  if (line === "survived" || line === "short") return { kind: line };
  const words = line.split(" ").map(Number);
  if (words.length !== 7 || words.some(Number.isNaN)) throw new Error(`stage says: ${line}`);
  const [pid, signal, linePages, totalPages, crossedNs, lastNs, deathNs] = words as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // SIGKILL, or SIGTERM from those who ask nicely first. Anything else is a fault of the stage.
  if (signal !== 9 && signal !== 15) throw new Error(`a hog ended by signal ${signal}`);
  const overKib = (totalPages - linePages) * kibPerPage;
  if (crossedNs === 0) return { kind: "early", pid, overKib };
  return {
    kind: "killed",
    pid,
    stopUs: Math.max(0, (lastNs - crossedNs) / 1000),
    deathUs: (deathNs - crossedNs) / 1000,
    overKib,
    crossedNs,
    deathNs,
  };
}

export class Stage implements AsyncDisposable {
  private readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async open(toolbox: Toolbox, uid: number): Promise<Stage> {
    const stage = new Stage(toolbox.run("stage", [uid]));
    await stage.program.until("ready");
    return stage;
  }

  async raise(raise: Raise): Promise<Ending> {
    const { line, processes, mibPerSecond, huge, capMib, delayUs, timeoutMs } = raise;
    const words = [
      line.kind,
      line.kib,
      processes,
      mibPerSecond,
      huge ? 1 : 0,
      capMib,
      Math.round(delayUs),
      timeoutMs,
    ];
    await this.program.say(words.join(" "));
    return parseEnding(await this.program.line(), pageBytes() / 1024);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}
