/**
 * What processes on the books say of themselves, read for recordings: what a replay cannot know from
 * records. A user chooses most of it, so what is read and kept of one user is bounded.
 *
 * @module
 */
import { ProcProcessFacts } from "../kernel/rules/process_facts.ts";
import type { Memory } from "../pipeline/memory/memory.ts";
import { ProcessState, TABLE_HEADER_BYTES, TableWord } from "../pipeline/memory/layout.ts";
import {
  FACT_TEXT_CHARACTERS_MAX,
  type ProcessFact,
  type RecordedTexts,
} from "../pipeline/recording/format.ts";
import type { ProcessFacts as FactSource } from "../pipeline/rules/matcher.ts";

/** Processes that are read in one look: the new ones first, then others again. */
const READS_MAX = 40;
const READS_AGAIN = 4;
/** Characters of texts that are read in one look, of all users and of one. */
const LOOK_CHARACTERS = 32 * 1024;
const LOOK_CHARACTERS_OF_USER = 6 * 1024;
/** Characters of texts that are kept of those that live, of all users and of one. */
const KEPT_CHARACTERS = 2 * 1024 * 1024;
const KEPT_CHARACTERS_OF_USER = 512 * 1024;
/** Processes that have ended and are still kept. */
const ENDED_MAX = 1024;
/** Uids of groups with one limit, and of nobody: pipeline/limits/shared_groups.ts. */
const ACCOUNT_UID_MIN = 2 ** 31;

/** How much of all, and of one user. */
class Budget {
  private readonly most: number;
  private readonly mostOfUser: number;
  private all = 0;
  private readonly ofUser = new Map<number, number>();

  constructor(most: number, mostOfUser: number) {
    this.most = most;
    this.mostOfUser = mostOfUser;
  }

  isLeft(user: number): boolean {
    return this.all < this.most && (this.ofUser.get(user) ?? 0) < this.mostOfUser;
  }

  add(user: number, characters: number): void {
    this.all += characters;
    const ofUser = (this.ofUser.get(user) ?? 0) + characters;
    if (ofUser <= 0) this.ofUser.delete(user);
    else this.ofUser.set(user, ofUser);
  }

  clear(): void {
    this.all = 0;
    this.ofUser.clear();
  }
}

interface Kept {
  readonly fact: ProcessFact;
  readonly uid: number;
  readonly characters: number;
}

export class ProcessFacts {
  private readonly memory: Memory;
  private readonly nowNs: () => number;
  private readonly source: FactSource;
  private readonly header: Int32Array;
  /** By row: generation + 1 of the process that was read, and on which mm it ran: an exec changes it. */
  private readonly read: Int32Array;
  private readonly readMm: Int32Array;
  private readonly kept = new Map<number, Kept>();
  private readonly keptOf = new Budget(KEPT_CHARACTERS, KEPT_CHARACTERS_OF_USER);
  private readonly lookedAt = new Budget(LOOK_CHARACTERS, LOOK_CHARACTERS_OF_USER);
  private turn = 0;

  constructor(memory: Memory, nowNs: () => number, source: FactSource = new ProcProcessFacts()) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.nowNs = nowNs;
    this.source = source;
    this.header = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
    this.read = new Int32Array(plan.capacity.processes);
    this.readMm = new Int32Array(plan.capacity.processes);
  }

  /** All that is known of those that live. */
  known(): readonly ProcessFact[] {
    this.forgetEnded();
    return [...this.kept.values()].map(({ fact }) => fact);
  }

  private forgetEnded(): void {
    const { state, tgid } = this.memory.processes;
    const alive = new Set<number>();
    const end = Atomics.load(this.header, TableWord.highWater);
    for (let row = 0; row < end; row++) {
      if (state[row] === ProcessState.alive) alive.add(tgid[row]!);
    }
    for (const [pid, { uid, characters }] of this.kept) {
      if (alive.has(pid)) continue;
      this.kept.delete(pid);
      this.keptOf.add(uid, -characters);
    }
  }

  /** @returns What is new, or another than it was. */
  look(): ProcessFact[] {
    const { state, generation, mmSlot1 } = this.memory.processes;
    const end = Atomics.load(this.header, TableWord.highWater);
    const found: ProcessFact[] = [];
    let left = READS_MAX;
    let alive = 0;
    this.lookedAt.clear();
    for (let row = 0; row < end && left > 0; row++) {
      if (state[row] !== ProcessState.alive) continue;
      alive++;
      if (this.read[row] === generation[row]! + 1 && this.readMm[row] === mmSlot1[row]) continue;
      left--;
      this.read[row] = generation[row]! + 1;
      this.readMm[row] = mmSlot1[row]!;
      this.readRow(row, found);
    }
    for (let again = Math.min(READS_AGAIN, end); again > 0; again--) {
      const row = this.turn++ % end;
      if (state[row] !== ProcessState.alive || !this.lookedAt.isLeft(this.uidOf(row))) continue;
      this.readRow(row, found);
    }
    if (left > 0 && this.kept.size > alive + ENDED_MAX) this.forgetEnded();
    return found;
  }

  /** Whom the process of a row counts for. */
  private uidOf(row: number): number {
    const { processes, users } = this.memory;
    return users.uid[processes.userSlot[row]!]! >>> 0;
  }

  private readRow(row: number, found: ProcessFact[]): void {
    const pid = this.memory.processes.tgid[row]!;
    const uid = this.uidOf(row);
    const tsNs = this.nowNs();
    const before = this.kept.get(pid);
    try {
      this.source.begin(pid);
      const comm = this.source.command();
      const scoreAdj = this.source.oomScoreAdj();
      if (comm === undefined || scoreAdj === undefined) return;
      const texts = this.textsOf(uid);
      const fact: ProcessFact = texts === undefined
        ? [pid, tsNs, scoreAdj, comm]
        : [pid, tsNs, scoreAdj, comm, texts];
      if (before !== undefined && isSame(before.fact, fact)) return;
      const characters = charactersOf(texts);
      if (before !== undefined) this.keptOf.add(before.uid, -before.characters);
      this.keptOf.add(uid, characters);
      this.lookedAt.add(uid, characters);
      this.kept.set(pid, { fact, uid, characters });
      found.push(fact);
    } catch {
      // It is gone, or may not be read: nobody asks for its name any more.
    }
  }

  /** undefined: too much was read of its user just now, or is kept of it. */
  private textsOf(uid: number): RecordedTexts | undefined {
    const { source } = this;
    if (!this.lookedAt.isLeft(uid) || !this.keptOf.isLeft(uid)) return undefined;
    return {
      executable: cut(source.executable()),
      commandLine: cut(source.commandLine()),
      cgroup: cut(source.cgroup()),
      directory: cut(source.directory()),
      isSessionLeader: source.isSessionLeader(),
      ...(uid < ACCOUNT_UID_MIN ? {} : { realUid: source.realUid() }),
    };
  }
}

function cut(text: string | undefined): string | undefined {
  return text?.slice(0, FACT_TEXT_CHARACTERS_MAX);
}

function charactersOf(texts: RecordedTexts | undefined): number {
  if (texts === undefined) return 0;
  const { executable = "", commandLine = "", cgroup = "", directory = "" } = texts;
  return executable.length + commandLine.length + cgroup.length + directory.length;
}

/** But for when it was read. */
function isSame(before: ProcessFact, now: ProcessFact): boolean {
  return before[2] === now[2] && before[3] === now[3] &&
    JSON.stringify(before[4]) === JSON.stringify(now[4]);
}
