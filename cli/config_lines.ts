/**
 * Settings and limits of a configuration, for people.
 *
 * @module
 */
import { formatUidRange, type UidRange } from "../pipeline/limits/limits.ts";
import { escapeJsonLine, formatBytes } from "../pipeline/limits/units.ts";
import type {
  AbsentReport,
  ConfigAnswer,
  ConfigLimitReport,
} from "../service/control/control_api.ts";
import { type Column, tableLines } from "./table.ts";

/** A size for people; that of no limit. */
export function sizeText(bytes: number | null): string {
  return bytes === null ? "none" : formatBytes(bytes);
}

/** What the files say in vain; nothing where there is none. */
export function absentLines(absent: readonly AbsentReport[] | undefined): readonly string[] {
  return (absent ?? []).map(({ place, path, message }) =>
    escapeJsonLine(`not in force: ${place}: ${path}: ${message}`)
  );
}

type SettingRow = Pick<ConfigAnswer["settings"][number], "path" | "value" | "from">;

export function settingLines(settings: readonly SettingRow[]): readonly string[] {
  return tableLines<SettingRow>([
    { title: "SETTING", text: ({ path }) => path },
    { title: "VALUE", text: ({ value }) => escapeJsonLine(value) },
    { title: "FROM", text: ({ from }) => from },
  ], settings);
}

/** Limits in order of precedence. @param more A last column. */
export function configLimitLines(
  limits: readonly ConfigLimitReport[],
  ...more: readonly Column<ConfigLimitReport>[]
): readonly string[] {
  return tableLines<ConfigLimitReport>([
    { title: "SUBJECT", text: ({ subject }) => escapeJsonLine(subject) },
    { title: "UIDS", text: ({ kind, uids }) => uidsText(kind, uids) },
    { title: "HARD", text: ({ hardBytes }) => sizeText(hardBytes), right: true },
    { title: "SOFT", text: ({ softBytes }) => sizeText(softBytes), right: true },
    { title: "PROCESSES", text: ({ maxProcesses }) => String(maxProcesses ?? "-"), right: true },
    ...(limits.some(({ count }) => count !== undefined)
      ? [{ title: "COUNTED", text: ({ count }: ConfigLimitReport) => count ?? "-" }]
      : []),
    { title: "FROM", text: ({ place }) => place },
    ...more,
  ], limits);
}

const MEMBERS_SHOWN = 4;

function uidsText(kind: ConfigLimitReport["kind"], uids: readonly UidRange[]): string {
  if (kind !== "group") return formatUidRange(uids[0]!);
  if (uids.length === 0) return "nobody";
  const shown = uids.slice(0, MEMBERS_SHOWN).map(formatUidRange).join(",");
  const left = uids.length - MEMBERS_SHOWN;
  return left > 0 ? `${shown} and ${left} more` : shown;
}

type RuleRow = ConfigAnswer["rules"][number];

/** Rules about who dies, in the order in which they stand. */
export function ruleLines(rules: readonly RuleRow[]): readonly string[] {
  return tableLines<RuleRow>([
    { title: "EFFECT", text: ({ effect }) => effect },
    { title: "WEIGHT", text: ({ weight }) => String(weight), right: true },
    { title: "MATCHES", text: ({ matches }) => escapeJsonLine(matches) },
    { title: "FROM", text: ({ place }) => place },
  ], rules);
}
