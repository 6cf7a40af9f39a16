/**
 * A plan of a limit, for people.
 *
 * @module
 */
import type { KillPlan, StormBrake } from "../../pipeline/memory/kill_plan.ts";
import { signalName } from "../../pipeline/limits/signals.ts";

/** What it says: `SIGTERM, grace 5 s, ceiling 105 %, unit session`; null: nothing. */
export function planText(
  { plan, storm }: { readonly plan?: Partial<KillPlan>; readonly storm?: Partial<StormBrake> },
): string | null {
  const { signal, graceMs, ceilingPermille, unit } = plan ?? {};
  const { kills, seconds, then } = storm ?? {};
  const text = [
    signal === undefined ? "" : signalName(signal),
    graceMs === undefined ? "" : `grace ${graceMs / 1000} s`,
    ceilingPermille === undefined ? "" : `ceiling ${ceilingPermille / 10} %`,
    unit === undefined ? "" : `unit ${unit}`,
    kills === undefined ? "" : `storm above ${kills} kills`,
    seconds === undefined ? "" : `storm within ${seconds} s`,
    then === undefined ? "" : `storm then ${then}`,
  ].filter((part) => part !== "").join(", ");
  return text === "" ? null : text;
}
