/**
 * Reports of the workers, turned into events of the journal.
 *
 * @module
 */
import { TABLE_NAMES, UNKNOWN_UID } from "../../pipeline/books/books.ts";
import { PressureReason, TRIGGER_NAMES } from "../../pipeline/memory/layout.ts";
import {
  DEGRADED_REASON_NAMES,
  DENIED_REASONS,
  Fate,
  RefusedStep,
  type Report,
} from "../../pipeline/messages/reports.ts";
import { quote } from "../../pipeline/limits/units.ts";
import { KILL_UNITS, STORM_ACTIONS } from "../../pipeline/memory/kill_plan.ts";
import { signalName } from "../../pipeline/limits/signals.ts";
import { unpackPolicy } from "../../pipeline/memory/victim_policy.ts";
import type { JournalEvent, KillReceipt, TriggerName, UserFacts, Weighed } from "./events.ts";

/** By `GraceOutcome`. */
const OUTCOME_NAMES = [null, "ended", "over", "ceiling", "pressure", "spared"] as const;
/** By {@link Fate}. */
const FATE_NAMES = ["weighed", "protected", "spared", "dying", "avoided"] as const;
/** Of those weighed, in the line of a kill. */
const WEIGHED_SHOWN_MAX = 2;

/** A user's name as passwd has it, null when it has none. */
export type NameOf = (uid: number) => string | null;
export type FactsOf = (uid: number) => UserFacts;
/** The rule of a tag in words, null when there is none. */
export type RuleNameOf = (tag: number) => string | null;

export class ReportEvents {
  private readonly pageBytes: number;
  private readonly nameOf: NameOf;
  private readonly factsOf: FactsOf;
  private readonly ruleNameOf: RuleNameOf;
  private readonly now: () => Date;
  private degradedTsNs = 0;

  /**
   * @param factsOf What is known of a user besides what the killer tells.
   * @param now Wall clock.
   */
  constructor(
    pageBytes: number,
    nameOf: NameOf,
    factsOf: FactsOf,
    ruleNameOf: RuleNameOf,
    now: () => Date,
  ) {
    this.pageBytes = pageBytes;
    this.nameOf = nameOf;
    this.factsOf = factsOf;
    this.ruleNameOf = ruleNameOf;
    this.now = now;
  }

  /** The event of a report; undefined when it is not worth one. */
  eventOf(report: Report): JournalEvent | undefined {
    const { values } = report;
    const number = (key: string): number => values[key]!;
    const uid = (values["uid"] ?? 0) >>> 0;
    switch (report.name) {
      case "soft":
        return {
          event: "soft",
          uid,
          user: this.nameOf(uid),
          usagePages: number("usagePages"),
          softPages: number("softPages"),
          hardPages: number("hardPages"),
        };
      case "kill":
        return this.kill(report, uid);
      case "killed":
        return {
          event: "killed",
          pid: number("pid"),
          uid,
          freedBytes: number("freedPages") * this.pageBytes,
          exitUs: rounded(number("exitUs")),
          exitStatus: orNull(number("exitStatus")),
          outcome: OUTCOME_NAMES[number("outcome")] ?? null,
          storm: number("isStorm") !== 0,
        };
      case "grace":
        return {
          event: "grace",
          uid,
          user: this.nameOf(uid),
          pid: number("pid"),
          comm: new TextDecoder().decode(report.text),
          outcome: OUTCOME_NAMES[number("outcome")] ?? "over",
          tookMs: rounded(number("tookUs") / 1000),
          usagePages: number("usagePages"),
          hardPages: number("hardPages"),
        };
      case "storm":
        return this.storm(report, uid);
      case "lost":
        return { event: "lost", events: number("events"), cpu: number("cpu") };
      case "drift":
        return { event: "drift", uid, pages: number("pages") };
      case "degraded":
        this.degradedTsNs = report.tsNs;
        return { event: "degraded", reason: DEGRADED_REASON_NAMES[number("reason")] ?? "unknown" };
      case "recovered":
        return {
          event: "recovered",
          degradedMs: Math.max(0, Math.round((report.tsNs - this.degradedTsNs) / 1e6)),
        };
      case "tableFull":
        return {
          event: "error",
          where: "accounting",
          message: fullText(TABLE_NAMES[number("table")]!, number("uid")),
        };
      case "killFailed":
        return {
          event: "error",
          where: "killer",
          message: number("errno") === 0
            ? `cannot tell whose pid ${
              number("pid")
            } is, which seems to be of uid ${uid}: left alone`
            : `cannot kill pid ${number("pid")} of uid ${uid}: errno ${number("errno")}`,
        };
      case "noVictim":
        return {
          event: "error",
          where: "killer",
          message: this.noVictim(report, uid),
        };
      case "pressure":
        return {
          event: "trigger",
          trigger: number("reason") === PressureReason.psi ? "kernel" : "last-defense",
          reason:
            (number("reason") === PressureReason.psi
              ? "memory pressure (PSI)"
              : "available memory is below --min-available") +
            (number("helps") !== 0
              ? ""
              : ": nothing is done, for no user of whom somebody may go has " +
                "a process whose end would help"),
        };
      case "tampered":
        return {
          event: "tampered",
          what: new TextDecoder().decode(report.text),
          mended: number("mended") !== 0,
        };
      case "kernelRefused":
        return {
          event: "error",
          where: "kernel",
          message: `refuses ${new TextDecoder().decode(report.text)}: ` +
            (number("step") === RefusedStep.dying
              ? "its programs end nobody of that user until the next is armed"
              : "users are looked at instead, and read from /proc at each interval"),
        };
      case "kernelKill":
        return {
          event: "kernel-kill",
          uid: number("uid") === UNKNOWN_UID ? null : uid,
          pid: number("pid"),
          comm: null,
        };
      case "refused":
        return {
          event: "refused",
          uid,
          user: this.nameOf(uid),
          pid: number("pid"),
          comm: new TextDecoder().decode(report.text),
          leftPages: number("leftPages"),
          leftBytes: number("leftPages") * this.pageBytes,
          dataLimitBytes: number("dataLimitPages") * this.pageBytes,
          usagePages: number("usagePages"),
          softPages: number("softPages"),
          hardPages: number("hardPages"),
        };
      case "denied":
        return {
          event: "denied",
          uid,
          pid: number("pid"),
          committedPages: number("committedPages"),
          requestPages: number("requestPages"),
          hardPages: number("hardPages"),
          reason: DENIED_REASONS[number("reason")]!,
        };
    }
  }

  /** Of a kill, what its event does not tell. */
  receiptOf({ name, values, rows }: Report): KillReceipt | undefined {
    if (name !== "kill") return undefined;
    return {
      ...this.factsOf((values["uid"] ?? 0) >>> 0),
      policy: unpackPolicy(values["policy"]!),
      victimRule: this.ruleNameOf(values["victimTag"]!),
      beganUs: orNull(rounded(values["beganUs"]!)),
      victimFilePages: orNull(values["victimFilePages"]!),
      victimAnonPages: orNull(values["victimAnonPages"]!),
      victimSwapPages: orNull(values["victimSwapPages"]!),
      victimShmemPages: orNull(values["victimShmemPages"]!),
      dyingPages: values["dyingPages"]!,
      isDegraded: values["isDegraded"] !== 0,
      others: rows.map((row) => ({
        pid: row["pid"]!,
        pages: row["pages"]!,
        givesBackPages: row["givesBackPages"]!,
        score: row["score"]!,
        oomScoreAdj: row["oomScoreAdj"]!,
        fate: FATE_NAMES[row["fate"]!]!,
        rule: this.ruleNameOf(row["tag"]!),
      })),
    };
  }

  private noVictim({ values, text }: Report, uid: number): string {
    const number = (key: string): number => values[key]!;
    const uses = `uid ${uid} uses ${number("usagePages")} of ${number("hardPages")} pages`;
    const stuck = number("stuckPages") === 0
      ? ""
      : `; victims that do not end have ${number("stuckPages")} of them`;
    const count = number("protectedCount");
    if (count === 0) return `${uses}, and none of its processes may be killed${stuck}`;
    const rule = this.ruleNameOf(number("protectedTag"));
    const pids = [1, 2, 3].map((i) => number(`protected${i}Pid`)).filter((pid) => pid !== 0);
    return `${uses}, of which protected processes have ${number("protectedPages")} (pid ` +
      `${pids.join(", ")}${count > pids.length ? ` and ${count - pids.length} more` : ""}; the ` +
      `largest is ${quote(new TextDecoder().decode(text))}${
        rule === null ? "" : `, by the rule ${rule}`
      }): killing the others would not help, so ` +
      `nobody is killed${stuck}`;
  }

  private kill(report: Report, uid: number): JournalEvent {
    const { values, text, rows } = report;
    const number = (key: string): number => values[key]!;
    const weighed: Weighed[] = rows.filter((row) => row["fate"] === Fate.weighed)
      .slice(0, WEIGHED_SHOWN_MAX)
      .map((row) => ({ pid: row["pid"]!, pages: row["pages"]! }));
    const usagePages = number("usagePages");
    const hardPages = number("hardPages");
    return {
      event: "kill",
      id: killId(this.now(), number("pid")),
      uid,
      user: this.nameOf(uid),
      pid: number("pid"),
      comm: new TextDecoder().decode(text),
      trigger: TRIGGER_NAMES[number("trigger")] as TriggerName,
      usagePages,
      sharedPages: number("sharedPages"),
      hardPages,
      overshootBytes: Math.max(0, usagePages - hardPages) * this.pageBytes,
      victimPages: number("victimPages"),
      latencyUs: rounded(number("latencyUs")),
      dryRun: number("dryRun") !== 0,
      sharers: number("sharers"),
      brakeLeftPages: number("brakeLeftPages") < 0 ? null : number("brakeLeftPages"),
      signal: signalName(number("signal")),
      unit: KILL_UNITS[number("unit")] ?? "process",
      unitProcesses: number("unitProcesses"),
      graceMs: number("ceilingPages") === 0 ? null : number("graceMs"),
      ceilingPages: number("ceilingPages") === 0 ? null : number("ceilingPages"),
      storm: number("isStorm") !== 0,
      weighed,
      rule: this.ruleNameOf(number("victimTag")),
      kept: rows.flatMap((row) => {
        const rule = isKept(row["fate"]!) ? this.ruleNameOf(row["tag"]!) : null;
        return rule === null ? [] : [{ pid: row["pid"]!, pages: row["pages"]!, rule }];
      }),
    };
  }

  private storm({ values, text }: Report, uid: number): JournalEvent {
    const number = (key: string): number => values[key]!;
    const actedPid = number("actedPid");
    return {
      event: "storm",
      uid,
      user: this.nameOf(uid),
      state: number("isOver") === 0 ? "begins" : "ends",
      kills: number("kills"),
      seconds: rounded(number("seconds")),
      then: STORM_ACTIONS[number("action")] ?? "off",
      actedPid: actedPid === 0 ? null : actedPid,
      actedComm: actedPid === 0 ? null : new TextDecoder().decode(text),
      acted: number("acted"),
    };
  }
}

/**
 * Names a kill, for whoever asks later: no process is killed twice within a millisecond.
 *
 * @param at When, by the wall clock.
 */
export function killId(at: Date, pid: number): string {
  return `${at.getTime().toString(36)}-${pid}`;
}

/** Whether a process was left out by what a rule may have said. */
function isKept(fate: number): boolean {
  return fate === Fate.protected || fate === Fate.avoided;
}

/** A user has its share of a table, or a table has no row left for anybody. */
function fullText(table: string, uid: number): string {
  const whose = uid === UNKNOWN_UID ? "" : ` of uid ${uid >>> 0}`;
  if (table.startsWith("kernel")) {
    return `no room for more ${table}${whose}: what found none is read from /proc, at each interval`;
  }
  return `no room for more ${table}${whose}: the next sweep sums up what found none; raise ` +
    "--max-processes or --max-users";
}

/** Below 0: not known. */
function orNull(value: number): number | null {
  return value < 0 ? null : value;
}

/** To a tenth: what is beyond that is noise. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
