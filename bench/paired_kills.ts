/**
 * What the brake, or 200 rules of whom to kill, cost a kill: a hog that has mapped all beforehand, without
 * and with it in turns, each toom started anew every few kills. Prints medians and their ratio.
 *
 *     deno run -A --no-check bench/paired_kills.ts --with brake|rules
 *         [--pairs N] [--kills N] [--trigger kernel|user]
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";
import { BrakeProcess, buildBrakeProgram } from "../tests/_support/brake_stage.ts";
import { Toom } from "../tests/_support/toom.ts";
import { distribution } from "./support/numbers.ts";

const UID = 60131;
const LIMIT_MIB = 64;
const HOG_MIB = 256;
const BETWEEN_MS = 150;
/** Beside the hog, so that there is somebody to choose from. */
const SLEEPERS = 20;
const RULES = 200;

interface Kill {
  readonly latencyUs: number;
  readonly overshootBytes: number;
  /** From the go to the end of the process, milliseconds. */
  readonly wholeMs: number;
}

/** Rules of each kind, of which each looks at every process, and the last ones match. */
function rules(): Record<string, unknown>[] {
  const one = (index: number): Record<string, unknown> => {
    switch (index % 4) {
      case 0:
        return { command: `none${index}*`, effect: "avoid" };
      case 1:
        return { executable: `/opt/none${index}/**`, effect: "prefer" };
      case 2:
        return { commandLine: { pattern: `^none${index} .*-Xmx[0-9]+g` }, effect: "protect" };
      default:
        return { cgroup: `/user.slice/**/none${index}-*.scope`, effect: "prefer", weight: 2 };
    }
  };
  return [
    ...Array.from({ length: RULES - 2 }, (_, index) => one(index)),
    { command: "sleep", effect: "avoid" },
    { commandLine: "*beforehand*", effect: "prefer" },
  ];
}

/** What is compared, and what each of the two is started with. */
function optionsOf(what: string, isOn: boolean, folder: string): string[] {
  if (what === "brake") return [`--brake=${isOn ? "growers" : "off"}`];
  const path = `${folder}/${isOn ? "rules" : "none"}.jsonc`;
  Deno.writeTextFileSync(path, JSON.stringify(isOn ? { rules: rules() } : {}));
  return [`--config=${path}`];
}

async function kills(
  path: string,
  options: readonly string[],
  trigger: string,
  count: number,
): Promise<Kill[]> {
  await using toom = await Toom.start([
    `--limit=${UID}=${LIMIT_MIB}MiB`,
    "--storm-kills=0",
    `--trigger=${trigger}`,
    ...options,
  ]);
  await using stack = new AsyncDisposableStack();
  for (let i = 0; i < SLEEPERS; i++) {
    stack.use(new BrakeProcess(UID, ["/bin/sleep", "1000"]));
  }
  const found: Kill[] = [];
  while (found.length < count) {
    await using hog = new BrakeProcess(UID, [path, "beforehand", `${HOG_MIB}`]);
    await hog.until("mapped");
    // The books know it, and the brake has had time to begin.
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
    const beganMs = performance.now();
    await hog.go();
    await hog.end();
    const wholeMs = performance.now() - beganMs;
    const { latencyUs, overshootBytes } = await toom.waitFor(
      "kill",
      (line) => line["pid"] === hog.pid,
    );
    found.push({ latencyUs: Number(latencyUs), overshootBytes: Number(overshootBytes), wholeMs });
  }
  return found;
}

const args = parseArgs(Deno.args, {
  string: ["with", "pairs", "kills", "trigger"],
  default: { with: "brake", pairs: "6", kills: "15", trigger: "kernel" },
});
if (args.with !== "brake" && args.with !== "rules") {
  console.error(`paired_kills: expected --with brake or --with rules, not "${args.with}"`);
  Deno.exit(2);
}
const { dir, path } = await buildBrakeProgram();
try {
  const without: Kill[] = [];
  const withIt: Kill[] = [];
  for (let pair = 0; pair < Number(args.pairs); pair++) {
    // Which comes first changes, as the machine may become slower or quicker.
    for (const isOn of pair % 2 === 0 ? [false, true] : [true, false]) {
      const options = optionsOf(args.with, isOn, dir);
      const found = await kills(path, options, args.trigger, Number(args.kills));
      (isOn ? withIt : without).push(...found);
    }
  }
  for (const key of ["latencyUs", "overshootBytes", "wholeMs"] as const) {
    const [before, after] = [without, withIt].map((all) =>
      distribution(all.map((one) => one[key])).median
    );
    const ratio = before === 0 ? "-" : (after! / before!).toFixed(3);
    console.log(
      `${args.with}, ${args.trigger} ${key}: median without ${before!.toFixed(2)}, ` +
        `with ${after!.toFixed(2)}, ratio ${ratio} (${without.length} kills each)`,
    );
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}
