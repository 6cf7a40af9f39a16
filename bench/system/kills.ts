/**
 * Kill latency and overshoot: who ends a hog how soon after the page that crossed the line, and how
 * far it got. All killers in blocks, in turns; numbers are the hogs' own for every killer alike.
 *
 * @module
 */
import { type Killer, type KillerKind, killerNamed, KILLERS } from "./killers.ts";
import type { Plan } from "./plan.ts";
import { type Ending, type HogSpec, type KillNumbers, Stage } from "./stage.ts";
import { summarize, type Summary } from "./stats.ts";
import { BENCH_UID, OTHER_UID, sleep, type Toolbox } from "./toolbox.ts";

const MIB_PAST_LINE_MAX = 4096;
const TIMEOUT_MS = 12_000;
/** toom has heard of the stage by then, and traces it. */
const KNOWN_MS = 250;
const LOG_MS_MAX = 3000;
/** Processes of another user. */
const CROWD = 5000;

export interface ScenarioKind {
  readonly name: string;
  readonly label: string;
  readonly hogs: HogSpec;
  /** `busy`: every CPU has a process that works all the time; `crowd`: {@link CROWD} sleep. */
  readonly company?: "busy" | "crowd";
  /** Killers in a full run, and in a quick one. */
  readonly full: readonly string[];
  readonly quick: readonly string[];
}

const ONE: HogSpec = { processes: 1, mibPerSecond: 0, huge: false };
const EVERYBODY = KILLERS.map(({ name }) => name);
const TOOMS = ["toom-bpf", "toom-raw", "toom-text", "toom-no-arm"];

export const SCENARIOS: readonly ScenarioKind[] = [
  {
    name: "full-speed",
    label: "one hog at full speed",
    hogs: ONE,
    full: EVERYBODY,
    quick: EVERYBODY,
  },
  {
    name: "steady",
    label: "one hog, 100 MiB/s",
    hogs: { ...ONE, mibPerSecond: 100 },
    full: [...TOOMS, "poll-1", "poll-10", "poll-100"],
    quick: ["toom-bpf", "toom-raw", "poll-10"],
  },
  {
    name: "huge",
    label: "one hog, huge pages",
    hogs: { ...ONE, huge: true },
    full: [...TOOMS, "poll-1", "poll-10"],
    quick: ["toom-bpf", "toom-raw", "poll-10"],
  },
  {
    name: "four",
    label: "4 hogs",
    hogs: { ...ONE, processes: 4 },
    full: [...TOOMS, "poll-1", "poll-10"],
    quick: ["toom-bpf", "toom-raw", "poll-10"],
  },
  {
    name: "sixteen",
    label: "16 hogs",
    hogs: { ...ONE, processes: 16 },
    full: [...TOOMS, "poll-1", "poll-10"],
    quick: ["toom-bpf", "toom-raw", "poll-10"],
  },
  {
    name: "busy",
    label: "one hog, all CPUs busy",
    hogs: ONE,
    company: "busy",
    full: [...TOOMS, "poll-1", "poll-10", "poll-100", "earlyoom"],
    quick: ["toom-bpf", "toom-raw", "toom-text", "poll-10"],
  },
  {
    name: "crowd",
    label: `one hog, ${CROWD} processes of another user`,
    hogs: ONE,
    company: "crowd",
    full: ["toom-bpf", "toom-raw", "toom-text", "poll-10"],
    quick: ["toom-bpf", "toom-raw", "poll-10"],
  },
];

/** Numbers of one killer in one scenario. */
export interface KillSeries {
  readonly scenario: string;
  readonly killer: string;
  readonly label: string;
  readonly kills: number;
  /** Not killed within {@link TIMEOUT_MS}. */
  readonly survived: number;
  /** Killed before the line was crossed, by the hogs' own account. */
  readonly early: number;
  readonly stopUs?: Summary;
  readonly deathUs?: Summary;
  readonly overKib?: Summary;
  /** Of the first kill of each block: the first after the killer's start. */
  readonly firstStopUs?: Summary;
  /** toom's log: from the event's time stamp to the return of the signal call. */
  readonly logLatencyUs?: Summary;
  readonly firstLogLatencyUs?: Summary;
  readonly logOverKib?: Summary;
  readonly exitUs?: Summary;
}

export interface KillsResult {
  readonly scenarios: readonly { readonly name: string; readonly label: string }[];
  readonly blocks: number;
  readonly killsPerBlock: number;
  readonly series: readonly KillSeries[];
  readonly skipped: readonly string[];
}

interface Tally {
  readonly kills: KillNumbers[];
  readonly firsts: KillNumbers[];
  readonly latencyUs: number[];
  readonly firstLatencyUs: number[];
  readonly logOverKib: number[];
  readonly exitUs: number[];
  survived: number;
  early: number;
}

export class KillsBench {
  private readonly toolbox: Toolbox;
  private readonly plan: Plan;
  private readonly tallies = new Map<string, Tally>();
  private readonly skipped = new Set<string>();
  private seed = 1;

  constructor(toolbox: Toolbox, plan: Plan) {
    this.toolbox = toolbox;
    this.plan = plan;
  }

  /**
   * @param tell Hears what is being done.
   * @param only Scenarios; all when empty.
   * @param before What there is of the other scenarios.
   */
  async run(
    tell: (what: string) => void = () => {},
    only: readonly string[] = [],
    before?: KillsResult,
  ): Promise<KillsResult> {
    for (const scenario of SCENARIOS) {
      if (only.length > 0 && !only.includes(scenario.name)) continue;
      const names = this.plan.allKillers ? scenario.full : scenario.quick;
      const kinds = names.map(killerNamed).filter((kind) => this.canRun(kind));
      for (let block = 0; block < this.plan.killBlocks; block++) {
        tell(`${scenario.label}, block ${block + 1} of ${this.plan.killBlocks}`);
        for (let i = 0; i < kinds.length; i++) {
          await this.block(scenario, kinds[(block + i) % kinds.length]!);
        }
      }
      await this.makeUp(scenario, kinds);
    }
    const result = this.result();
    if (only.length === 0 || before === undefined) return result;
    const kept = before.series.filter(({ scenario }) => !only.includes(scenario));
    return { ...result, series: [...kept, ...result.series], skipped: before.skipped };
  }

  /** Blocks that were cut short are made up for, as far as the machine lets them. */
  private async makeUp(scenario: ScenarioKind, kinds: readonly KillerKind[]): Promise<void> {
    const { killBlocks, killsPerBlock } = this.plan;
    for (const kind of kinds) {
      for (let extra = 0; extra < killBlocks; extra++) {
        const { kills, early, survived } = this.tally(scenario.name, kind.name);
        if (survived > 0 || kills.length + early >= killBlocks * killsPerBlock) break;
        await this.block(scenario, kind);
      }
    }
  }

  private canRun(kind: KillerKind): boolean {
    const problem = kind.unavailable();
    if (problem !== undefined) this.skipped.add(`${kind.label}: ${problem}`);
    return problem === undefined;
  }

  /** Some kills by one killer, started for them. */
  async block(scenario: ScenarioKind, kind: KillerKind): Promise<Tally> {
    const { killsPerBlock } = this.plan;
    const tally = this.tally(scenario.name, kind.name);
    await using company = new AsyncDisposableStack();
    if (scenario.company === "crowd") {
      const crowd = company.use(this.toolbox.run("load", ["crowd", CROWD], OTHER_UID));
      await crowd.until("ready");
    }
    await using killer = await kind.start(this.toolbox);
    await using stage = await Stage.open(this.toolbox, BENCH_UID);
    if (scenario.company === "busy") {
      for (let cpu = 0; cpu < navigator.hardwareConcurrency; cpu++) {
        company.use(this.toolbox.run("load", ["spin", cpu]));
      }
    }
    await sleep(KNOWN_MS);
    for (let kill = 0; kill < killsPerBlock; kill++) {
      const ending = await stage.raise({
        ...scenario.hogs,
        line: killer.line,
        capMib: MIB_PAST_LINE_MAX,
        delayUs: this.random() * kind.periodMs * 1000,
        timeoutMs: TIMEOUT_MS,
      });
      // Others took or gave back memory while the line was being drawn: begin anew.
      if (ending.kind === "short") return tally;
      await this.note(tally, ending, killer, kill === 0);
      // Whoever let one live will let the next one live too.
      if (ending.kind === "survived") return tally;
      await sleep(kind.pauseMs);
    }
    return tally;
  }

  private async note(
    tally: Tally,
    ending: Ending,
    { toom }: Killer,
    isFirst: boolean,
  ): Promise<void> {
    if (ending.kind === "survived") tally.survived++;
    else if (ending.kind === "early") tally.early++;
    else if (ending.kind === "killed") {
      tally.kills.push(ending);
      if (isFirst) tally.firsts.push(ending);
      if (toom === undefined) return;
      const { pid } = ending;
      // Numbers may come back: the newest line is meant.
      await toom.waitFor("killed", (line) => line["pid"] === pid, LOG_MS_MAX);
      const kill = toom.of("kill").findLast((line) => line["pid"] === pid)!;
      const killed = toom.of("killed").findLast((line) => line["pid"] === pid)!;
      tally.latencyUs.push(Number(kill["latencyUs"]));
      if (isFirst) tally.firstLatencyUs.push(Number(kill["latencyUs"]));
      tally.logOverKib.push(Number(kill["overshootBytes"]) / 1024);
      tally.exitUs.push(Number(killed["exitUs"]));
    }
  }

  private tally(scenario: string, killer: string): Tally {
    const key = `${scenario} ${killer}`;
    let tally = this.tallies.get(key);
    if (tally === undefined) {
      tally = {
        kills: [],
        firsts: [],
        latencyUs: [],
        firstLatencyUs: [],
        logOverKib: [],
        exitUs: [],
        survived: 0,
        early: 0,
      };
      this.tallies.set(key, tally);
    }
    return tally;
  }

  /** 0 to 1; the same in every run. */
  private random(): number {
    this.seed = Math.imul(this.seed, 1_664_525) + 1_013_904_223 | 0;
    return (this.seed >>> 0) / 2 ** 32;
  }

  private result(): KillsResult {
    const series: KillSeries[] = [];
    for (const [key, tally] of this.tallies) {
      const [scenario, killer] = key.split(" ") as [string, string];
      const of = (
        name: string,
        values: readonly number[],
      ): Readonly<Record<string, Summary>> => {
        const summary = summarize(values);
        return summary === undefined ? {} : { [name]: summary };
      };
      series.push({
        scenario,
        killer,
        label: killerNamed(killer).label,
        kills: tally.kills.length,
        survived: tally.survived,
        early: tally.early,
        ...of("stopUs", tally.kills.map(({ stopUs }) => stopUs)),
        ...of("deathUs", tally.kills.map(({ deathUs }) => deathUs)),
        ...of("overKib", tally.kills.map(({ overKib }) => overKib)),
        ...of("firstStopUs", tally.firsts.map(({ stopUs }) => stopUs)),
        ...of("logLatencyUs", tally.latencyUs),
        ...of("firstLogLatencyUs", tally.firstLatencyUs),
        ...of("logOverKib", tally.logOverKib),
        ...of("exitUs", tally.exitUs),
      });
    }
    return {
      scenarios: SCENARIOS.map(({ name, label }) => ({ name, label })),
      blocks: this.plan.killBlocks,
      killsPerBlock: this.plan.killsPerBlock,
      series,
      skipped: [...this.skipped],
    };
  }
}
