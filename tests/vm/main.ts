/**
 * Installs the package on real machines, one after the other:
 *
 *     deno task compile && deno task deb && deno task test:vm [--kernel 6.1|6.12|6.12-rt]...
 *
 * `--quick` is what a change must pass: a small machine with the kernel 6.12, in which the package is
 * installed, enforces and is purged; its exit code is that of machine.sh. Else exit code 1 when a check
 * failed in one of them.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { parseArgs } from "@std/cli/parse-args";

const KERNELS = ["6.12", "6.1", "6.12-rt"] as const;
const HERE = new URL("./", import.meta.url).pathname;
const BENCHMARK = new URL("../../tmalloc/build/benchmark", import.meta.url).pathname;
const SECONDS_MAX = 2700;
const QUICK_SECONDS_MAX = 300;

function packagePath(): string | undefined {
  const folder = new URL("../../dist/", import.meta.url).pathname;
  try {
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const name = names.find((one) => /^toom_.*\.deb$/.test(one));
    return name === undefined ? undefined : `${folder}${name}`;
  } catch {
    return undefined;
  }
}

/** @returns Its exit code. */
async function run(program: string, args: readonly string[]): Promise<number> {
  return (await new Deno.Command(program, { args: [...args] }).spawn().status).code;
}

const options = parseArgs(Deno.args, {
  string: ["kernel", "package", "seconds"],
  boolean: ["quick"],
  collect: ["kernel"],
});
const path = options.package ?? packagePath();
if (path === undefined) {
  console.error("test:vm: expected a package in dist/, made by deno task compile && deno task deb");
  Deno.exit(2);
}
const { quick } = options;
const seconds = options.seconds ?? String(quick ? QUICK_SECONDS_MAX : SECONDS_MAX);
const machine = `${HERE}machine.sh`;
if (quick) {
  const script = [`${HERE}quick.sh`, `${HERE}checks.sh`, path];
  Deno.exit(await run(machine, ["--disk", "small", "--seconds", seconds, ...script]));
}
if (await run("make", ["-s", "-C", `${HERE}../../tmalloc`, "all"]) !== 0) Deno.exit(1);
const kernels = options.kernel.length === 0 ? KERNELS : options.kernel as string[];
let failed = 0;
for (const kernel of kernels) {
  console.log(`--- ${kernel}`);
  const scripts = ["checks.sh", "ways.sh", "faults.sh"].map((name) => `${HERE}${name}`);
  const files = [...scripts, path, BENCHMARK];
  const args = ["--kernel", kernel, "--seconds", seconds, `${HERE}package.sh`, ...files];
  const code = await run(machine, args);
  console.log(`--- ${kernel}: ${code === 0 ? "all is well" : `failed with ${code}`}`);
  if (code !== 0) failed++;
}
Deno.exit(failed === 0 ? 0 : 1);
