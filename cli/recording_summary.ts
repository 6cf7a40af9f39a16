/**
 * A replayed recording, for people.
 *
 * @module
 */
import type { RecordingReplay } from "../pipeline/replay/recording_replay.ts";
import { formatBytes, quote } from "../pipeline/limits/units.ts";
import { type ComparedKill, differences, timeOf } from "./compare_kills.ts";
import { tableLines } from "./table.ts";

export interface SummaryOptions {
  /** Other settings than the recording's were in force. */
  readonly isWhatIf: boolean;
  readonly isCompared: boolean;
  /** Of the format of the file. */
  readonly version: number;
}

/** Files of an earlier version have no tags. */
const TAGS_SINCE_VERSION = 2;

/** What is to be known of a replay, in a sentence. */
export interface RecordingNote {
  /** `warning`: the recording itself lacks something. */
  readonly kind: "warning" | "note";
  readonly text: string;
}

export function recordingLines(
  replay: RecordingReplay,
  compared: readonly ComparedKill[],
  options: SummaryOptions,
): readonly string[] {
  const { isWhatIf, isCompared } = options;
  const { head } = replay;
  const seconds = Math.max(0, replay.lastNs - replay.firstNs) / 1e9;
  const { length: count } = replay.kills;
  const others = differences(compared).length;
  const kills = isWhatIf
    ? `${count} with these settings, ${replay.recordedKills.length} recorded`
    : `${count}, ${others === 0 ? "each as recorded" : `${others} not as recorded, see below`}`;
  const notes = recordingNotes(replay, compared, options);
  const linesOf = (kind: RecordingNote["kind"]): string[] =>
    notes.filter((note) => note.kind === kind).map(({ text }) => `${kind.padEnd(11)}${text}`);
  return [
    `recording  ${
      Number.isFinite(seconds) ? seconds.toFixed(1) : "0.0"
    } s from ${head.startedAt}, ` +
    `source ${head.source}, toom ${quote(head.toomVersion)}, ${replay.records} records`,
    ...linesOf("warning"),
    `kills      ${kills}`,
    ...linesOf("note"),
    "",
    ...killTable(replay, compared, isWhatIf || isCompared),
  ];
}

export function recordingNotes(
  replay: RecordingReplay,
  compared: readonly ComparedKill[],
  { isWhatIf, version }: Pick<SummaryOptions, "isWhatIf" | "version">,
): readonly RecordingNote[] {
  const { head, losses, tail } = replay;
  const notes: RecordingNote[] = [];
  const warn = (text: string): void => void notes.push({ kind: "warning", text });
  const tell = (text: string): void => void notes.push({ kind: "note", text });
  if (replay.keyframes === 0) warn("it has no books to begin with: nothing is told");
  if (replay.tornKeyframes > 0) {
    warn("the books were read while they changed: they may be wrong by some pages");
  }
  if (tail === undefined) warn("it has no end: toom ended, or the file was cut");
  for (const { records, tsNs } of losses) {
    const count = records < 0 ? "records" : `${records} records`;
    warn(
      `${count} are missing at ${timeText(replay, tsNs)}: they came too fast; the books begin ` +
        "anew there",
    );
  }
  if (version < TAGS_SINCE_VERSION) {
    tell(
      "an earlier toom recorded it, which left out what rules say of processes and what they ask " +
        "for: it is decided without rules, or by names where other rules are given",
    );
  }
  if (isWhatIf && head.source === "bpf") {
    tell(
      "below a user's recorded soft limit pages came some at a time: who was killed there, was a " +
        "little later than it would have been",
    );
  }
  const ended =
    compared.filter(({ recorded, replayed }) =>
      isWhatIf && recorded !== null && replayed === null && !recorded.dryRun
    ).length;
  if (ended > 0) {
    tell(
      `${ended} that lived on with these settings were ended in the recording: what they would ` +
        "have used after that is not known",
    );
  }
  return notes;
}

function killTable(
  replay: RecordingReplay,
  rows: readonly ComparedKill[],
  isCompared: boolean,
): readonly string[] {
  if (rows.length === 0) return ["nobody was killed, and nobody would have been"];
  const size = (pages: number | undefined): string =>
    pages === undefined ? "-" : formatBytes(pages * replay.head.pageBytes);
  const when = (tsNs: number | undefined): string =>
    tsNs === undefined ? "lives" : timeText(replay, tsNs);
  return tableLines<ComparedKill>([
    ...(isCompared
      ? [
        {
          title: "RECORDED",
          text: (row: ComparedKill) => when(row.recorded?.tsNs),
          right: true,
        },
        {
          title: "REPLAYED",
          text: (row: ComparedKill) => row.isInGap ? "not known" : when(row.replayed?.tsNs),
          right: true,
        },
      ]
      : [{ title: "TIME", text: (row: ComparedKill) => when(timeOf(row)), right: true }]),
    { title: "UID", text: ({ uid }) => String(uid), right: true },
    { title: "PID", text: ({ pid }) => String(pid), right: true },
    { title: "NAME", text: ({ comm }) => comm === "" ? "?" : quote(comm) },
    {
      title: "USAGE",
      text: ({ recorded, replayed }) => size((replayed ?? recorded)?.usagePages),
      right: true,
    },
    {
      title: "LIMIT",
      text: ({ recorded, replayed }) => size((replayed ?? recorded)?.hardPages),
      right: true,
    },
    {
      title: "VICTIM",
      text: ({ recorded, replayed }) => size((replayed ?? recorded)?.victimPages),
      right: true,
    },
    { title: "", text: (row) => noteOf(row, isCompared) },
  ], rows);
}

function noteOf({ recorded, replayed, isInGap }: ComparedKill, isCompared: boolean): string {
  if (isCompared || (recorded !== null && replayed !== null)) return "";
  if (isInGap) return "recorded; the recording cannot tell why";
  return recorded === null ? "NOT RECORDED" : "NOT REPLAYED";
}

/** Since the beginning. */
export function timeText(replay: RecordingReplay, tsNs: number): string {
  const seconds = (tsNs - replay.firstNs) / 1e9;
  return `${seconds.toFixed(3)} s`;
}
