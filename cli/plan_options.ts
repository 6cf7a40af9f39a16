/**
 * The options that say how a process is killed, and what is done about storms: of `toom run` for all users,
 * of `toom limit set` for those of one limit.
 *
 * @module
 */
import { z } from "zod";
import {
  DEFAULT_PLAN,
  DEFAULT_STORM,
  KILL_UNITS,
  STORM_ACTIONS,
  STORM_KILLS_MAX,
  STORM_SECONDS_MAX,
} from "../pipeline/memory/kill_plan.ts";
import { parseSignal, signalName } from "../pipeline/limits/signals.ts";
import { ceilingText, parseCeiling, parseGrace } from "../service/config/option_values.ts";
import type { LimitRequest } from "../service/control/control_requests.ts";
import { oneOf, type OptionSpec, readAs, wholeNumber } from "./args.ts";

export const PLAN_OPTIONS: readonly OptionSpec[] = [
  {
    name: "kill-signal",
    kind: "string",
    value: "SIGNAL",
    default: signalName(DEFAULT_PLAN.signal),
    help: "Sent first: SIGKILL, or another one after which a process has a grace, such as SIGTERM",
  },
  {
    name: "kill-grace",
    kind: "string",
    value: "DURATION",
    default: `${DEFAULT_PLAN.graceMs / 1000}s`,
    help: "Time from another first signal to SIGKILL",
  },
  {
    name: "kill-ceiling",
    kind: "string",
    value: "PCT",
    default: ceilingText(DEFAULT_PLAN.ceilingPermille),
    help: "Above so much of the hard limit SIGKILL comes at once, whatever the grace",
  },
  {
    name: "kill-unit",
    kind: "string",
    value: KILL_UNITS.join("|"),
    default: DEFAULT_PLAN.unit,
    help:
      "What of the user goes with the victim: what runs on its memory, its process group, its " +
      "session, or its cgroup (scope)",
  },
  {
    name: "storm-kills",
    kind: "string",
    value: "N",
    default: String(DEFAULT_STORM.kills),
    help:
      "More kills of a user than this within --storm-seconds are a storm, which the log tells of " +
      "in two lines; 0: never",
  },
  {
    name: "storm-seconds",
    kind: "string",
    value: "N",
    default: String(DEFAULT_STORM.seconds),
    help: "See --storm-kills",
  },
  {
    name: "storm-then",
    kind: "string",
    value: STORM_ACTIONS.join("|"),
    default: DEFAULT_STORM.then,
    help: "Who is killed in a storm besides: nobody, the parent of what is killed, or its session",
  },
];

/** Of a single limit: what is left out is as `toom run` says. */
export const LIMIT_PLAN_OPTIONS: readonly OptionSpec[] = PLAN_OPTIONS.map(
  ({ default: _, help, ...option }) => ({
    ...option,
    help: `${help} (default: as toom run --${option.name})`,
  }),
);

/** Checks of the values, of `toom run`. */
export const PLAN_SHAPE = {
  "kill-signal": readAs(parseSignal),
  "kill-grace": readAs(parseGrace),
  "kill-ceiling": readAs(parseCeiling),
  "kill-unit": oneOf(KILL_UNITS),
  "storm-kills": wholeNumber(0, STORM_KILLS_MAX),
  "storm-seconds": wholeNumber(1, STORM_SECONDS_MAX),
  "storm-then": oneOf(STORM_ACTIONS),
};

/** Of a single limit: the texts as they are written. */
export const LIMIT_PLAN_SHAPE = {
  "kill-signal": readAs((text) => (parseSignal(text), text)).optional(),
  "kill-grace": readAs((text) => (parseGrace(text), text)).optional(),
  "kill-ceiling": readAs((text) => (parseCeiling(text), text)).optional(),
  "kill-unit": oneOf(KILL_UNITS).optional(),
  "storm-kills": wholeNumber(0, STORM_KILLS_MAX).optional(),
  "storm-seconds": wholeNumber(1, STORM_SECONDS_MAX).optional(),
  "storm-then": oneOf(STORM_ACTIONS).optional(),
};
const _shape = z.object(LIMIT_PLAN_SHAPE);

/** What goes to the daemon. */
export function planRequest(
  given: z.infer<typeof _shape>,
): Pick<LimitRequest, "plan" | "storm"> {
  const plan = said({
    signal: given["kill-signal"],
    grace: given["kill-grace"],
    ceiling: given["kill-ceiling"],
    unit: given["kill-unit"],
  });
  const storm = said({
    kills: given["storm-kills"],
    seconds: given["storm-seconds"],
    then: given["storm-then"],
  });
  return { ...(plan === undefined ? {} : { plan }), ...(storm === undefined ? {} : { storm }) };
}

function said<T extends object>(values: T): T | undefined {
  return Object.values(values).some((value) => value !== undefined) ? values : undefined;
}
