/**
 * What is shown of a kill: its receipt.
 *
 * @module
 */
import { KILL_UNITS } from "../../pipeline/memory/kill_plan.ts";
import type { Fields, RowOf } from "./field.ts";

export const KILL_FIELDS = {
  id: { type: "text", unit: "none", column: "ID", help: "Names the kill, in the log too" },
  at: { type: "time", unit: "none", column: "WHEN", help: "When the signal was sent" },
  user: {
    type: "text",
    unit: "none",
    nullable: true,
    column: "USER",
    help: "Name of the user; null: it was not known at that moment, or there is none",
  },
  uid: { type: "number", unit: "none", column: "UID", help: "The user's uid" },
  pid: { type: "number", unit: "none", column: "PID", help: "The process that was killed" },
  comm: {
    type: "text",
    unit: "none",
    column: "COMMAND",
    help: "Its name, as it had chosen it: not to be trusted",
  },
  trigger: {
    type: "choice",
    choices: ["user", "kernel", "last-defense"],
    unit: "none",
    column: "TRIGGER",
    help: "What made toom act: an event of the user, the kernel, or the look every --interval",
  },
  policy: {
    type: "text",
    unit: "none",
    nothing: "largest",
    help: "By what the victim was chosen, --victim: a policy, or several with weights",
  },
  rule: {
    type: "text",
    unit: "none",
    nullable: true,
    help: "The limit that held: its uids, and who asked for it; null: there is none any more",
  },
  dryRun: { type: "flag", unit: "none", help: "Nobody was signalled, --dry-run" },
  usagePages: {
    type: "number",
    unit: "pages",
    column: "USAGE",
    help: "What the user was charged when toom decided",
  },
  countedPages: {
    type: "number",
    unit: "pages",
    help: "Of all its processes at that moment; usage and shared are parts of it",
  },
  sharedPages: {
    type: "number",
    unit: "pages",
    help: "Share credit: counted more than once, or to be had back from the kernel",
  },
  promisedPages: {
    type: "number",
    unit: "pages",
    help: "Promised by tmalloc and not in use yet",
  },
  peakPages: {
    type: "number",
    unit: "pages",
    help: "The most that the user was charged until then",
  },
  softPages: { type: "number", unit: "pages", help: "The user's soft limit" },
  hardPages: { type: "number", unit: "pages", column: "HARD", help: "The user's hard limit" },
  overshootBytes: {
    type: "number",
    unit: "bytes",
    column: "OVER",
    help: "How far the user was over its hard limit when toom decided",
  },
  pageBytes: { type: "number", unit: "bytes", help: "Bytes of a page of the machine" },
  processes: { type: "number", unit: "none", help: "The user's processes when toom told of it" },
  victimPages: {
    type: "number",
    unit: "pages",
    column: "VICTIM",
    help: "Counted pages of the process that was killed",
  },
  victimAnonPages: {
    type: "number",
    unit: "pages",
    nullable: true,
    help: "Of these, anonymous memory; null: it was gone from the books when toom looked",
  },
  victimFilePages: {
    type: "number",
    unit: "pages",
    nullable: true,
    help: "Pages of files that it had mapped; counted only where --count says so",
  },
  victimShmemPages: {
    type: "number",
    unit: "pages",
    nullable: true,
    help: "Of these, shared memory",
  },
  victimSwapPages: {
    type: "number",
    unit: "pages",
    nullable: true,
    help: "Of these, swapped out",
  },
  sharers: {
    type: "number",
    unit: "none",
    help: "Processes that were killed with it, because they ran on the same memory",
  },
  signal: {
    type: "text",
    unit: "none",
    nullable: true,
    help: "What was sent first: SIGKILL, or what the plan says; null: not known",
  },
  graceMs: {
    type: "number",
    unit: "milliseconds",
    nullable: true,
    help: "Time that it had until SIGKILL; null: that was the first signal",
  },
  ceilingPages: {
    type: "number",
    unit: "pages",
    nullable: true,
    help: "Usage above which SIGKILL comes within that time; null as above",
  },
  unit: {
    type: "choice",
    choices: KILL_UNITS,
    unit: "none",
    help: "What went with it, of its user: its process group, session or cgroup (scope)",
  },
  unitProcesses: {
    type: "number",
    unit: "none",
    help: "Processes of its unit that were signalled with it",
  },
  storm: {
    type: "flag",
    unit: "none",
    help: "One of many in a short time, of which the log has one line",
  },
  dyingPages: {
    type: "number",
    unit: "pages",
    help: "What goes with all of the user's that were dying then, the victim included",
  },
  isDegraded: {
    type: "flag",
    unit: "none",
    help: "Events had been lost, and not everything was read again yet",
  },
  crossedAt: {
    type: "time",
    unit: "none",
    help: "When the page crossed the line, by the kernel's own timestamp",
  },
  beganUs: {
    type: "number",
    unit: "microseconds",
    nullable: true,
    help: "From that page until the killer began; null: a program in the kernel has killed",
  },
  latencyUs: {
    type: "number",
    unit: "microseconds",
    column: "LATENCY",
    help: "From that page until the signal had been sent",
  },
  toldUs: {
    type: "number",
    unit: "microseconds",
    help: "From the signal until the journal had it",
  },
  freedBytes: {
    type: "number",
    unit: "bytes",
    nullable: true,
    help: "What came back with its end; null: it has not ended yet, or toom did not see it",
  },
  exitUs: {
    type: "number",
    unit: "microseconds",
    nullable: true,
    help: "From the signal until its end; null as above",
  },
  exitStatus: {
    type: "number",
    unit: "none",
    nullable: true,
    help: "Its status as wait(2) has it, 9: ended by SIGKILL; null: the kernel did not tell",
  },
  outcome: {
    type: "choice",
    choices: ["ended", "over", "ceiling", "pressure", "spared"],
    unit: "none",
    nullable: true,
    help:
      "ended: by itself within its time; SIGKILL came when that was over, above the ceiling, or " +
      "under pressure of the machine; spared: its user was below its limit; null: it had no such time",
  },
  victimRule: {
    type: "text",
    unit: "none",
    nullable: true,
    help:
      "What a rule of the configuration says of the victim, and its file and line; null: none does",
  },
} as const satisfies Fields;
export type KillRow = RowOf<typeof KILL_FIELDS>;

export const WEIGHED_FIELDS = {
  pid: { type: "number", unit: "none", column: "PID", help: "A process beside the victim" },
  pages: { type: "number", unit: "pages", column: "COUNTED", help: "Its counted pages" },
  givesBackPages: {
    type: "number",
    unit: "pages",
    column: "GIVES BACK",
    help: "Of these, what its end would have given back",
  },
  score: {
    type: "number",
    unit: "none",
    signed: true,
    column: "SCORE",
    help: "By the policy: the highest goes first; 0 of those that were left out",
  },
  oomScoreAdj: {
    type: "number",
    unit: "none",
    signed: true,
    column: "OOM_SCORE_ADJ",
    help: "As it was read last; 0: it was not read",
  },
  fate: {
    type: "choice",
    choices: ["weighed", "protected", "spared", "dying", "avoided"],
    unit: "none",
    column: "FATE",
    help: "weighed: was a candidate; protected: is never killed; spared: could not be killed a " +
      "moment before; dying: was signalled already; avoided: by a rule, as the others suffice",
  },
  rule: {
    type: "text",
    unit: "none",
    nullable: true,
    column: "RULE",
    help: "What a rule of the configuration says of it, and its file and line; null: none does",
  },
} as const satisfies Fields;
export type WeighedRow = RowOf<typeof WEIGHED_FIELDS>;

export const PEAK_FIELDS = {
  hour: { type: "time", unit: "none", column: "HOUR", help: "The hour that begins then" },
  uid: { type: "number", unit: "none", column: "UID", help: "The user's uid" },
  peakBytes: {
    type: "number",
    unit: "bytes",
    column: "PEAK",
    help: "The most that it was charged in that hour, of one sample a second",
  },
} as const satisfies Fields;
export type PeakRow = RowOf<typeof PEAK_FIELDS>;
