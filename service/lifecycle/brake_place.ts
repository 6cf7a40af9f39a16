/**
 * Whether the brake can be had on this machine, and the end of what it has lowered.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { type BrakeMeans, tryBrake, undoBrake } from "../../kernel/brake/brake_world.ts";
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import type { Journal } from "../journal/journal.ts";
import type { SupervisorOptions } from "./options.ts";

/** By then all that was lowered is given back at the end, or is left to the next start. */
const UNDO_MS_MAX = 300;

/** Tries it out; where it cannot be and somebody wants it, that is told, once. */
export function findBrake(
  { brake }: Pick<SupervisorOptions, "brake">,
  rules: readonly LimitRule[],
  journal: Journal,
): BrakeMeans | null {
  try {
    return tryBrake();
  } catch (error) {
    const isWanted = brake !== "off" || rules.some((rule) => (rule.brake ?? "off") !== "off");
    if (isWanted) {
      const message = `brakes nobody: ${messageOf(error)}; hard limits are enforced as ever`;
      journal.publish({ event: "config", message });
    }
    return null;
  }
}

/** Gives back what is lowered. The workers have ended. */
export async function endBrake(
  { stateDirPath }: Pick<SupervisorOptions, "stateDirPath">,
  journal: Journal,
): Promise<void> {
  try {
    const left = await undoBrake(stateDirPath, UNDO_MS_MAX);
    if (left === 0) return;
    const message = `${left} groups of processes could not be given back their RLIMIT_DATA yet; ` +
      "the next start of toom tries again";
    journal.publish({ event: "error", where: "brake", message });
  } catch (error) {
    journal.publish({ event: "error", where: "brake", message: messageOf(error) });
  }
}
