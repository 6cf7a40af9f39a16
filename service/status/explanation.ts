/**
 * Why nobody of a user is killed now, or who would be: the same ranking as the killer's, over the same
 * tables, with what /proc says of protection at this moment.
 *
 * @module
 */
import { givesBackPages } from "../../pipeline/books/charge.ts";
import { Ranking } from "../../pipeline/kill/ranking.ts";
import { VOLUNTEER_SCORE_ADJ } from "../../pipeline/kill/verdicts.ts";
import { isNoLimit, type LimitRule } from "../../pipeline/limits/limits.ts";
import {
  ProcessState,
  TABLE_HEADER_BYTES,
  TableWord,
  VICTIMS_MAX,
  VictimState,
} from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { isPlain, packPlan } from "../../pipeline/memory/kill_plan.ts";
import { SettingsView } from "../../pipeline/memory/settings.ts";
import { memberNames } from "../../pipeline/limits/members.ts";
import { asksForCulprit, packPolicy, unpackPolicy } from "../../pipeline/memory/victim_policy.ts";
import { effectOf, tagOf } from "../../pipeline/rules/tag.ts";
import { Effect } from "../../pipeline/rules/victim_rule.ts";
import { planReport } from "../control/plan_shape.ts";
import type { Explanation, ProcessReport, Unmet, UserReport } from "../control/control_api.ts";
import type { OriginRule } from "../limits/origin_rule.ts";
import { ruleOf, ruleText, userSlotOf } from "./user_facts.ts";
import { unseenUserReport, type UserContext, userReport } from "./user_report.ts";

/** Processes that are told of, and of which /proc is asked: the first by the ranking's order. */
const PROCESSES_MAX = 50;
/** proc(5): the kernel never chooses it, nor does toom. */
const PROTECTED_SCORE_ADJ = -1000;

/** What /proc says now; both undefined: it is gone. */
export interface ProcessNames {
  comm(pid: number): string | undefined;
  oomScoreAdj(pid: number): number | undefined;
}

export interface ExplanationContext extends UserContext {
  readonly memory: Memory;
  readonly rules: readonly OriginRule[];
  readonly ownerOf: (uid: number) => number;
  /** The rule of a tag in words, null when there is none. */
  readonly ruleNameOf: (tag: number) => string | null;
  readonly names: ProcessNames;
  readonly pageBytes: number;
  readonly memberNames: string;
  readonly degraded: boolean;
  readonly near: Explanation["near"];
  readonly source: Explanation["source"];
}

/** @param uid That was asked for; explained is whom it counts for. */
export function explain(context: ExplanationContext, uid: number): Explanation {
  const { memory, rules, ownerOf } = context;
  const ownerUid = ownerOf(uid);
  const rule = ruleOf(rules, ownerUid);
  const slot = userSlotOf(memory, ownerUid);
  const user = slot < 0 ? undefined : userReport(memory, slot, context);
  const { victimPolicy, dryRun, kernelTrigger, ...settings } = new SettingsView(memory.settings)
    .current;
  const plan = { ...settings.plan, ...rule?.plan };
  const ranking = new Ranking(memory, victimPolicy);
  const policy = slot < 0 ? packPolicy(victimPolicy) : ranking.policyWordOf(slot);
  const base = {
    uid,
    ownerUid,
    rule: rule === undefined ? null : ruleText(rule),
    counted: rule?.countMask === undefined
      ? context.memberNames
      : memberNames(rule.countMask) + (settings.creditsShares ? "" : "+sum"),
    policy: unpackPolicy(policy),
    plan: planReport(plan),
    storm: { ...settings.storm, ...rule?.storm },
    pageBytes: context.pageBytes,
    source: context.source,
    // Programs in the kernel kill nobody of a user whose plan or policy needs thought.
    kernelTrigger: kernelTrigger && context.source === "bpf" && !asksForCulprit(policy) &&
      isPlain(packPlan(plan, settings.storm)),
    degraded: context.degraded,
    ...(context.near === undefined ? {} : { near: context.near }),
  };
  if (user === undefined || slot < 0) {
    return { ...base, user: unseen(context, ownerUid, rule), ...NOTHING };
  }
  const found = processesOf(context, slot, ranking);
  return {
    ...base,
    user,
    unmet: unmetOf(user, found, dryRun),
    graceSeconds: graceSeconds(found, context.nowNs),
    processes: found.shown,
    freeablePages: found.freeablePages,
    protectedPages: found.protectedPages,
    dyingPages: found.dyingPages,
    secondsToSoft: secondsTo(user.softPages, user),
    secondsToHard: secondsTo(user.hardPages, user),
    samples: context.samples.of(slot).map(({ atNs, usagePages }) => ({
      agoSeconds: Math.max(0, Math.round((context.nowNs - atNs) / 1e8) / 10),
      usagePages,
    })),
  };
}

const NOTHING = {
  unmet: [],
  processes: [],
  freeablePages: 0,
  protectedPages: 0,
  dyingPages: 0,
  secondsToSoft: null,
  secondsToHard: null,
  samples: [],
};

function unseen(
  context: UserContext,
  uid: number,
  rule: LimitRule | undefined,
): UserReport | null {
  if (rule === undefined || isNoLimit(rule)) return null;
  return unseenUserReport(uid, rule, context);
}

interface FoundProcesses {
  readonly shown: ProcessReport[];
  /** What the ends of all that may be killed give back. */
  readonly freeablePages: number;
  readonly protectedPages: number;
  readonly dyingPages: number;
  /** Until then those may take that were asked to end; 0: nobody was. */
  readonly graceUntilNs: number;
}

/** null: nobody was asked to end. */
function graceSeconds({ graceUntilNs }: FoundProcesses, nowNs: number): number | null {
  if (graceUntilNs === 0) return null;
  return Math.max(0, Math.round((graceUntilNs - nowNs) / 1e8) / 10);
}

function processesOf(
  context: ExplanationContext,
  userSlot: number,
  ranking: Ranking,
): FoundProcesses {
  const { memory, names, nowNs } = context;
  const { processes } = memory;
  const dying = victimSlots(memory, userSlot, VictimState.dying);
  const asked = victimSlots(memory, userSlot, VictimState.asked);
  const all = rowsOf(memory, userSlot).map((slot) => ({
    slot,
    pid: processes.tgid[slot]!,
    countedPages: Math.max(0, processes.pages[slot]!),
    givesBackPages: givesBackPages(processes, slot),
    growthPagesPerSecond: ranking.gainedPages(slot, nowNs),
  })).sort((a, b) => b.countedPages - a.countedPages);
  const scores = new Map<number, number>();
  for (const { slot, pid } of all.slice(0, PROCESSES_MAX)) {
    scores.set(slot, names.oomScoreAdj(pid) ?? 0);
  }
  const isProtected = (slot: number): boolean =>
    scores.get(slot) === PROTECTED_SCORE_ADJ ||
    effectOf(tagOf(processes, slot)) === Effect.protect;
  // As the killer does it: volunteers first, if that suffices.
  const volunteers = (slot: number): number => {
    const score = scores.get(slot) ?? 0;
    return score >= VOLUNTEER_SCORE_ADJ ? score : 0;
  };
  const overPages = Math.max(
    1,
    memory.users.usagePages[userSlot]! -
      memory.users.creditPages[userSlot]! - memory.users.hardPages[userSlot]!,
  );
  const leavesOut = (slot: number): boolean =>
    dying.has(slot) || asked.has(slot) || isProtected(slot);
  ranking.rank(userSlot, nowNs, leavesOut, 0, volunteers, overPages);
  const next = ranking.count === 0 ? -1 : ranking.best[0]!.slot;
  let freeablePages = 0;
  let protectedPages = 0;
  let dyingPages = 0;
  for (const { slot, countedPages, givesBackPages: freed } of all) {
    if (dying.has(slot)) dyingPages += countedPages;
    else if (isProtected(slot)) protectedPages += countedPages;
    else freeablePages += freed;
  }
  const fateOf = (slot: number): ProcessReport["fate"] => {
    if (dying.has(slot)) return "dying";
    if (asked.has(slot)) return "asked";
    if (isProtected(slot)) return "protected";
    if (slot === next) return "next";
    return ranking.avoids(slot) ? "avoided" : "candidate";
  };
  const first = all.slice(0, PROCESSES_MAX);
  if (next >= 0 && !first.some(({ slot }) => slot === next)) {
    first[first.length - 1] = all.find(({ slot }) => slot === next)!;
  }
  const shown = first.map(({ slot, pid, ...pages }) => ({
    pid,
    comm: names.comm(pid) ?? "",
    ...pages,
    oomScoreAdj: scores.get(slot) ?? names.oomScoreAdj(pid) ?? 0,
    fate: fateOf(slot),
    rule: context.ruleNameOf(tagOf(processes, slot)),
  }));
  const graceUntilNs = Math.max(0, ...asked.values());
  return { shown, freeablePages, protectedPages, dyingPages, graceUntilNs };
}

function rowsOf({ processes, buffer, plan }: Memory, userSlot: number): number[] {
  const header = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  const highWater = Atomics.load(header, TableWord.highWater);
  const rows: number[] = [];
  for (let row = 0; row < highWater; row++) {
    if (processes.userSlot[row] !== userSlot || processes.tgid[row]! <= 0) continue;
    if (processes.state[row] !== ProcessState.free) rows.push(row);
  }
  return rows;
}

/** Processes of a user that were signalled and are not gone, each with the end of its grace. */
function victimSlots(
  { victims, processes }: Memory,
  userSlot: number,
  state: number,
): Map<number, number> {
  const slots = new Map<number, number>();
  for (let row = 0; row < VICTIMS_MAX; row++) {
    if (victims.state[row] !== state || victims.userSlot[row] !== userSlot) continue;
    const slot = victims.processSlot[row]!;
    if (processes.generation[slot] !== victims.processGeneration[row]) continue;
    slots.set(slot, victims.graceUntilNs[row]!);
  }
  return slots;
}

/** What is missing for a kill; nothing: one is under way. */
function unmetOf(user: UserReport, found: FoundProcesses, dryRun: boolean): Unmet[] {
  const unmet: Unmet[] = [];
  const overPages = user.usagePages - user.hardPages;
  if (overPages <= 0) unmet.push("not-over");
  else if (found.dyingPages >= overPages) unmet.push("dying-suffice");
  else if (found.graceUntilNs > 0) unmet.push("has-grace");
  if (user.inDoubt) unmet.push("in-doubt");
  if (!found.shown.some(({ fate }) => fate === "next")) unmet.push("no-candidate");
  else if (overPages > 0 && found.protectedPages > 0 && found.freeablePages < overPages) {
    unmet.push("protected-hold-it");
  }
  if (dryRun) unmet.push("dry-run");
  return unmet;
}

/** null: at the present growth never, or it is there already. */
function secondsTo(pages: number, user: UserReport): number | null {
  if (user.growthPagesPerSecond <= 0 || pages <= user.usagePages) return null;
  return Math.round((pages - user.usagePages) / user.growthPagesPerSecond * 10) / 10;
}
