/**
 * Memory allocation speed: what a page costs that is touched for the first time, under toom and
 * under what else there is. All states in each round, one after the other, in turns.
 *
 * @module
 */
import { Toom } from "../../tests/_support/toom.ts";
import type { Plan } from "./plan.ts";
import { median, pairedRatios, summarize, type Summary } from "./stats.ts";
import {
  BenchInstance,
  MemoryCgroup,
  rootMemoryCgroup,
  TrivialApproach,
  type TrivialWork,
} from "./subject.ts";
import { BENCH_UID, OTHER_UID, type Program, sleep, type Toolbox } from "./toolbox.ts";

/** An area that is touched: 8 MiB, page after page. */
const AREA_PAGES = 2048;
/** Never reached. */
const LIMIT_BYTES = 8 * 2 ** 30;
/** From which soft could be reached before a look, and from which it could not. */
const NEAR_LIMIT = "256MiB";
const FAR_LIMIT = "1TiB";
/** Nobody has been near for long enough by then. */
const FAR_MS = 3500;
/** toom has heard of a new process by then. */
const KNOWN_MS = 250;

export interface AllocationState {
  readonly name: string;
  readonly label: string;
  /** The state that it is compared with. */
  readonly base: string;
  /** What the original said of it. */
  readonly claim?: string;
  /** ns per page: a value a round, the median of its areas. */
  readonly nsPerPage: Summary;
  /** Ratio to the base in the same round. */
  readonly ratio: Summary;
  /** Events that toom saw, per page touched. Near 1: all were seen, none were lost. */
  readonly eventsPerPage?: number;
}

export interface AllocationResult {
  readonly areaPages: number;
  readonly rounds: number;
  readonly areas: number;
  readonly states: readonly AllocationState[];
  /** The trivial approach: one look at all processes, and what share of the events got one. */
  readonly trivial: { readonly sumUs: number; readonly eventsChecked: number };
  /** States that were left out, and why. */
  readonly skipped: readonly string[];
}

interface Kind {
  readonly label: string;
  readonly base: string;
  readonly claim?: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  off: { label: "toom off", base: "off" },
  "no-limit": {
    label: "toom on, user without a limit",
    base: "off",
    claim: "no regression",
  },
  "bpf-far": { label: "toom bpf, all far, one limited process", base: "off" },
  "bpf-far-no-limit": { label: "toom bpf, all far, user without a limit", base: "off" },
  "bpf-near": { label: "toom bpf, near, one limited process", base: "off" },
  "bpf-near-no-limit": { label: "toom bpf, somebody near, user without a limit", base: "off" },
  "bpf-near-each": { label: "toom bpf, near, a limited process on each CPU", base: "off-each" },
  one: { label: "toom raw, one limited process", base: "off", claim: "nearly none" },
  "text-one": { label: "toom text, one limited process", base: "off" },
  trivial: {
    label: "trivial approach, one process",
    base: "off",
    claim: "3 ×, toom twice as fast",
  },
  floor: { label: "tracing alone, one process", base: "off" },
  "memcg-root": { label: "memory cgroup: root, not charged", base: "off" },
  memcg: { label: "memory cgroup with a limit", base: "off" },
  "off-each": { label: "toom off, a process on each CPU", base: "off-each" },
  each: {
    label: "toom raw, a limited process on each CPU",
    base: "off-each",
    claim: "1.1 to 1.2 ×",
  },
  "floor-each": { label: "tracing alone, a process on each CPU", base: "off-each" },
  "text-each": { label: "toom text, a limited process on each CPU", base: "off-each" },
};

export class AllocationBench {
  private readonly toolbox: Toolbox;
  private readonly plan: Plan;
  private readonly samples = new Map<string, number[]>();
  private readonly eventShares = new Map<string, number[]>();
  private readonly skipped = new Set<string>();
  private readonly trivialWork: (TrivialWork & { readonly pages: number })[] = [];

  constructor(toolbox: Toolbox, plan: Plan) {
    this.toolbox = toolbox;
    this.plan = plan;
  }

  /** @param withToom Without, only what needs no toom. */
  async run(withToom = true): Promise<AllocationResult> {
    const turns = [
      () => this.off(),
      () => this.floor("floor", [-1]),
      () => this.floor("floor-each", eachCpu()),
      () => this.trivial(),
      () => this.memcg(),
    ];
    if (withToom) {
      turns.push(() => this.toom("raw"), () => this.toom("text"));
      turns.push(() => this.bpf("near"), () => this.bpf("far"));
    }
    for (let round = 0; round < this.plan.allocationRounds; round++) {
      for (let i = 0; i < turns.length; i++) await turns[(round + i) % turns.length]!();
    }
    return this.result();
  }

  private async off(): Promise<void> {
    this.add("off", await this.touch(BENCH_UID, [-1]));
    this.add("off-each", await this.touch(BENCH_UID, eachCpu()));
  }

  /** What no reader of this event can be quicker than: it is recorded, and overwritten unread. */
  private async floor(name: string, cpus: readonly number[]): Promise<void> {
    using instance = new BenchInstance("bench-floor", 4096, { "kmem/rss_stat": "" });
    const trace = (pid: number): void => instance.trace(pid);
    this.add(name, await this.touch(BENCH_UID, cpus, trace));
  }

  private async toom(source: "raw" | "text"): Promise<void> {
    await using toom = await Toom.start([
      `--limit=${BENCH_UID}=${LIMIT_BYTES}`,
      `--source=${source}`,
    ]);
    const prefix = source === "raw" ? "" : "text-";
    if (source === "raw") this.add("no-limit", await this.touch(OTHER_UID, [-1]));
    await this.limited(toom, `${prefix}one`, [-1]);
    await this.limited(toom, `${prefix}each`, eachCpu());
  }

  private async bpf(where: "near" | "far"): Promise<void> {
    const limit = where === "near" ? NEAR_LIMIT : FAR_LIMIT;
    await using toom = await Toom.start([`--limit=${BENCH_UID}=${limit}`, "--source=bpf"]);
    if (where === "far") await sleep(FAR_MS);
    this.add(`bpf-${where}-no-limit`, await this.touch(OTHER_UID, [-1]));
    await this.limited(toom, `bpf-${where}`, [-1]);
    if (where === "near") await this.limited(toom, "bpf-near-each", eachCpu());
  }

  private async limited(toom: Toom, name: string, cpus: readonly number[]): Promise<void> {
    const before = (await toom.status()).events.total;
    this.add(name, await this.touch(BENCH_UID, cpus));
    await sleep(KNOWN_MS);
    const events = (await toom.status()).events.total - before;
    const pages = cpus.length * AREA_PAGES * this.plan.allocationAreas;
    push(this.eventShares, name, events / pages);
  }

  private async trivial(): Promise<void> {
    await using rival = await TrivialApproach.start(this.toolbox, BENCH_UID, 0);
    this.add("trivial", await this.touch(BENCH_UID, [-1]));
    const work = await rival.stop();
    this.trivialWork.push({ ...work, pages: AREA_PAGES * this.plan.allocationAreas });
  }

  private async memcg(): Promise<void> {
    const root = rootMemoryCgroup();
    if (root === undefined) {
      this.skipped.add("memory cgroup: no cgroup with a memory controller here");
      return;
    }
    const toRoot = (pid: number): void =>
      Deno.writeTextFileSync(`${root}/cgroup.procs`, String(pid));
    this.add("memcg-root", await this.touch(BENCH_UID, [-1], toRoot));
    await using group = new MemoryCgroup(LIMIT_BYTES);
    this.add("memcg", await this.touch(BENCH_UID, [-1], (pid) => group.add(pid)));
  }

  /** @returns ns per page, of each area of each process. */
  private async touch(
    uid: number,
    cpus: readonly number[],
    prepare: (pid: number) => void = () => {},
  ): Promise<number[]> {
    const programs: Program[] = [];
    try {
      for (const cpu of cpus) {
        const args = ["speed", AREA_PAGES, this.plan.allocationAreas, cpu];
        const program = this.toolbox.run("touch", args, uid);
        programs.push(program);
        await program.until("ready");
        prepare(program.pid);
      }
      await sleep(KNOWN_MS);
      for (const program of programs) await program.say("go");
      const values: number[] = [];
      // The first area has page tables to make.
      for (const program of programs) {
        values.push(...(await program.until("end")).slice(1).map(Number));
      }
      return values;
    } finally {
      for (const program of programs) await program[Symbol.asyncDispose]();
    }
  }

  private add(name: string, nsPerPage: readonly number[]): void {
    push(this.samples, name, median(nsPerPage));
  }

  private result(): AllocationResult {
    const states: AllocationState[] = [];
    for (const [name, { label, base, claim }] of Object.entries(KINDS)) {
      const values = this.samples.get(name);
      if (values === undefined) continue;
      const shares = this.eventShares.get(name);
      states.push({
        name,
        label,
        base,
        ...(claim === undefined ? {} : { claim }),
        nsPerPage: summarize(values)!,
        ratio: summarize(pairedRatios(values, this.samples.get(base)!))!,
        ...(shares === undefined ? {} : { eventsPerPage: median(shares) }),
      });
    }
    const checked = this.trivialWork.map(({ sums, pages }) => sums / pages);
    return {
      areaPages: AREA_PAGES,
      rounds: this.plan.allocationRounds,
      areas: this.plan.allocationAreas,
      states,
      trivial: {
        sumUs: median(this.trivialWork.map(({ sumUs }) => sumUs)),
        eventsChecked: median(checked),
      },
      skipped: [...this.skipped],
    };
  }
}

function push(map: Map<string, number[]>, name: string, value: number): void {
  const values = map.get(name);
  if (values === undefined) map.set(name, [value]);
  else values.push(value);
}

function eachCpu(): number[] {
  return Array.from({ length: navigator.hardwareConcurrency }, (_, cpu) => cpu);
}
