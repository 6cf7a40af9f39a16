/**
 * Kills of a recording and of its replay, side by side.
 *
 * @module
 */
import type { RecordedKill } from "../pipeline/recording/format.ts";
import type { ReplayedKill } from "../pipeline/replay/recording_replay.ts";

/** A time of which nothing is known, nanoseconds. */
export interface Gap {
  readonly fromNs: number;
  readonly untilNs: number;
}

/** One process that was killed, or would have been. */
export interface ComparedKill {
  readonly uid: number;
  readonly pid: number;
  readonly comm: string;
  readonly recorded: RecordedKill | null;
  readonly replayed: ReplayedKill | null;
  /** The recording says nothing about that moment: it cannot be replayed. */
  readonly isInGap: boolean;
}

/** Matches each recorded kill with the next one in the replay of the same process, by time. */
export function compareKills(
  recorded: readonly RecordedKill[],
  replayed: readonly ReplayedKill[],
  firstNs: number,
  gaps: readonly Gap[],
): ComparedKill[] {
  const left = [...replayed];
  const rows: ComparedKill[] = [];
  for (const kill of recorded) {
    const index = left.findIndex(({ uid, pid }) => uid === kill.uid && pid === kill.pid);
    const match = index < 0 ? null : left.splice(index, 1)[0]!;
    const isInGap = kill.tsNs < firstNs ||
      gaps.some(({ fromNs, untilNs }) => kill.tsNs >= fromNs && kill.tsNs <= untilNs);
    const { uid, pid, comm } = kill;
    rows.push({ uid, pid, comm, recorded: kill, replayed: match, isInGap });
  }
  for (const kill of left) {
    const { uid, pid, comm } = kill;
    rows.push({ uid, pid, comm, recorded: null, replayed: kill, isInGap: false });
  }
  return rows.sort((a, b) => timeOf(a) - timeOf(b));
}

/** Of the earlier of both. */
export function timeOf({ recorded, replayed }: ComparedKill): number {
  return Math.min(recorded?.tsNs ?? Infinity, replayed?.tsNs ?? Infinity);
}

/** Those that the recording can tell of and that are not in both. */
export function differences(rows: readonly ComparedKill[]): ComparedKill[] {
  return rows.filter(({ recorded, replayed, isInGap }) =>
    !isInGap && (recorded === null || replayed === null)
  );
}
