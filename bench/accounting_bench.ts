/**
 * The accounting agent alone, from a ring that is full: the cost of an event must not depend on how
 * many processes or users there are.
 *
 * A process has 256 events in a row, less than a full time slice of one that grows. `short turns`
 * shows what is worse than life: then most events wait for memory, as no cache holds 10 000 rows.
 *
 * @module
 */
import { AccountingRun } from "./support/accounting_run.ts";

const EVENTS = 65_536;
const SIZES = [
  { processes: 1, users: 1 },
  { processes: 10, users: 1 },
  { processes: 1000, users: 1 },
  { processes: 10_000, users: 1 },
  { processes: 1000, users: 100 },
  { processes: 10_000, users: 5000 },
];
const RUN = 256;

interface Case {
  readonly group: string;
  readonly processes: number;
  readonly users: number;
  readonly aboveSoft: boolean;
  readonly run: number;
  readonly baseline: boolean;
}

const cases: Case[] = [];
for (const aboveSoft of [false, true]) {
  const group = aboveSoft ? "above soft" : "below soft";
  SIZES.forEach((size, index) =>
    cases.push({ group, ...size, aboveSoft, run: RUN, baseline: index === 0 })
  );
}
for (const run of [32, 1]) {
  for (const size of [SIZES[1]!, SIZES.at(-1)!]) {
    const baseline = run === 32 && size === SIZES[1];
    cases.push({ group: "short turns", ...size, aboveSoft: false, run, baseline });
  }
}

for (const { group, baseline, ...options } of cases) {
  const { processes, users, run } = options;
  // Made when its turn comes: the memories of all at once would be some 300 MiB.
  let made: AccountingRun | undefined;
  Deno.bench({
    name: `${processes} processes, ${users} users, turns of ${run}, ${EVENTS} events`,
    group,
    baseline,
    fn: (b) => {
      made ??= new AccountingRun({ ...options, ringRecords: EVENTS });
      made.fill();
      b.start();
      made.drain();
      b.end();
    },
  });
}
