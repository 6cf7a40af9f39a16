/**
 * Results of the runs, kept in a file, and their table in docs/BRAKE.md.
 *
 * @module
 */

import type { TriedProgram } from "./programs.ts";

export interface Result {
  readonly name: string;
  readonly mode: "off" | "growers" | "all";
  readonly runs: number;
  /** Runs in which the program noticed that it was refused memory, or did with less. */
  readonly noticed: number;
  /** Runs in which toom killed it. */
  readonly killed: number;
  /** Processes that came under the brake, in all runs. */
  readonly refused: number;
  /** The most that the user was charged, in any run. */
  readonly peakMib: number;
  readonly limitMib: number;
  /** What it said, with the number of runs, most often first. */
  readonly did: readonly string[];
}

const RESULTS = new URL("./results.json", import.meta.url);
const DOCUMENT = new URL("../../docs/BRAKE.md", import.meta.url);
const BEGIN = "<!-- table: begin (bench/brake/main.ts) -->";
const END = "<!-- table: end -->";

async function readResults(): Promise<Result[]> {
  try {
    return JSON.parse(await Deno.readTextFile(RESULTS));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/**
 * Keeps a result, in place of the older one of the same program and mode.
 *
 * @param adds It is of more runs: they count together with the older ones.
 */
export async function keepResult(result: Result, adds: boolean): Promise<void> {
  const all = await readResults();
  const isSame = ({ name, mode }: Result): boolean => name === result.name && mode === result.mode;
  const old = all.find(isSame);
  const kept = adds && old !== undefined ? sumOf(old, result) : result;
  const others = all.filter((one) => !isSame(one));
  await Deno.writeTextFile(RESULTS, `${JSON.stringify([...others, kept], null, 2)}\n`);
}

function sumOf(a: Result, b: Result): Result {
  const counts = new Map<string, number>();
  for (const line of [...a.did, ...b.did]) {
    const [, count, what] = /^(\d+): (.*)$/.exec(line)!;
    counts.set(what!, (counts.get(what!) ?? 0) + Number(count));
  }
  return {
    ...b,
    runs: a.runs + b.runs,
    noticed: a.noticed + b.noticed,
    killed: a.killed + b.killed,
    refused: a.refused + b.refused,
    peakMib: Math.max(a.peakMib, b.peakMib),
    did: [...counts].sort((x, y) => y[1] - x[1]).map(([what, count]) => `${count}: ${what}`),
  };
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("*", "\\*");
}

/** A program, as the table has it. */
export type Shown = Pick<TriedProgram, "name" | "advice">;

/** The rows, those of a program together. */
export function tableOf(results: readonly Result[], programs: readonly Shown[]): string {
  const lines = [
    "| program | brake | runs | killed | noticed | most used, MiB | what it did | what to set |",
    "| --- | --- | --: | --: | --: | --: | --- | --- |",
  ];
  for (const { name, advice } of programs) {
    for (const mode of ["off", "growers", "all"]) {
      for (const one of results) {
        if (one.name !== name || one.mode !== mode) continue;
        lines.push(
          `| ${cell(name)} | ${mode} | ${one.runs} | ${one.killed} | ${one.noticed} | ` +
            `${one.peakMib} of ${one.limitMib} | ${cell(one.did.slice(0, 3).join("; "))} | ${
              mode === "growers" ? advice : ""
            } |`,
        );
      }
    }
  }
  return lines.join("\n");
}

/** Puts the table into the document. */
export async function writeTable(programs: readonly Shown[]): Promise<void> {
  const text = await Deno.readTextFile(DOCUMENT);
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error("docs/BRAKE.md has no table");
  const table = tableOf(await readResults(), programs);
  await Deno.writeTextFile(DOCUMENT, `${before}${BEGIN}\n\n${table}\n\n${END}${after}`);
}
