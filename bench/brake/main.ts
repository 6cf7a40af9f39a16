/**
 * What programs do when the brake refuses them memory: each of programs.ts many times under a small
 * limit, and a table of it in docs/BRAKE.md.
 *
 *     deno run -A --no-check bench/brake/main.ts [--runs N] [--mode off|growers|all] [--only TEXT]
 *         [--add]   these runs count together with the older ones
 *     deno run -A --no-check bench/brake/main.ts --table
 *
 * Runs as root, with real processes of a scratch user. Results of programs that are not run stay.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { buildBrakeProgram } from "../../tests/_support/brake_stage.ts";
import { hasFile } from "../../tests/_support/real_kernel.ts";
import { Toom } from "../../tests/_support/toom.ts";
import { type Place, PROGRAMS, type TriedProgram } from "./programs.ts";
import { keepResult, type Result, writeTable } from "./table.ts";

const UID = 60130;
const LIMIT_MIB = 256;
const RUN_MS_MAX = 120_000;
/** From one run to the next: the user falls below, and gets back what it had. */
const BETWEEN_MS = 400;
const SHOWN_CHARACTERS = 160;

interface Run {
  readonly out: string;
  readonly code: number;
  readonly signal: string | null;
}

async function runOnce(command: string, dir: string): Promise<Run> {
  const home = await Deno.makeTempDir({ dir, prefix: "run-" });
  await Deno.chown(home, UID, UID);
  try {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", command],
      uid: UID,
      gid: UID,
      cwd: home,
      clearEnv: true,
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: home, TMPDIR: home },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(RUN_MS_MAX),
    }).spawn();
    const { stdout, stderr, code, signal } = await child.output();
    const text = new TextDecoder();
    return { out: text.decode(stdout) + text.decode(stderr), code, signal };
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** The line of an output that says it best. */
function shownOf(out: string, notices: RegExp): string {
  const lines = out.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const line = lines.find((one) => notices.test(one)) ?? lines.at(-1) ?? "";
  return line.replaceAll(/\/[^\s:]*\//g, "").slice(0, SHOWN_CHARACTERS);
}

async function measure(
  program: TriedProgram,
  mode: Result["mode"],
  runs: number,
  place: Place,
): Promise<Result> {
  await using toom = await Toom.start([
    `--limit=${UID}=${LIMIT_MIB}MiB`,
    `--brake=${mode}`,
    "--storm-kills=0",
  ]);
  let noticed = 0;
  let killed = 0;
  const shown = new Map<string, number>();
  for (let run = 0; run < runs; run++) {
    const before = toom.of("kill").length;
    // A shell that has been there for a while, as that of a session, whose children inherit its limit.
    const command = `sleep 0.4; ${program.command(place)}`;
    const { out, code } = await runOnce(command, place.dir);
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
    const wasKilled = toom.of("kill").length > before;
    if (wasKilled) killed++;
    else if (program.notices.test(out)) noticed++;
    const what = wasKilled ? "killed at hard" : `${shownOf(out, program.notices)} (exit ${code})`;
    const key = what.replaceAll(/\d{2,}/g, "N");
    shown.set(key, (shown.get(key) ?? 0) + 1);
  }
  const { users, brake } = await toom.status();
  const user = users.find(({ uid }) => uid === UID);
  const often = [...shown].sort((a, b) => b[1] - a[1]);
  return {
    name: program.name,
    mode,
    runs,
    noticed,
    killed,
    refused: brake?.refused ?? 0,
    peakMib: Math.round((user?.peakPages ?? 0) * 4 / 102.4) / 10,
    limitMib: LIMIT_MIB,
    did: often.map(([what, count]) => `${count}: ${what}`),
  };
}

const args = parseArgs(Deno.args, {
  string: ["runs", "mode", "only"],
  boolean: ["table", "add"],
  default: { runs: "50", mode: "growers", only: "" },
});
if (!args.table) {
  const { dir, path } = await buildBrakeProgram();
  try {
    const place = { dir, cProgram: path };
    for (const program of PROGRAMS) {
      if (!program.name.includes(args.only)) continue;
      if (!hasFile(program.needs)) {
        console.log(`${program.name}: not here (${program.needs})`);
        continue;
      }
      await program.prepare?.(place);
      const result = await measure(program, args.mode as Result["mode"], Number(args.runs), place);
      console.log(JSON.stringify(result));
      await keepResult(result, args.add);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
await writeTable(PROGRAMS);
