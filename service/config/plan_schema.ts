// The return types are what zod infers, and would only repeat the schema.
// deno-lint-ignore-file explicit-function-return-type
/**
 * What a configuration says of how processes are killed, and of storms.
 *
 * @module
 */
import {
  KILL_UNITS,
  STORM_ACTIONS,
  STORM_KILLS_MAX,
  STORM_SECONDS_MAX,
} from "../../pipeline/memory/kill_plan.ts";
import { parseSignal } from "../../pipeline/limits/signals.ts";
import { parseCeiling, parseGrace } from "./option_values.ts";
import { object, text, whole, word } from "./schema_parts.ts";

/** @param otherwise What holds for what is left out. */
export function planSchema(otherwise: string) {
  return object({
    signal: text(
      parseSignal,
      'a signal such as "SIGTERM"',
      ["SIGKILL", "SIGTERM", "INT", "SIGRTMIN+3"],
      "Sent first. `SIGKILL` ends a process at once; after any other it has a grace.",
    ).optional(),
    grace: text(
      parseGrace,
      'a duration such as "5s" or "500ms"',
      ["5s", "500ms", "1m"],
      "Time from another first signal to SIGKILL.",
    ).optional(),
    ceiling: text(
      parseCeiling,
      'a percentage of the hard limit such as "105%"',
      ["105%", "120%"],
      "Above so much of the hard limit SIGKILL comes at once, whatever the grace.",
    ).optional(),
    unit: word(
      KILL_UNITS,
      "What goes with the victim, of the same user: `process`, what runs on its memory; `group`, its " +
        "process group; `session`; `scope`, its cgroup.",
    ).optional(),
  }, `How a process is killed. What is left out is as ${otherwise} says.`);
}

/** @param otherwise As of {@link planSchema}. */
export function stormSchema(otherwise: string) {
  return object(
    {
      kills: whole(
        0,
        STORM_KILLS_MAX,
        "A user that loses more processes than this within `seconds` has a storm, which the log tells of " +
          "in two lines; 0: never.",
      ).optional(),
      seconds: whole(1, STORM_SECONDS_MAX, "See `kills`.").optional(),
      then: word(
        STORM_ACTIONS,
        "Who is killed in a storm besides: nobody (`off`), the parent of what is killed, or its session.",
      ).optional(),
    },
    `What is done when processes come back as they are killed. What is left out is as ${otherwise} says.`,
  );
}
