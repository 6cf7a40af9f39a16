/**
 * The summary of a replay for people.
 *
 * @module
 */
import type { ReplayDecision, ReplayMm, ReplaySummary } from "../pipeline/replay/replay_summary.ts";
import { formatBytes } from "../pipeline/limits/units.ts";
import { tableLines } from "./table.ts";

/** Rows of each part of the summary for people; `--json` has them all. */
const SHOWN_ROWS_MAX = 30;

/** A summary for people. */
export function summaryLines(summary: ReplaySummary, pageBytes: number): readonly string[] {
  const { events, lifecycle, lost, malformed, foreign, mms, users, decisions } = summary;
  const size = (pages: number | null): string =>
    pages === null ? "-" : formatBytes(pages * pageBytes);
  const id = (value: number | null): string => value === null ? "?" : String(value);
  const sum = ({ pages }: ReplayMm): number => pages.file + pages.anon + pages.swap + pages.shmem;
  const alive = mms.filter((mm) => sum(mm) > 0).sort((a, b) => sum(b) - sum(a));
  const { timesBack, timesBackNsMax } = summary;
  const lines = [
    `events     ${events} rss_stat, ${lifecycle} life-cycle, ${lost} lost, ` +
    `${malformed} malformed, ${foreign} foreign`,
    ...(timesBack === 0 ? [] : [
      `times      ${timesBack} events are older than one before them, by up to ` +
      `${
        Math.round(timesBackNsMax / 1000)
      } us: is the trace_clock local? mono is the same on all CPUs`,
    ]),
    "",
    ...part("users", users, (rows) =>
      tableLines([
        { title: "UID", text: ({ uid }) => id(uid), right: true },
        { title: "USAGE", text: ({ usagePages }) => size(usagePages), right: true },
        { title: "PEAK", text: ({ peakPages }) => size(peakPages), right: true },
        { title: "LIMIT", text: ({ limitPages }) => size(limitPages), right: true },
      ], rows)),
    "",
    ...part(`mms with pages at the end (of ${mms.length})`, alive, (rows) =>
      tableLines([
        { title: "MM", text: ({ mmId }) => id(mmId), right: true },
        { title: "PID", text: ({ tgid }) => id(tgid), right: true },
        { title: "UID", text: ({ uid }) => id(uid), right: true },
        { title: "FILE", text: ({ pages }) => size(pages.file), right: true },
        { title: "ANON", text: ({ pages }) => size(pages.anon), right: true },
        { title: "SWAP", text: ({ pages }) => size(pages.swap), right: true },
        { title: "SHMEM", text: ({ pages }) => size(pages.shmem), right: true },
      ], rows)),
    "",
    ...part("decisions", decisions, (rows) => rows.map((row) => decisionLine(row, size, id))),
  ];
  return lines;
}

function decisionLine(
  { ts, event, uid, pid, usagePages, hardPages }: ReplayDecision,
  size: (pages: number) => string,
  id: (value: number | null) => string,
): string {
  const when = `${(ts / 1e9).toFixed(6)} s`;
  const what = event === "kill" ? `kill pid ${id(pid)} of uid ${id(uid)}` : `soft uid ${id(uid)}`;
  return `${when}  ${what}, at ${size(usagePages)} of ${size(hardPages)} ` +
    `(${usagePages} of ${hardPages} pages)`;
}

/** A heading with the number of rows, and the first of them. */
function part<Row>(
  title: string,
  rows: readonly Row[],
  show: (rows: readonly Row[]) => readonly string[],
): readonly string[] {
  const left = rows.length - SHOWN_ROWS_MAX;
  return [
    `${title}: ${rows.length}`,
    ...(rows.length === 0 ? [] : show(rows.slice(0, SHOWN_ROWS_MAX)).map((line) => `  ${line}`)),
    ...(left > 0 ? [`  … and ${left} more, see --json`] : []),
  ];
}
