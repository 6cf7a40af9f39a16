/**
 * What stands in the file of the limits that were set while running, see state_file.ts.
 *
 * @module
 */
import { z } from "zod";
import { LIMIT_PROCESSES_MAX, UID_MAX } from "../../pipeline/limits/limits.ts";
import {
  CEILING_PERMILLE_MAX,
  GRACE_MS_MAX,
  KILL_UNITS,
  SIGNAL_MAX,
  STORM_ACTIONS,
  STORM_KILLS_MAX,
  STORM_SECONDS_MAX,
} from "../../pipeline/memory/kill_plan.ts";
import { parseMembers } from "../../pipeline/limits/members.ts";
import { FormatError } from "../../pipeline/limits/units.ts";
import { BRAKE_MODES } from "../../pipeline/memory/settings.ts";
import { packPolicy, type VictimPolicy } from "../../pipeline/memory/victim_policy.ts";

/** Raised when an older toom would misread the file. */
export const STATE_VERSION = 1;
/** Tombstones and rules together. */
export const OVERRIDES_MAX = 4096;

const uid = z.number().int().min(0).max(UID_MAX);
const bytes = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);
const within = (least: number, most: number): z.ZodNumber => z.number().int().min(least).max(most);
const Plan = z.strictObject({
  signal: within(1, SIGNAL_MAX).exactOptional(),
  graceMs: within(0, GRACE_MS_MAX).exactOptional(),
  ceilingPermille: within(1000, CEILING_PERMILLE_MAX).exactOptional(),
  unit: z.enum(KILL_UNITS).exactOptional(),
});
const Storm = z.strictObject({
  kills: within(0, STORM_KILLS_MAX).exactOptional(),
  seconds: within(1, STORM_SECONDS_MAX).exactOptional(),
  then: z.enum(STORM_ACTIONS).exactOptional(),
});
const Policy = z.custom<VictimPolicy>(
  (value) => typeof value === "string" && packPolicy(value as VictimPolicy) !== 0,
  "it is no victim policy",
);
function isMembers(text: string): boolean {
  try {
    return parseMembers(text) !== 0;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}
// Bytes and not pages: another kernel may have other pages.
const Override = z.union([
  z.strictObject({
    uidFirst: uid,
    uidLast: uid,
    hardBytes: bytes,
    softBytes: bytes,
    brake: z.enum(BRAKE_MODES).optional(),
    victim: Policy.optional(),
    /** By name: the kernel's numbers are not this file's. */
    count: z.string().refine(isMembers, "it is no list of members").optional(),
    maxProcesses: within(1, LIMIT_PROCESSES_MAX).optional(),
    plan: Plan.optional(),
    storm: Storm.optional(),
  }),
  z.strictObject({ uidFirst: uid, uidLast: uid, unlimited: z.literal(true) }),
  z.strictObject({ uidFirst: uid, uidLast: uid, cleared: z.literal(true) }),
]).refine((override) => override.uidFirst <= override.uidLast, "uidFirst is above uidLast")
  .refine(
    (override) => !("softBytes" in override) || override.softBytes <= override.hardBytes,
    "soft is above hard",
  );
/** A limit that was set or cleared while running. */
export type LimitOverride = z.infer<typeof Override>;

export const StateFile = z.strictObject({
  version: z.literal(STATE_VERSION),
  overrides: z.array(Override).max(OVERRIDES_MAX),
});
