/**
 * Tags put on processes by hand, as the sweeper would.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import { packTag, TagState } from "../../pipeline/rules/tag.ts";
import { Effect } from "../../pipeline/rules/victim_rule.ts";

/** Says of a process in the books what a rule says. */
export function putTag(
  { processes }: Memory,
  slot: number,
  effect: keyof typeof Effect,
  weight = 1,
  number = 1,
): void {
  processes.tag[slot] = packTag({
    effect: Effect[effect],
    weight,
    number,
    edition: 1,
    state: TagState.found,
    generation: processes.generation[slot]!,
  });
}
