/** The word that says what rules say of a process. */
import { assertEquals } from "@std/assert";
import {
  clearTag,
  editionOf,
  effectOf,
  inheritTag,
  packTag,
  ruleNumberOf,
  stateOf,
  tagOf,
  TagState,
  weightOf,
} from "../../../pipeline/rules/tag.ts";
import { Effect, VICTIM_RULES_MAX, WEIGHT_MAX } from "../../../pipeline/rules/victim_rule.ts";

Deno.test("a tag gives back what it was made of, at all ends of the ranges", () => {
  for (const effect of Object.values(Effect)) {
    for (const weight of [0, 1, WEIGHT_MAX]) {
      for (const number of [0, 1, VICTIM_RULES_MAX]) {
        for (const state of Object.values(TagState)) {
          for (const generation of [0, 1, 127, 128, 255, 256, 0x7fffffff]) {
            const tag = packTag({ effect, weight, number, edition: 17, state, generation });
            assertEquals(
              [effectOf(tag), weightOf(tag), ruleNumberOf(tag), editionOf(tag), stateOf(tag)],
              [effect, weight, number, 1, state],
            );
            const processes = {
              tag: new Int32Array([tag]),
              generation: new Int32Array([generation]),
            };
            assertEquals(tagOf(processes, 0), tag);
            processes.generation[0]!++;
            assertEquals(tagOf(processes, 0), 0, "the row is another process's");
          }
        }
      }
    }
  }
});

Deno.test("a child has the tag of its parent, but for what is the parent's own", () => {
  const processes = { tag: new Int32Array(2), generation: new Int32Array([5, 9]) };
  const parts = { effect: Effect.protect, weight: 3, number: 2, edition: 1, generation: 5 };
  processes.tag[0] = packTag({ ...parts, state: TagState.found });
  inheritTag(processes, 1, 0);
  const tag = tagOf(processes, 1);
  assertEquals([effectOf(tag), ruleNumberOf(tag), stateOf(tag)], [3, 2, TagState.inherited]);
  // A grandchild too.
  processes.generation[0] = 6;
  inheritTag(processes, 0, 1);
  assertEquals(effectOf(tagOf(processes, 0)), Effect.protect);
  // What was found out about a child stays.
  processes.tag[1] = packTag({
    ...parts,
    effect: Effect.none,
    state: TagState.found,
    generation: 9,
  });
  inheritTag(processes, 1, 0);
  assertEquals(effectOf(tagOf(processes, 1)), Effect.none);
  clearTag(processes, 1);
  processes.tag[0] = packTag({ ...parts, state: TagState.own, generation: 6 });
  inheritTag(processes, 1, 0);
  assertEquals(tagOf(processes, 1), 0);
});
