/**
 * The receipt of a kill as it is kept, and how it is made of an entry of the journal.
 *
 * @module
 */
import type { KillRow, WeighedRow } from "../fields/kill_fields.ts";
import type { GraceOutcomeName, KilledEvent } from "../journal/events.ts";
import type { JournalEntry } from "../journal/journal.ts";

export type KillRecord = KillRow & {
  /** Beside the victim: those that were weighed, best first, then those that were left out. */
  readonly others: WeighedRow[];
};

/** What is known when a victim is gone; without amount and time it is not, as it was spared. */
export interface KillEnd {
  readonly id: string;
  readonly freedBytes: number | null;
  readonly exitUs: number | null;
  readonly exitStatus: number | null;
  readonly outcome: GraceOutcomeName | null;
}

/** The most that a user was charged within an hour. */
export interface HourPeak {
  /** Milliseconds since 1970 at the beginning of the hour. */
  readonly hourMs: number;
  readonly uid: number;
  readonly peakBytes: number;
}

/**
 * @param pageBytes Bytes of a page of this machine.
 * @param nowNs CLOCK_MONOTONIC.
 * @returns undefined: the entry tells of no kill.
 */
export function recordOf(
  { event, at, monotonicNs, receipt }: JournalEntry,
  pageBytes: number,
  nowNs: number,
): KillRecord | undefined {
  if (event.event !== "kill" || receipt === undefined) return undefined;
  const { usagePages, sharedPages, latencyUs } = event;
  const { others, ...facts } = receipt;
  return {
    id: event.id,
    at: at.toISOString(),
    user: event.user,
    uid: event.uid,
    pid: event.pid,
    comm: event.comm,
    trigger: event.trigger,
    dryRun: event.dryRun,
    usagePages,
    countedPages: usagePages + sharedPages,
    sharedPages,
    hardPages: event.hardPages,
    overshootBytes: event.overshootBytes,
    pageBytes,
    victimPages: event.victimPages,
    sharers: event.sharers,
    crossedAt: new Date(at.getTime() - latencyUs / 1000).toISOString(),
    latencyUs: Math.max(0, latencyUs),
    toldUs: Math.max(0, Math.round((nowNs - monotonicNs) / 100) / 10),
    freedBytes: null,
    exitUs: null,
    exitStatus: null,
    signal: event.signal,
    graceMs: event.graceMs,
    ceilingPages: event.ceilingPages,
    unit: event.unit,
    unitProcesses: event.unitProcesses,
    storm: event.storm,
    outcome: null,
    ...facts,
    // The books may not have heard of the page that a program in the kernel has killed for.
    peakPages: Math.max(facts.peakPages, usagePages),
    others: others.map((other) => ({ ...other })),
  };
}

/** @param id Of the kill that it is the end of. */
export function endOf(
  id: string,
  { freedBytes, exitUs, exitStatus, outcome }: KilledEvent,
): KillEnd {
  return { id, freedBytes, exitUs: Math.max(0, exitUs), exitStatus, outcome };
}

/** Who was asked to end and is left alone. */
export function sparedOf(id: string): KillEnd {
  return { id, freedBytes: null, exitUs: null, exitStatus: null, outcome: "spared" };
}

/** A receipt with its end. */
export function withEnd(
  record: KillRecord,
  { freedBytes, exitUs, exitStatus, outcome }: KillEnd,
): KillRecord {
  return { ...record, freedBytes, exitUs, exitStatus, outcome };
}
