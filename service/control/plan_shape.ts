/**
 * Plans and storm brakes as the control API has them.
 *
 * @module
 */
import { z } from "zod";
import {
  KILL_UNITS,
  type KillPlan,
  STORM_ACTIONS,
  STORM_KILLS_MAX,
  STORM_SECONDS_MAX,
} from "../../pipeline/memory/kill_plan.ts";
import { parseSignal, signalName } from "../../pipeline/limits/signals.ts";
import { definedOf } from "../config/defined.ts";
import { parseCeiling, parseGrace } from "../config/option_values.ts";

const text = z.string().max(64);

/** What is left out is as `toom run` says. */
export const PlanRequest = z.strictObject({
  /** `SIGTERM`. */
  signal: text.optional(),
  /** `5s`. */
  grace: text.optional(),
  /** `105%` of the hard limit. */
  ceiling: text.optional(),
  unit: z.enum(KILL_UNITS).optional(),
});
export type PlanRequest = z.infer<typeof PlanRequest>;

export const Storm = z.strictObject({
  kills: z.number().int().min(0).max(STORM_KILLS_MAX).optional(),
  seconds: z.number().int().min(1).max(STORM_SECONDS_MAX).optional(),
  then: z.enum(STORM_ACTIONS).optional(),
});
export type Storm = z.infer<typeof Storm>;

export const PlanReport = z.object({
  signal: z.string().optional(),
  graceMs: z.number().int().nonnegative().optional(),
  ceilingPercent: z.number().nonnegative().optional(),
  unit: z.enum(KILL_UNITS).optional(),
});
export type PlanReport = z.infer<typeof PlanReport>;

/** @throws {FormatError} */
export function readPlan({ signal, grace, ceiling, unit }: PlanRequest): Partial<KillPlan> {
  return definedOf({
    signal: signal === undefined ? undefined : parseSignal(signal),
    graceMs: grace === undefined ? undefined : parseGrace(grace),
    ceilingPermille: ceiling === undefined ? undefined : parseCeiling(ceiling),
    unit,
  });
}

export function planReport(plan: Partial<KillPlan>): PlanReport {
  const { signal, graceMs, ceilingPermille, unit } = plan;
  return definedOf({
    signal: signal === undefined ? undefined : signalName(signal),
    graceMs,
    ceilingPercent: ceilingPermille === undefined ? undefined : ceilingPermille / 10,
    unit,
  });
}
