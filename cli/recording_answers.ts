/**
 * A recording replayed for a page, once for each question. One replay runs at a time, because each takes
 * a whole CPU and the memory of a daemon's tables; who asks meanwhile waits, and who has gone is left out.
 *
 * @module
 */
import type { ReplayedKill } from "../pipeline/replay/recording_replay.ts";
import type { RecordedKill } from "../pipeline/recording/format.ts";
import { compareKills } from "./compare_kills.ts";
import { recordingNotes } from "./recording_summary.ts";
import { chartsOf } from "./replay_chart.ts";
import { runRecording } from "./run_recording.ts";
import type {
  Answer,
  AnsweredKill,
  AnsweredUser,
  AnswersQuestions,
  KillMoment,
  OnProgress,
} from "./web/recording_answer.ts";
import { NO_QUESTION, type Question, questionKey, whatIfOf } from "./web/what_if.ts";

/** Stretches of time in a chart. */
const CHART_COLUMNS = 480;
/** Users with a chart. */
const CHARTS_MAX = 48;
/** Kills of one answer; the first ones. */
export const KILLS_MAX = 2000;
/** Answers that are kept, so that a slider that goes back has its answer at once. */
const ANSWERS_MAX = 24;

export class RecordingAnswers implements AnswersQuestions {
  private readonly path: string;
  private readonly kept = new Map<string, Answer>();
  private running: Promise<unknown> = Promise.resolve();
  /** Of all replays, CLOCK_MONOTONIC, nanoseconds: when its books begin. */
  private firstNs = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws {FailedError} When the file is no recording, or cannot be read. */
  async answer(question: Question, onProgress?: OnProgress): Promise<Answer> {
    const key = questionKey(question);
    const run = this.running.then(async () => {
      const known = this.kept.get(key);
      if (known !== undefined) return known;
      onProgress?.(0);
      const answer = await this.replay(question, onProgress);
      this.keep(key, answer);
      return answer;
    });
    this.running = run.catch(() => {});
    return await run;
  }

  private keep(key: string, answer: Answer): void {
    this.kept.set(key, answer);
    const unasked = questionKey(NO_QUESTION);
    for (const old of this.kept.keys()) {
      if (this.kept.size <= ANSWERS_MAX) break;
      if (old !== unasked) this.kept.delete(old);
    }
  }

  private async replay(question: Question, onProgress: OnProgress | undefined): Promise<Answer> {
    const whatIf = whatIfOf(question);
    const replayed = await runRecording(this.path, () => whatIf, onProgress);
    const { replay, damage } = replayed;
    const compared = compareKills(replay.recordedKills, replay.kills, replay.firstNs, replay.gaps);
    this.firstNs = Number.isFinite(replay.firstNs) ? replay.firstNs : 0;
    const kills = compared.slice(0, KILLS_MAX).map((kill): AnsweredKill => ({
      uid: kill.uid,
      pid: kill.pid,
      comm: kill.comm,
      then: this.momentOf(kill.recorded),
      now: this.momentOf(kill.replayed),
      isInGap: kill.isInGap,
    }));
    const [then, now] = [countsOf(replay.recordedKills), countsOf(replay.kills)];
    const limits = new Map(replay.users().map(({ uid, hardPages }) => [uid, hardPages]));
    const users = replay.usage.uids.map((uid): AnsweredUser => ({
      uid,
      hardPages: limits.get(uid) ?? null,
      peakPages: replay.usage.of(uid).reduce((most, pages) => pages > most ? pages : most, 0),
      killsThen: then.get(uid) ?? 0,
      killsNow: now.get(uid) ?? 0,
    }));
    const charts = chartsOf(replay, compared, CHART_COLUMNS, CHARTS_MAX).map((chart) => {
      const { uid, fromNs, untilNs, usage, soft, hard } = chart;
      const stretchNs = (untilNs - fromNs) / usage.length;
      return {
        uid,
        seconds: usage.map((_, at) => this.seconds(fromNs + (at + 0.5) * stretchNs)),
        usagePages: usage.map(orNull),
        softPages: soft.map(orNull),
        hardPages: hard.map(orNull),
      };
    });
    return {
      question,
      records: replay.records,
      seconds: Math.max(0, this.seconds(replay.lastNs)) || 0,
      damage: damage ?? null,
      notes: recordingNotes(replay, compared, {
        isWhatIf: whatIf !== undefined,
        version: replayed.version,
      }),
      users,
      kills,
      killsLeftOut: compared.length - kills.length,
      charts,
    };
  }

  private seconds(tsNs: number): number {
    return (tsNs - this.firstNs) / 1e9;
  }

  private momentOf(kill: RecordedKill | ReplayedKill | null): KillMoment | null {
    if (kill === null) return null;
    const { tsNs, usagePages, hardPages } = kill;
    return { atSeconds: this.seconds(tsNs), usagePages, hardPages };
  }
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

/** How many of each uid. */
function countsOf(kills: readonly { readonly uid: number }[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const { uid } of kills) counts.set(uid, (counts.get(uid) ?? 0) + 1);
  return counts;
}
