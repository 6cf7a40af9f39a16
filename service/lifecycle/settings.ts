/**
 * The settings of the start, as they are published to the workers.
 *
 * @module
 */
import type { Settings } from "../../pipeline/memory/settings.ts";
import { canReadSmaps } from "../../kernel/proc/smaps.ts";
import type { Journal } from "../journal/journal.ts";
import type { SupervisorOptions } from "./options.ts";

export function settingsOf(options: SupervisorOptions, journal: Journal): Settings {
  return {
    victimPolicy: options.victim,
    countMask: options.memberMask,
    creditsShares: creditsShares(options, journal),
    dryRun: options.dryRun,
    arms: options.arms,
    kernelTrigger: options.kernelTrigger,
    psi: options.psi,
    intervalMs: options.intervalMs,
    minAvailableBytes: options.minAvailableBytes,
    machineVictim: options.machineVictim,
    userProcessesMax: options.userProcessesMax,
    brake: options.brake,
    lowerGraceMs: options.lowerGraceMs,
    plan: {
      signal: options.killSignal,
      graceMs: options.killGraceMs,
      ceilingPermille: options.killCeilingPermille,
      unit: options.killUnit,
    },
    storm: {
      kills: options.stormKills,
      seconds: options.stormSeconds,
      then: options.stormThen,
    },
  };
}

/** Shared pages are credited where they can be measured. */
function creditsShares(options: SupervisorOptions, journal: Journal): boolean {
  if (!options.creditsShares) return false;
  if (canReadSmaps()) return true;
  const message = "counts shared pages in each process, as --count ...+sum does: this kernel " +
    "does not tell what is shared (smaps_rollup, CONFIG_PROC_PAGE_MONITOR)";
  journal.publish({ event: "config", message });
  return false;
}
