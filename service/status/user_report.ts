/**
 * What the shared memory tells of a limited user, as of now.
 *
 * @module
 */
import { NO_LIMIT_PAGES, UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { chargedPages } from "../../pipeline/books/charge.ts";
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import { USER_STATE_NAMES, UserState } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import type { UserReport } from "../control/control_api.ts";
import type { NameOf } from "../journal/report_events.ts";
import type { UsageSamples } from "./usage_samples.ts";

export interface UserContext {
  readonly nameOf: NameOf;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly nowNs: number;
  readonly samples: UsageSamples;
  /** Users whose distance from soft is smaller are near; 0: with this source there is no near. */
  readonly nearPages: number;
}

/** @returns undefined: the row is free, or its user has no limit or is not known yet. */
export function userReport(
  { users }: Memory,
  slot: number,
  { nameOf, nowNs, samples, nearPages }: UserContext,
): UserReport | undefined {
  const state = Atomics.load(users.state, slot);
  const hardPages = Atomics.load(users.hardPages, slot);
  if (state === UserState.free || hardPages === NO_LIMIT_PAGES) return undefined;
  if (users.uid[slot] === UNKNOWN_UID) return undefined;
  const uid = users.uid[slot]! >>> 0;
  const usagePages = chargedPages(users, slot);
  const promisedPages = Atomics.load(users.promisedPages, slot);
  const softPages = users.softPages[slot]!;
  return {
    user: nameOf(uid),
    uid,
    usagePages,
    countedPages: users.usagePages[slot]!,
    sharedPages: users.creditPages[slot]!,
    promisedPages,
    softPages,
    hardPages,
    peakPages: Math.max(usagePages, users.peakPages[slot]!),
    growthPagesPerSecond: samples.growthPagesPerSecond(slot, usagePages, nowNs),
    state: USER_STATE_NAMES[state] as UserReport["state"],
    isNear: softPages - usagePages - promisedPages < nearPages,
    inDoubt: users.doubtTsNs[slot] !== 0,
    processes: users.processCount[slot]!,
    refusals: users.refusals[slot]!,
    kills: users.kills[slot]!,
  };
}

/** Of a user with a limit who has not been seen yet. */
export function unseenUserReport(
  uid: number,
  { hardPages, softPages }: Pick<LimitRule, "hardPages" | "softPages">,
  { nameOf, nearPages }: UserContext,
): UserReport {
  return {
    user: nameOf(uid),
    uid,
    usagePages: 0,
    countedPages: 0,
    sharedPages: 0,
    promisedPages: 0,
    softPages,
    hardPages,
    peakPages: 0,
    growthPagesPerSecond: 0,
    state: "ok",
    isNear: softPages < nearPages,
    inDoubt: false,
    processes: 0,
    refusals: 0,
    kills: 0,
  };
}
