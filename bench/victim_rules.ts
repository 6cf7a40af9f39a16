/**
 * What rules about who dies cost a kill: rankings of a user's processes, with and without rules in
 * force, in pairs one after the other, so that what else the machine does meets both alike.
 *
 *     deno run -A bench/victim_rules.ts
 *
 * Prints medians, and the median of the ratios of pairs.
 *
 * @module
 */
import { Ranking } from "../pipeline/kill/ranking.ts";
import { ProcessState, TABLE_HEADER_BYTES, TableWord } from "../pipeline/memory/layout.ts";
import {
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
  type Memory,
} from "../pipeline/memory/memory.ts";
import { packTag, TagState } from "../pipeline/rules/tag.ts";
import { Effect } from "../pipeline/rules/victim_rule.ts";

const PAIRS = 2000;
const RANKINGS = 50;
const RULES = 200;
const NOW_NS = 1e12;

/** A user with so many processes; with rules every one has a tag. */
function makeUser(processes: number, hasRules: boolean): Memory {
  const memory = attachMemory(createMemory({ ...DEFAULT_CAPACITY, processes: 4096 }));
  const { users, processes: rows } = memory;
  users.uid[0] = 1000;
  for (let slot = 0; slot < processes; slot++) {
    rows.tgid[slot] = 1000 + slot;
    rows.pages[slot] = 100 + (slot * 7919) % 1000;
    rows.bornTsNs[slot] = slot;
    rows.state[slot] = ProcessState.alive;
    if (!hasRules) continue;
    rows.tag[slot] = packTag({
      // As it is on a machine: most match nothing, a few are preferred or avoided.
      effect: slot % 40 === 1 ? Effect.avoid : slot % 40 === 2 ? Effect.prefer : Effect.none,
      weight: 1,
      number: 1 + slot % RULES,
      edition: 1,
      state: TagState.found,
      generation: rows.generation[slot]!,
    });
  }
  const header = new Int32Array(memory.buffer, memory.plan.processes, TABLE_HEADER_BYTES / 4);
  header[TableWord.highWater] = processes;
  return memory;
}

function timeNs(ranking: Ranking): number {
  const began = performance.now();
  for (let i = 0; i < RANKINGS; i++) ranking.rank(0, NOW_NS, undefined);
  return (performance.now() - began) * 1e6 / RANKINGS;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

for (const processes of [4, 40, 400]) {
  const without = new Ranking(makeUser(processes, false), "largest");
  const withRules = new Ranking(makeUser(processes, true), "largest");
  for (let i = 0; i < 200; i++) timeNs(i % 2 === 0 ? without : withRules);
  const pairs = Array.from({ length: PAIRS }, (_, turn) => {
    // Who is first takes turns.
    const [a, b] = turn % 2 === 0 ? [without, withRules] : [withRules, without];
    const [first, second] = [timeNs(a!), timeNs(b!)];
    return turn % 2 === 0 ? [first, second] : [second, first];
  });
  const ratio = median(pairs.map(([a, b]) => b! / a!));
  const [a, b] = [0, 1].map((side) => median(pairs.map((pair) => pair[side]!)));
  // deno-lint-ignore no-console
  console.log(
    `${processes} processes: ${(a! / 1000).toFixed(2)} us without rules, ` +
      `${(b! / 1000).toFixed(2)} us with ${RULES}; ratio of pairs ${ratio.toFixed(3)}`,
  );
}
