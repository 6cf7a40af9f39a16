/**
 * How much is measured. `full` takes some 40 minutes, `quick` less than 5, `tiny` is for the tests.
 *
 * @module
 */

export interface Plan {
  readonly mode: "full" | "quick" | "tiny";
  /** Memory allocation speed: rounds, each with all states, and areas touched in a state. */
  readonly allocationRounds: number;
  readonly allocationAreas: number;
  /** Kills of each killer: blocks, each with a start of its own, and kills in a block. */
  readonly killBlocks: number;
  readonly killsPerBlock: number;
  /** Whether all killers take part in all scenarios, or only in the first. */
  readonly allKillers: boolean;
  /** Kills that are followed through the kernel's scheduler. */
  readonly breakdownKills: number;
  /** Cost of an event: rounds over all sizes. */
  readonly costRounds: number;
  /** CPU of the workers: pages touched. */
  readonly cpuPages: number;
  /** Loss: kernel buffers to try, and how long a rate must be held. */
  readonly lossBuffersKib: readonly number[];
  readonly lossMs: number;
  /** At rest: how many of the sizes, and how long each is watched. */
  readonly restSizes: number;
  readonly restMs: number;
  /** Collections in hot workers: events, at least. */
  readonly steadyEvents: number;
  /** tmalloc: requests of each client. */
  readonly trips: number;
  /** tmalloc: rounds of allocations. */
  readonly leaseRounds: number;
}

export const FULL: Plan = {
  mode: "full",
  allocationRounds: 16,
  allocationAreas: 100,
  killBlocks: 5,
  killsPerBlock: 40,
  allKillers: false,
  breakdownKills: 200,
  costRounds: 9,
  cpuPages: 4_000_000,
  lossBuffersKib: [64, 256, 1024, 4096],
  lossMs: 2000,
  restSizes: 3,
  restMs: 70_000,
  steadyEvents: 10_000_000,
  trips: 20_000,
  leaseRounds: 100,
};

export const QUICK: Plan = {
  mode: "quick",
  allocationRounds: 3,
  allocationAreas: 40,
  killBlocks: 2,
  killsPerBlock: 5,
  allKillers: false,
  breakdownKills: 20,
  costRounds: 3,
  cpuPages: 1_000_000,
  lossBuffersKib: [256, 4096],
  lossMs: 500,
  restSizes: 2,
  restMs: 10_000,
  steadyEvents: 2_000_000,
  trips: 2000,
  leaseRounds: 10,
};

export const TINY: Plan = {
  mode: "tiny",
  allocationRounds: 1,
  allocationAreas: 3,
  killBlocks: 1,
  killsPerBlock: 2,
  allKillers: false,
  breakdownKills: 2,
  costRounds: 1,
  cpuPages: 20_000,
  lossBuffersKib: [256],
  lossMs: 100,
  restSizes: 1,
  restMs: 1000,
  steadyEvents: 50_000,
  trips: 50,
  leaseRounds: 1,
};
