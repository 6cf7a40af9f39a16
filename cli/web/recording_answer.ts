/**
 * What a page of a recording is told: who was killed and what users used, as it was and as it would have
 * been.
 *
 * @module
 */
import type { Question } from "./what_if.ts";

export interface KillMoment {
  /** Seconds after the recording began. */
  readonly atSeconds: number;
  readonly usagePages: number;
  readonly hardPages: number;
}

export interface AnsweredKill {
  readonly uid: number;
  readonly pid: number;
  readonly comm: string;
  /** As it was. */
  readonly then: KillMoment | null;
  /** As it would have been. */
  readonly now: KillMoment | null;
  /** The recording says nothing about that moment. */
  readonly isInGap: boolean;
}

export interface AnsweredUser {
  readonly uid: number;
  /** At the end; null: no limit. */
  readonly hardPages: number | null;
  /** The most that it was charged within the recording. */
  readonly peakPages: number;
  readonly killsThen: number;
  readonly killsNow: number;
}

/** Usage of a user over time; null where nothing is known. */
export interface AnsweredChart {
  readonly uid: number;
  /** Seconds after the recording began, of the middle of each stretch. */
  readonly seconds: readonly number[];
  readonly usagePages: readonly (number | null)[];
  readonly softPages: readonly (number | null)[];
  readonly hardPages: readonly (number | null)[];
}

/** What is to be known of an answer, in a sentence without its beginning and end. */
export interface Note {
  readonly kind: "warning" | "note";
  readonly text: string;
}

export interface Answer {
  readonly question: Question;
  readonly records: number;
  /** Length of what could be replayed. */
  readonly seconds: number;
  readonly damage: string | null;
  readonly notes: readonly Note[];
  readonly users: readonly AnsweredUser[];
  readonly kills: readonly AnsweredKill[];
  /** More than {@link kills} has. */
  readonly killsLeftOut: number;
  readonly charts: readonly AnsweredChart[];
}

/** Told how far it is, 0 to 1; throws where nobody waits for the answer any more. */
export type OnProgress = (share: number) => void;

export interface AnswersQuestions {
  /** Rejects, in one line, where the recording cannot be read, or with what {@link OnProgress} threw. */
  answer(question: Question, onProgress?: OnProgress): Promise<Answer>;
}
