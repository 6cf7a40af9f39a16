/**
 * What `toom top --record` shows: a moment of a recording, which keys and time move.
 *
 * @module
 */
import type { Explanation, UserReport } from "../../service/control/control_api.ts";
import type { RecordedKill, RecordingHead } from "../../pipeline/recording/format.ts";
import { type Action, RECORDING_KEYS } from "./keys.ts";
import { ListState } from "./list_state.ts";
import { compareUsers, type Sort, SORTS } from "./state.ts";

/** How far the keys go, nanoseconds. */
const SEEKS: Partial<Record<Action, number>> = {
  back: -1e9,
  ahead: 1e9,
  farBack: -10e9,
  farAhead: 10e9,
};

/** A moment, as it was found. */
export interface ToldMoment {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly atNs: number;
  readonly users: readonly UserReport[];
  /** Until then. */
  readonly kills: readonly RecordedKill[];
  /** Of the user whose processes are shown. */
  readonly explanation: Explanation | undefined;
  /** Nothing is known of it: records were lost. */
  readonly isGap: boolean;
}

export class RecordingState extends ListState<UserReport, Sort> {
  override readonly keys = RECORDING_KEYS;
  override isPaused = true;
  // Moves four times a second while it plays.
  override refreshAt = 0;
  readonly head: RecordingHead;
  told: ToldMoment | undefined;
  /** Whose processes {@link told} has. */
  toldUid: number | undefined;
  /** How far it is with what takes long. */
  progress: string | undefined;
  /** Of the recording, CLOCK_MONOTONIC, nanoseconds. */
  firstNs = 0;
  lastNs = 0;
  /** The moment that is wanted. */
  wantedNs = 0;
  /** When time was last let pass, milliseconds; undefined: it begins at the next. */
  private passedMs: number | undefined;

  constructor(head: RecordingHead) {
    super(SORTS);
    this.head = head;
  }

  /** @param firstNs CLOCK_MONOTONIC, nanoseconds. @param lastNs Not earlier. */
  begin(firstNs: number, lastNs: number): void {
    this.firstNs = this.wantedNs = firstNs;
    this.lastNs = lastNs;
  }

  /** It ends earlier than was thought. @param lastNs CLOCK_MONOTONIC, nanoseconds. */
  cut(lastNs: number): void {
    this.lastNs = lastNs;
    this.goTo(this.wantedNs);
  }

  override get isStale(): boolean {
    return !this.isPaused || this.told?.atNs !== this.wantedNs || this.toldUid !== this.userUid;
  }

  /**
   * While it plays, the moment goes on with the time.
   * @param nowMs Of any clock, milliseconds.
   */
  pass(nowMs: number): void {
    if (this.isPaused) return;
    const { passedMs } = this;
    this.passedMs = nowMs;
    if (passedMs === undefined) return;
    this.goTo(this.wantedNs + (nowMs - passedMs) * 1e6);
    if (this.wantedNs === this.lastNs) this.isPaused = true;
  }

  /** What the time has done meanwhile does not count. */
  rest(): void {
    this.passedMs = undefined;
  }

  protected rows(): readonly UserReport[] {
    return this.told?.users ?? [];
  }

  protected compare(sort: Sort, a: UserReport, b: UserReport): number {
    return compareUsers(sort, a, b);
  }

  protected override act(action: Action): void {
    const seek = this.isHelp ? undefined : SEEKS[action];
    if (seek !== undefined) {
      this.goTo(this.wantedNs + seek);
      this.wishes++;
      return;
    }
    const { isPaused } = this;
    super.act(action);
    if (this.isPaused === isPaused) return;
    this.rest();
    this.wishes++;
    // Played to its end, it begins anew.
    if (isPaused && this.wantedNs === this.lastNs) this.wantedNs = this.firstNs;
  }

  private goTo(ns: number): void {
    this.wantedNs = Math.min(this.lastNs, Math.max(this.firstNs, Math.round(ns)));
  }
}
