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
  type Report,
} from "../../pipeline/messages/reports.ts";
import { quote } from "../../pipeline/limits/units.ts";
import type { JournalEvent, KillReceipt, TriggerName, Weighed } from "./events.ts";

/** By {@link Fate}. */
const FATE_NAMES = ["weighed", "protected", "spared", "dying"] as const;
/** Of those weighed, in the line of a kill. */
const WEIGHED_SHOWN_MAX = 2;

/** A user's name as passwd has it, null when it has none. */
export type NameOf = (uid: number) => string | null;

export class ReportEvents {
  private readonly pageBytes: number;
  private readonly nameOf: NameOf;
  private degradedTsNs = 0;

  constructor(pageBytes: number, nameOf: NameOf) {
    this.pageBytes = pageBytes;
    this.nameOf = nameOf;
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
        };
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
              : ": nothing is done, for no user above half of its limit has " +
                "a process whose end would help"),
        };
      case "tampered":
        return {
          event: "tampered",
          what: new TextDecoder().decode(report.text),
          mended: number("mended") !== 0,
        };
      case "kernelKill":
        return {
          event: "kernel-kill",
          uid: number("uid") === UNKNOWN_UID ? null : uid,
          pid: number("pid"),
          comm: null,
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
      dyingPages: values["dyingPages"]!,
      isDegraded: values["isDegraded"] !== 0,
      others: rows.map((row) => ({
        pid: row["pid"]!,
        pages: row["pages"]!,
        givesBackPages: row["givesBackPages"]!,
        score: row["score"]!,
        oomScoreAdj: row["oomScoreAdj"]!,
        fate: FATE_NAMES[row["fate"]!]!,
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
    const pids = [1, 2, 3].map((i) => number(`protected${i}Pid`)).filter((pid) => pid !== 0);
    return `${uses}, of which protected processes have ${number("protectedPages")} (pid ` +
      `${pids.join(", ")}${count > pids.length ? ` and ${count - pids.length} more` : ""}; the ` +
      `largest is ${
        quote(new TextDecoder().decode(text))
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
      weighed,
    };
  }
}

/** A user has its share of a table, or a table has no row left for anybody. */
function fullText(table: string, uid: number): string {
  const whose = uid === UNKNOWN_UID ? "" : ` of uid ${uid >>> 0}`;
  return `no room for more ${table}${whose}: the next sweep sums up what found none; raise ` +
    "--max-processes or --max-users";
}

/** To a tenth: what is beyond that is noise. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
