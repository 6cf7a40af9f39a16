/**
 * A copy of the modules that the targets use, in which each statement, branch and function counts how often
 * it runs: what an input reaches that none before it has reached is worth keeping.
 *
 * @module
 */
const ROOT = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");
const ENTRY = "tests/fuzz/fuzz.ts";
/** `cov_abc().s[3]++` or, of a branch, `cov_abc().b[3][1]++`. */
const COUNTED = /cov_\w+\(\)\.([sfb])\[(\d+)\](?:\[(\d+)\])?\+\+/g;
const HOOK = "toomFuzzHit";
/**
 * Not in deno.json and its lock: a compiled program has all packages within that these name, and its
 * processes are larger by them. Hence imported by a name that is made here, under `deno run --no-lock`.
 */
const INSTRUMENTER = ["npm:istanbul-lib-instrument", "6.0.3"].join("@");

/** What is used of it. */
interface InstrumenterModule {
  createInstrumenter(options: {
    readonly esModules: boolean;
    readonly parserPlugins: readonly string[];
  }): { instrumentSync(code: string, path: string): string };
}

/** How often each place of the instrumented modules has run since {@link forget}. */
export class Places {
  private readonly counts: Uint32Array;
  private readonly touched: Uint32Array;
  private touchedCount = 0;
  readonly size: number;

  constructor(size: number) {
    this.size = size;
    this.counts = new Uint32Array(size);
    this.touched = new Uint32Array(size);
  }

  /** Calls of the modules go here. HOT */
  readonly hit = (place: number): void => {
    if (this.counts[place]!++ === 0) this.touched[this.touchedCount++] = place;
  };

  /** Calls back with each place that has run, and how often by powers of two: 1, 2, 4 and so on as 0, 1, 2. */
  forEach(call: (place: number, power: number) => void): void {
    for (let index = 0; index < this.touchedCount; index++) {
      const place = this.touched[index]!;
      call(place, 31 - Math.clz32(this.counts[place]!));
    }
  }

  forget(): void {
    for (let index = 0; index < this.touchedCount; index++) this.counts[this.touched[index]!] = 0;
    this.touchedCount = 0;
  }
}

interface ModuleGraph {
  readonly modules: readonly { readonly local?: string; readonly specifier: string }[];
}

/** @returns Paths below the repository's root. */
async function modulesOf(entry: string): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as ModuleGraph;
  const prefix = `file://${ROOT}/`;
  return modules.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith(prefix))
    .map((specifier) => specifier.slice(prefix.length));
}

/**
 * Copies the modules into a folder, those of the product with counters, and has these count.
 *
 * @returns The copy of `fuzz.ts`, to be imported, and the counters.
 */
export async function instrument(dirPath: string): Promise<{ entry: string; places: Places }> {
  const { createInstrumenter } = await import(INSTRUMENTER) as InstrumenterModule;
  const instrumenter = createInstrumenter({
    esModules: true,
    parserPlugins: ["typescript", "explicitResourceManagement", "importAttributes"],
  });
  const numbers = new Map<string, number>();
  for (const path of await modulesOf(ENTRY)) {
    const target = `${dirPath}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    const text = await Deno.readTextFile(`${ROOT}/${path}`);
    if (path.startsWith("tests/") || !path.endsWith(".ts")) {
      await Deno.writeTextFile(target, text);
      continue;
    }
    const counted = instrumenter.instrumentSync(text, path).replaceAll(
      COUNTED,
      (_all: string, kind: string, number: string, branch = "") => {
        const name = `${path} ${kind} ${number} ${branch}`;
        if (!numbers.has(name)) numbers.set(name, numbers.size);
        return `${HOOK}(${numbers.get(name)})`;
      },
    );
    await Deno.writeTextFile(target, counted);
  }
  // What modules read as files.
  for (const path of ["tests/fixtures", "deploy"]) {
    await Deno.symlink(`${ROOT}/${path}`, `${dirPath}/${path}`);
  }
  const places = new Places(numbers.size);
  Object.assign(globalThis, { [HOOK]: places.hit });
  return { entry: `file://${dirPath}/${ENTRY}`, places };
}
