import { assert, assertThrows } from "@std/assert";
import { Sim, SIM_DEFAULTS, type SimOptions, type SimResult } from "../_support/sim.ts";
import { withSeeds } from "../_support/random.ts";

const SEEDS = 120;

/** Runs many seeds; says that what the variant is about did happen. */
function simulate(options: Partial<SimOptions>, seeds = SEEDS): SimResult[] {
  const results: SimResult[] = [];
  withSeeds(seeds, (_, seed) => {
    results.push(new Sim({ ...SIM_DEFAULTS, ...options, seed }).run());
  });
  return results;
}

const VARIANTS: Readonly<Record<string, Partial<SimOptions>>> = {
  "in the order of time: off by what is in flight, never by more": {},
  "by events alone, without a sweep": { sweeps: false, hardPages: 1e6 },
  "on four CPUs": { cpus: 4 },
  "with a ring of four records": { ringRecords: 4 },
  "with events of one CPU that come late": { skew: true },
  "with two readers": { readers: 2, cpus: 4, skew: true },
  "with processes from before": { before: 60 },
  "with logins that nobody announces": { logins: true, before: 10 },
  "with changes of user": { changesUsers: true, before: 30 },
  "with strangers that write": { foreign: true, before: 20 },
  "with lost events": { loses: true, before: 20 },
  "with restarts of accounting and killer": { restarts: true, before: 20 },
  "with roles that stand still": { stalls: true },
  "with pages that are shared and copied": { shares: true },
  "with shared pages and two readers": { shares: true, readers: 2, cpus: 4, skew: true },
  "with everything at once": {
    before: 40,
    cpus: 3,
    readers: 2,
    skew: true,
    logins: true,
    loses: true,
    restarts: true,
    stalls: true,
    changesUsers: true,
    foreign: true,
    shares: true,
  },
};

for (const [name, options] of Object.entries(VARIANTS)) {
  Deno.test(`books and kills hold their promises ${name}`, () => {
    const results = simulate(options);
    const limits = options.hardPages === undefined;
    assert(
      !limits || results.some(({ kills }) => kills > 0) || results.length === 1,
      "nobody was killed",
    );
    if (options.loses) assert(results.some(({ losses }) => losses > 0), "nothing was lost");
  });
}

Deno.test("a simulation runs the same way twice", () => {
  const run = (): string => {
    const { events, kills, reports } = new Sim({ ...SIM_DEFAULTS, seed: 7 }).run();
    return JSON.stringify([events, kills, reports.map(({ name, values }) => [name, values])]);
  };
  assert(run() === run());
});

/** Canaries: the simulator must find what is put in. */
function findsSabotage(sabotage: SimOptions["sabotage"], expected: string): void {
  const messages: string[] = [];
  for (let seed = 1; seed <= 40; seed++) {
    try {
      new Sim({ ...SIM_DEFAULTS, seed, sabotage }).run();
    } catch (error) {
      messages.push(String(error));
    }
  }
  assert(messages.some((message) => message.includes(expected)), messages.join("\n") || "nothing");
  assert(messages[0]?.includes('"seed":'), "the seed is not named");
}

Deno.test("canary: a delta that is off by one is found", () => findsSabotage("delta", "I4"));
Deno.test("canary: a usage that is no sum is found", () => findsSabotage("sum", "I3"));
Deno.test("canary: a second victim at once is found", () => findsSabotage("patience", "I2"));
Deno.test("canary: a killer that ignores what is being freed is found", () => {
  findsSabotage("dying", "I2");
});
Deno.test("canary: a protected victim is found", () => findsSabotage("identity", "I1"));

Deno.test("a handle that is closed twice is found", () => {
  const sim = new Sim(SIM_DEFAULTS);
  const handle = sim.open([...sim.kernel.processes.keys()][0]!);
  sim.close(handle);
  assertThrows(() => sim.close(handle), Error, "closed twice");
});
