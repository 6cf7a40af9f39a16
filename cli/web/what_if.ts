/**
 * What a page asks of a recording: its decisions with the limits of all users or of one made smaller or
 * larger, and by another victim policy.
 *
 * @module
 */
import {
  HARD_PAGES_MAX,
  isNoLimit,
  type LimitRule,
  LimitRules,
} from "../../pipeline/limits/limits.ts";
import { quote } from "../../pipeline/limits/units.ts";
import { VICTIM_POLICIES, type VictimPolicy } from "../../pipeline/memory/victim_policy.ts";
import type { WhatIf } from "../../pipeline/replay/recording_replay.ts";
import { readUid, Refusal } from "./answer.ts";

export const PERCENT_MIN = 1;
export const PERCENT_MAX = 10_000;

export interface Question {
  /** Whose limit it is about; undefined: those of all. */
  readonly uid: number | undefined;
  /** Of each limit, soft and hard, as it was; a whole number from {@link PERCENT_MIN}. */
  readonly percent: number;
  /** For those whose limits name none; undefined: as it was. */
  readonly victim: VictimPolicy | undefined;
}

export const NO_QUESTION: Question = { uid: undefined, percent: 100, victim: undefined };

/** Reads `percent=80&uid=1000&victim=newest`; what is left out is as it was. @throws {Refusal} */
export function readQuestion(params: URLSearchParams): Question {
  const uid = params.get("uid");
  const percent = params.get("percent") ?? "100";
  const victim = params.get("victim");
  if (
    !/^\d{1,5}$/.test(percent) || Number(percent) < PERCENT_MIN || Number(percent) > PERCENT_MAX
  ) {
    throw new Refusal(
      400,
      `percent: expected a number from ${PERCENT_MIN} to ${PERCENT_MAX}, not ${quote(percent)}`,
    );
  }
  const policy = VICTIM_POLICIES.find((one) => one === victim);
  if (victim !== null && policy === undefined) {
    const known = VICTIM_POLICIES.join(", ");
    throw new Refusal(400, `victim: expected one of ${known}, not ${quote(victim)}`);
  }
  return { uid: uid === null ? undefined : readUid(uid), percent: Number(percent), victim: policy };
}

/** The same text for the same question. */
export function questionKey({ uid, percent, victim }: Question): string {
  return percent === 100 ? `100 ${victim}` : `${percent} ${uid} ${victim}`;
}

/** @returns undefined: nothing is other than it was. */
export function whatIfOf({ uid, percent, victim }: Question): WhatIf | undefined {
  if (percent === 100 && victim === undefined) return undefined;
  return {
    ...(percent === 100 ? {} : { limits: (recorded) => scaledLimits(recorded, percent, uid) }),
    ...(victim === undefined ? {} : { settings: { victimPolicy: victim } }),
  };
}

function scaledLimits(recorded: LimitRules, percent: number, uid: number | undefined): LimitRules {
  const rules = new LimitRules();
  for (const rule of recorded.list()) rules.set(uid === undefined ? scaled(rule, percent) : rule);
  const its = uid === undefined ? undefined : recorded.find(uid);
  // One user of a range gets a limit of its own.
  if (its !== undefined) rules.set({ ...scaled(its, percent), uidFirst: uid!, uidLast: uid! });
  return rules;
}

function scaled(rule: LimitRule, percent: number): LimitRule {
  if (isNoLimit(rule)) return rule;
  const part = (pages: number): number =>
    Math.max(1, Math.min(HARD_PAGES_MAX, Math.round(pages * percent / 100)));
  return { ...rule, hardPages: part(rule.hardPages), softPages: part(rule.softPages) };
}
