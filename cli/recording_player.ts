/**
 * A recording looked at at one moment after another: the very replay of `toom replay`, run up to there.
 * Going back begins anew, so that a moment is the same whichever way it was come to; but of the time
 * before a moment each second is kept, as a replay from the beginning may take long.
 *
 * @module
 */
import type { Explanation, UserReport } from "../service/control/control_api.ts";
import type { NameOf } from "../service/journal/report_events.ts";
import { explain } from "../service/status/explanation.ts";
import { UsageSamples } from "../service/status/usage_samples.ts";
import { userReport } from "../service/status/user_report.ts";
import {
  type Chunk,
  ChunkType,
  jsonOf,
  type Keyframe,
  type Loss,
  type ProcessFact,
  type RecordedKill,
  type RecordingHead,
  type RecordingTail,
  RECORDS_HEAD_BYTES,
  Stream,
} from "../pipeline/recording/format.ts";
import { unpackRecords } from "../pipeline/recording/pack_records.ts";
import { RECORD_WORDS } from "../pipeline/memory/layout.ts";
import { RecordingReplay } from "../pipeline/replay/recording_replay.ts";
import { RecordingFile } from "./recording_file.ts";

/** Keys are answered within about so long. */
const TURN_MS = 40;
/** Between samples of what users are charged, as in a running toom. */
const SAMPLE_NS = 1e9;
/** Between moments that are kept, and how many before the wanted one are. */
const KEPT_NS = 1e9;
const KEPT_BEFORE = 120;
const KEPT_MAX = 2 * KEPT_BEFORE;
/** Processes are kept of all users, if those are so few, else of the one that is asked for. */
const KEPT_USERS_MAX = 32;

/**
 * Lets others run.
 * @param share How far it is, 0 to 1.
 * @returns Whether to go on.
 */
export type Turn = (share: number) => Promise<boolean>;

/** What there was at a moment. */
export interface Moment {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly atNs: number;
  /** With a limit; their kills are those of the recording until then. */
  readonly users: readonly UserReport[];
  /** Until then, in their order. */
  readonly kills: readonly RecordedKill[];
  /** Of the user that was asked for. */
  readonly explanation: Explanation | undefined;
  /** Records were lost: users are as they were before, until the books were read again. */
  readonly isGap: boolean;
}

/** A moment as the books have it, without what the rest of the file says of it. */
interface KeptMoment {
  readonly atNs: number;
  readonly users: readonly UserReport[];
  readonly explanations: ReadonlyMap<number, Explanation>;
}

export class RecordingPlayer implements Disposable {
  readonly head: RecordingHead;
  /** When its books begin and when it ends, CLOCK_MONOTONIC, nanoseconds; equal: it has none. */
  firstNs: number;
  lastNs: number;
  /** Why it could not be read to its end. */
  damage: string | undefined;
  private readonly path: string;
  private readonly turnMs: number;
  private allKills: RecordedKill[] = [];
  /** Times that nothing is known of, because records were lost. */
  private gaps: { readonly fromNs: number; untilNs: number }[] = [];
  private file: RecordingFile;
  private replay: RecordingReplay;
  private samples: UsageSamples;
  private nextSampleNs = -Infinity;
  private readonly facts = new Map<number, { comm: string; oomScoreAdj: number }>();
  /** Read, but of later. */
  private held: Chunk | undefined;
  private hasEnded = false;
  /** Nothing after it is taken. */
  private positionNs = -Infinity;
  /** Where it is going to stop next; Infinity: it is nowhere between. */
  private goalNs = Infinity;
  /** By its time; the last one that was used is the last. */
  private readonly kept = new Map<number, KeptMoment>();
  /** Where the last seek has come to. */
  private shown: KeptMoment | undefined;

  /**
   * @param turnMs After so long others may run.
   * @throws {FailedError} When the file is no recording, or cannot be read.
   */
  constructor(path: string, turnMs = TURN_MS) {
    this.path = path;
    this.turnMs = turnMs;
    this.file = new RecordingFile(path);
    const { head } = this.file;
    this.head = head;
    this.firstNs = this.lastNs = typeof head.startedNs === "number" ? head.startedNs : 0;
    this.replay = new RecordingReplay(head);
    this.samples = new UsageSamples(this.replay.memory);
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }

  /**
   * Reads all of it once: how long it is, its kills, and whether it is whole.
   * @returns false: {@link Turn} has ended it.
   */
  async scan(turn: Turn): Promise<boolean> {
    using file = new RecordingFile(this.path);
    const times: number[] = [Infinity, -Infinity];
    const kills: RecordedKill[] = [];
    const gaps: { fromNs: number; untilNs: number }[] = [];
    let turnedMs = performance.now();
    try {
      for (let chunk = file.next(); chunk !== undefined; chunk = file.next()) {
        if (chunk.type === ChunkType.kills) {
          kills.push(...(jsonOf(chunk.payload) as RecordedKill[]).filter(isKill));
        }
        const ns = timeOf(chunk);
        const gap = gaps.at(-1);
        if (chunk.type === ChunkType.keyframe && gap?.untilNs === Infinity) gap.untilNs = ns;
        if (chunk.type === ChunkType.loss && gap?.untilNs !== Infinity) {
          gaps.push({ fromNs: times[1]!, untilNs: Infinity });
        }
        if (Number.isFinite(ns)) {
          if (chunk.type === ChunkType.keyframe) times[0] = Math.min(times[0]!, ns);
          times[1] = Math.max(times[1]!, ns);
        }
        if (performance.now() - turnedMs < this.turnMs) continue;
        if (!await turn(file.readBytes / file.totalBytes)) return false;
        turnedMs = performance.now();
      }
    } catch (error) {
      this.damage = damageOf(error, file);
    }
    this.damage ??= file.damage;
    this.gaps = gaps;
    this.allKills = kills.sort((a, b) => a.tsNs - b.tsNs);
    const [firstNs, lastNs] = times as [number, number];
    if (firstNs !== Infinity) [this.firstNs, this.lastNs] = [firstNs, Math.max(firstNs, lastNs)];
    this.nextSampleNs = this.firstNs;
    return true;
  }

  /**
   * Goes to a moment.
   * @param wanted CLOCK_MONOTONIC, nanoseconds, from {@link firstNs} to {@link lastNs}; it is asked for
   * again and again, as it may change while this goes on.
   * @param userUid Whose processes are wanted.
   * @returns false: {@link Turn} has ended it.
   */
  async seek(
    wanted: () => number,
    turn: Turn,
    userUid: () => number | undefined = () => undefined,
  ): Promise<boolean> {
    let turnedMs = performance.now();
    let fromNs = this.positionNs;
    for (;;) {
      const toNs = wanted();
      const uid = userUid();
      if (this.takeKept(toNs, uid)) return true;
      if (toNs < this.positionNs) this.rewind();
      fromNs = Math.max(this.firstNs, Math.min(fromNs, this.positionNs));
      const stopNs = this.goalNs <= toNs ? this.goalNs : this.nextStop(toNs);
      this.goalNs = stopNs;
      if (this.step(stopNs)) {
        this.goalNs = Infinity;
        this.shown = this.keep(uid);
        if (stopNs === toNs) return true;
      }
      if (performance.now() - turnedMs < this.turnMs) continue;
      if (!await turn((this.positionNs - fromNs) / Math.max(1, toNs - fromNs))) return false;
      turnedMs = performance.now();
    }
  }

  /** What the last seek has come to. @param userUid The one that it was told of. */
  moment(userUid: number | undefined, nameOf: NameOf): Moment {
    const { atNs, users, explanations } = this.shown!;
    const kills = this.killsUntil(atNs);
    const counts = new Map<number, number>();
    for (const { uid, dryRun } of kills) {
      if (dryRun !== true) counts.set(uid, (counts.get(uid) ?? 0) + 1);
    }
    const named = (user: UserReport): UserReport => ({
      ...user,
      user: nameOf(user.uid),
      kills: counts.get(user.uid) ?? 0,
    });
    const explanation = userUid === undefined ? undefined : explanations.get(userUid);
    return {
      atNs,
      users: users.map(named),
      kills,
      explanation: explanation &&
        { ...explanation, user: explanation.user && named(explanation.user) },
      isGap: this.gaps.some(({ fromNs, untilNs }) => atNs > fromNs && atNs < untilNs),
    };
  }

  /** @returns Whether the moment is one that is kept. */
  private takeKept(atNs: number, userUid: number | undefined): boolean {
    const known = this.kept.get(atNs);
    if (known === undefined) return false;
    if (userUid !== undefined && !known.explanations.has(userUid)) return false;
    this.kept.delete(atNs);
    this.kept.set(atNs, known);
    this.shown = known;
    return true;
  }

  /** Where to go next, on the way to a moment: one that is to be kept, or the moment itself. */
  private nextStop(toNs: number): number {
    const fromNs = Math.max(this.firstNs, this.positionNs);
    const left = Math.ceil((toNs - fromNs) / KEPT_NS) - 1;
    return toNs - Math.max(0, Math.min(KEPT_BEFORE, left)) * KEPT_NS;
  }

  /** The moment where the replay is. */
  private keep(userUid: number | undefined): KeptMoment {
    const { memory } = this.replay;
    const { facts, positionNs: atNs } = this;
    const context = { nameOf: () => null, nowNs: atNs, samples: this.samples, nearPages: 0 };
    const users: UserReport[] = [];
    for (let slot = 0; slot < memory.plan.capacity.users; slot++) {
      const user = userReport(memory, slot, context);
      if (user !== undefined) users.push(user);
    }
    const explained = users.length <= KEPT_USERS_MAX ? users.map(({ uid }) => uid) : [];
    if (userUid !== undefined && !explained.includes(userUid)) explained.push(userUid);
    const explanations = explained.map((uid) =>
      explain({
        ...context,
        memory,
        rules: [],
        ownerOf: (owner) => owner,
        ruleNameOf: () => null,
        names: {
          comm: (pid) => facts.get(pid)?.comm,
          oomScoreAdj: (pid) => facts.get(pid)?.oomScoreAdj,
        },
        pageBytes: this.head.pageBytes,
        memberNames: "",
        degraded: false,
        near: undefined,
        source: this.head.source,
      }, uid)
    );
    const moment = {
      atNs,
      users,
      explanations: new Map(explanations.map((one) => [one.uid, one])),
    };
    this.kept.delete(atNs);
    this.kept.set(atNs, moment);
    const [oldest] = this.kept.keys();
    if (this.kept.size > KEPT_MAX) this.kept.delete(oldest!);
    return moment;
  }

  private killsUntil(ns: number): readonly RecordedKill[] {
    const { allKills } = this;
    const later = allKills.findIndex(({ tsNs }) => tsNs > ns);
    return later < 0 ? allKills : allKills.slice(0, later);
  }

  private rewind(): void {
    this.file[Symbol.dispose]();
    this.file = new RecordingFile(this.path);
    this.replay = new RecordingReplay(this.head);
    this.samples = new UsageSamples(this.replay.memory);
    this.nextSampleNs = this.firstNs;
    this.facts.clear();
    this.held = undefined;
    this.hasEnded = false;
    this.positionNs = -Infinity;
    this.goalNs = Infinity;
  }

  /** A chunk at most. @returns Whether it is there. */
  private step(toNs: number): boolean {
    const stopNs = Math.min(toNs, this.nextSampleNs);
    this.positionNs = Math.max(this.positionNs, stopNs);
    try {
      if (!this.takeOne(stopNs)) return false;
    } catch (error) {
      // Its checksum is right: another toom has made it, or it was forged.
      this.damage = damageOf(error, this.file);
      this.lastNs = Math.max(this.firstNs, Math.min(this.lastNs, this.positionNs));
      this.hasEnded = true;
    }
    if (stopNs === this.nextSampleNs) {
      this.samples.take(stopNs);
      this.nextSampleNs += SAMPLE_NS;
    }
    return stopNs === toNs;
  }

  /** @returns Whether nothing is left until then. */
  private takeOne(untilNs: number): boolean {
    const { replay } = this;
    if (this.hasEnded || !replay.resume(untilNs)) return true;
    const chunk = this.held ?? this.file.next();
    this.held = undefined;
    if (chunk === undefined) {
      if (untilNs >= this.lastNs) {
        this.hasEnded = true;
        replay.end();
      }
      return true;
    }
    const isStop = chunk.type === ChunkType.keyframe || chunk.type === ChunkType.loss;
    if (isStop && timeOf(chunk) > untilNs) {
      this.held = chunk;
      return true;
    }
    replay.take(chunk, untilNs);
    if (chunk.type === ChunkType.facts) {
      for (const [pid, , oomScoreAdj, comm] of jsonOf(chunk.payload) as ProcessFact[]) {
        this.facts.set(pid, { comm: String(comm), oomScoreAdj });
      }
    }
    return false;
  }
}

/** When what a chunk tells of was over, nanoseconds; NaN: it does not say. */
function timeOf({ type, payload }: Chunk): number {
  switch (type) {
    case ChunkType.keyframe:
      return Number((jsonOf(payload) as Keyframe).readNs);
    case ChunkType.loss:
      return Number((jsonOf(payload) as Loss).tsNs);
    case ChunkType.tail:
      return Number((jsonOf(payload) as RecordingTail).endedNs);
    case ChunkType.records: {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      if (view.getUint32(0, true) !== Stream.accountingLog) return NaN;
      const { count, doubles } = unpackRecords(payload.subarray(RECORDS_HEAD_BYTES));
      return count === 0 ? NaN : doubles[(count - 1) * RECORD_WORDS >> 1]!;
    }
    default:
      return NaN;
  }
}

function damageOf(error: unknown, { readBytes, totalBytes }: RecordingFile): string {
  return `${(error as Error).message}, before byte ${readBytes} of ${totalBytes}`;
}

const KILL_NUMBERS = ["tsNs", "uid", "pid", "usagePages", "hardPages", "victimPages"] as const;

/** Whether what stands in the file is one: nobody vouches for it. */
function isKill(kill: RecordedKill | null): boolean {
  return KILL_NUMBERS.every((name) => typeof kill?.[name] === "number");
}
