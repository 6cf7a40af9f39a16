/**
 * What the measured process lives under: nothing, toom, a rival, or a memory cgroup.
 *
 * @module
 */
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { hasFile } from "../../tests/_support/real_kernel.ts";
import { Program, type Toolbox } from "./toolbox.ts";

/** A tracefs instance of the benchmark's own, with some events of the whole machine. */
export class BenchInstance implements Disposable {
  readonly path: string;

  /** @param events Each with a filter, which may be empty. */
  constructor(name: string, bufferKib: number, events: Readonly<Record<string, string>>) {
    this.path = `${findTracefs()}/instances/${name}-${Deno.pid}`;
    Deno.mkdirSync(this.path);
    try {
      this.write("trace_clock", "mono");
      this.write("buffer_size_kb", String(bufferKib));
      // Readers are woken at the first event.
      if (hasFile(`${this.path}/buffer_percent`)) this.write("buffer_percent", "0");
      for (const [event, filter] of Object.entries(events)) {
        if (filter !== "") this.write(`events/${event}/filter`, filter);
        this.write(`events/${event}/enable`, "1");
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  write(file: string, text: string): void {
    Deno.writeTextFileSync(`${this.path}/${file}`, text);
  }

  read(file: string): string {
    return Deno.readTextFileSync(`${this.path}/${file}`);
  }

  /** Events of this task alone, and of others that were named before. */
  trace(pid: number): void {
    Deno.writeTextFileSync(`${this.path}/set_event_pid`, `${pid}\n`, { append: true });
  }

  /** Pipes with the pages of each CPU. */
  rawPipes(): string[] {
    return [...Deno.readDirSync(`${this.path}/per_cpu`)]
      .map(({ name }) => `${this.path}/per_cpu/${name}/trace_pipe_raw`);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}

/** Removes instances of benchmarks that were ended in the middle: their events cost everybody. */
export function removeDeadBenchInstances(): void {
  const dirPath = `${findTracefs()}/instances`;
  for (const { name } of [...Deno.readDirSync(dirPath)]) {
    const pid = /^bench-.*-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !hasFile(`/proc/${pid}/stat`)) Deno.removeSync(`${dirPath}/${name}`);
  }
}

/** What the trivial approach has done. */
export interface TrivialWork {
  readonly sums: number;
  /** Microseconds of one look at all processes. */
  readonly sumUs: number;
}

/** On every event of the machine looks at all processes: the approach that the original beat. */
export class TrivialApproach implements AsyncDisposable {
  private readonly instance: BenchInstance;
  private readonly program: Program;

  private constructor(instance: BenchInstance, program: Program) {
    this.instance = instance;
    this.program = program;
  }

  /** @param limitKib 0: kills nobody. */
  static async start(toolbox: Toolbox, uid: number, limitKib: number): Promise<TrivialApproach> {
    const instance = new BenchInstance("bench-trivial", 4096, { "kmem/rss_stat": "" });
    const program = toolbox.run("rival", ["trivial", uid, limitKib, ...instance.rawPipes()]);
    try {
      await program.until("ready");
    } catch (error) {
      await program[Symbol.asyncDispose]();
      instance[Symbol.dispose]();
      throw error;
    }
    return new TrivialApproach(instance, program);
  }

  /** Ends it. */
  async stop(): Promise<TrivialWork> {
    this.program.kill("SIGTERM");
    const [sums, sumNs] = (await this.program.line()).split(" ").map(Number) as [number, number];
    return { sums, sumUs: sums === 0 ? 0 : sumNs / sums / 1000 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    this.instance[Symbol.dispose]();
  }
}

const V1_PATH = "/sys/fs/cgroup/memory";
const V2_PATHS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/** A cgroup with a memory limit that is never reached. */
export class MemoryCgroup implements AsyncDisposable {
  readonly path: string;
  readonly version: 1 | 2;

  /** @throws {Error} That says why there is none here. */
  constructor(limitBytes: number) {
    const place = findMemoryController();
    if (place === undefined) throw new Error("no cgroup with a memory controller here");
    this.version = place.version;
    this.path = `${place.path}/toom-bench-${Deno.pid}`;
    Deno.mkdirSync(this.path);
    const file = place.version === 1 ? "memory.limit_in_bytes" : "memory.max";
    Deno.writeTextFileSync(`${this.path}/${file}`, String(limitBytes));
  }

  add(pid: number): void {
    Deno.writeTextFileSync(`${this.path}/cgroup.procs`, String(pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        Deno.removeSync(this.path);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

/** Where a process is charged for nothing: the root of the hierarchy. */
export function rootMemoryCgroup(): string | undefined {
  return findMemoryController()?.path;
}

function findMemoryController(): { readonly path: string; readonly version: 1 | 2 } | undefined {
  if (hasFile(`${V1_PATH}/memory.limit_in_bytes`)) return { path: V1_PATH, version: 1 };
  for (const path of V2_PATHS) {
    if (!hasFile(`${path}/cgroup.subtree_control`)) continue;
    const controllers = Deno.readTextFileSync(`${path}/cgroup.subtree_control`);
    if (/\bmemory\b/.test(controllers)) return { path, version: 2 };
  }
  return undefined;
}
