/**
 * Keeps the tags of all processes as the rules say: part of the sweeper, off the way of a kill.
 *
 * A process is looked at when it was born, has executed a program or has changed its user, and when
 * the rules have changed. What a process changes without any event (its name, its directory, its
 * cgroup, its oom_score_adj) is found by looking again: the nearer its user is to its limit, the sooner.
 *
 * @module
 */
import {
  ProcessState,
  TABLE_HEADER_BYTES,
  TableWord,
  UserState,
  VictimState,
} from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { AccountingPosition, RoleLog } from "../messages/role_log.ts";
import { Matcher, needsPatterns, type Patterns, type ProcessFacts } from "./matcher.ts";
import { type RulesEdition, VictimRulesView } from "./published_victim_rules.ts";
import {
  editionOf,
  EDITIONS,
  effectOf,
  ruleTag,
  stateOf,
  tagOf,
  TagState,
  withGeneration,
} from "./tag.ts";
import { Effect } from "./victim_rule.ts";

/** No turn takes longer, and after one it rests for so many times what it took. */
const TURN_NS = 2e6;
const RESTS = 4;
/** How often it looks who was born: while a user is above soft, and else. */
const SOFT_EVERY_NS = 20e6;
const EVERY_NS = 200e6;
/** Who was looked at is looked at again after this: of a user above soft, above half of hard, else. */
const SOFT_HOLDS_NS = 50e6;
const HALF_HOLDS_NS = 400e6;
const HOLDS_NS = 30e9;
/** Processes that are looked at again in one turn. */
const AGAIN_MAX = 8;
/** Execs that wait; of more, all processes are looked at anew. */
const EXECS_MAX = 4096;
/** Of a process whose user is not known yet, as a word. */
const UNKNOWN_UID = -1;

export interface TaggerContext {
  readonly memory: Memory;
  readonly facts: ProcessFacts;
  /** Makes patterns, which take memory: only where a rule has one. */
  readonly loadPatterns: () => Promise<Patterns>;
  readonly nowNs: () => number;
  /** Programs in the kernel must not end the candidate of a user that they have. */
  readonly disarm: (uid: number) => void;
}

export class Tagger {
  private readonly context: TaggerContext;
  private readonly view: VictimRulesView;
  private readonly log: RoleLog;
  private readonly position: AccountingPosition;
  private readonly processHeader: Int32Array;
  private matcher: Matcher | undefined;
  private current: RulesEdition = { edition: 0, rules: [] };
  private isLoading = false;
  private failure: unknown;
  /** Processes that have executed a program or changed their user. */
  private readonly execs = new Set<number>();
  /** By process slot: when it was looked at. */
  private readonly lookedNs: Float64Array;
  /** Whoever was looked at before is looked at again. */
  private anewNs = 0;
  /** Where the next pass goes on. */
  private at = 0;
  private restUntilNs = 0;
  private dueNs = 0;
  private isBehind = false;
  private isAnySoft = false;

  constructor(context: TaggerContext) {
    this.context = context;
    const { memory } = context;
    this.view = new VictimRulesView(memory.victimRules);
    this.log = new RoleLog(memory, memory.plan.sweeperLog);
    this.position = new AccountingPosition(memory);
    this.processHeader = new Int32Array(
      memory.buffer,
      memory.plan.processes,
      TABLE_HEADER_BYTES / 4,
    );
    this.lookedNs = new Float64Array(memory.plan.capacity.processes);
  }

  /** Whether the event loop must turn for what is loaded. */
  get isWaiting(): boolean {
    return this.isLoading;
  }

  /** When {@link step} has something to do even if nothing happens; Infinity: when it is called. */
  get nextNs(): number {
    if (this.matcher === undefined) return Infinity;
    if (this.isBehind || this.execs.size > 0) return this.restUntilNs;
    return this.isAnySoft ? Math.max(this.dueNs, this.restUntilNs) : Infinity;
  }

  /** A process has executed a program, or has changed its user. */
  changed(pid: number): void {
    if (this.matcher === undefined) return;
    if (this.execs.size < EXECS_MAX) {
      this.execs.add(pid);
      return;
    }
    this.execs.clear();
    this.anewNs = this.context.nowNs();
  }

  /** One turn: looks at those that nothing is known of. */
  step(nowNs: number): void {
    if (this.failure !== undefined) throw this.failure;
    const published = this.isLoading ? undefined : this.view.take();
    if (published !== undefined) this.begin(published);
    if (this.matcher === undefined || nowNs < this.restUntilNs) return;
    if (!this.isBehind && this.execs.size === 0 && nowNs < this.dueNs) return;
    // Until then, if a reading fails.
    this.restUntilNs = nowNs + SOFT_EVERY_NS;
    this.pass(this.matcher, nowNs);
    const spentNs = this.context.nowNs() - nowNs;
    this.restUntilNs = nowNs + spentNs * (1 + RESTS);
    this.dueNs = nowNs + (this.isAnySoft ? SOFT_EVERY_NS : EVERY_NS);
  }

  private begin(published: RulesEdition): void {
    const { rules } = published;
    // There are none, and never were: nobody has a tag.
    if (rules.length === 0 && this.matcher === undefined) return;
    if (!needsPatterns(rules)) {
      this.use(published);
      return;
    }
    this.isLoading = true;
    this.context.loadPatterns().then((patterns) => {
      this.isLoading = false;
      this.use(published, patterns);
    }).catch((error: unknown) => {
      this.isLoading = false;
      this.failure = error;
    });
  }

  private use(published: RulesEdition, patterns?: Patterns): void {
    this.matcher = new Matcher(published.rules, this.context.facts, patterns);
    this.current = published;
    this.at = 0;
    this.isBehind = true;
  }

  /** Goes over all processes, or as far as the time of a turn lasts. */
  private pass(matcher: Matcher, nowNs: number): void {
    const { memory, nowNs: clock } = this.context;
    const { tgid, state, userSlot } = memory.processes;
    const { users, processes } = memory;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    const edition = this.current.edition & EDITIONS - 1;
    let again = 0;
    let next = 0;
    this.isAnySoft = false;
    for (let seen = 0; seen < highWater; seen++) {
      const slot = (this.at + seen) % highWater;
      const pid = tgid[slot]!;
      if (state[slot] !== ProcessState.alive || pid <= 0) continue;
      const user = userSlot[slot]!;
      if (users.uid[user] === UNKNOWN_UID) continue;
      const isSoft = users.state[user]! > UserState.ok;
      this.isAnySoft ||= isSoft;
      const tag = tagOf(processes, slot);
      const known = stateOf(tag);
      const isNews = known === TagState.unknown || known === TagState.inherited ||
        editionOf(tag) !== edition || (this.execs.size > 0 && this.execs.has(pid));
      if (!isNews) {
        const untilNs = this.lookedNs[slot]! + this.holdsNs(user, isSoft);
        if (untilNs > nowNs && this.lookedNs[slot]! >= this.anewNs) continue;
        if (again >= AGAIN_MAX) continue;
        again++;
        next = slot + 1;
      }
      this.look(matcher, slot, pid);
      this.execs.delete(pid);
      if (clock() - nowNs < TURN_NS) continue;
      this.at = slot + 1;
      this.isBehind = true;
      return;
    }
    this.isBehind = false;
    // Those behind the last of these have not had their turn.
    this.at = again < AGAIN_MAX ? 0 : next;
    this.execs.clear();
  }

  /** For how long what is known of a process counts: what it changes without an event is not told. */
  private holdsNs(userSlot: number, isSoft: boolean): number {
    if (isSoft) return SOFT_HOLDS_NS;
    const { usagePages, hardPages } = this.context.memory.users;
    return usagePages[userSlot]! > hardPages[userSlot]! / 2 ? HALF_HOLDS_NS : HOLDS_NS;
  }

  private look(matcher: Matcher, slot: number, pid: number): void {
    const { processes, users } = this.context.memory;
    const generation = processes.generation[slot]!;
    const uid = users.uid[processes.userSlot[slot]!]!;
    const index = matcher.find(pid, uid >>> 0);
    const rule = index < 0 ? undefined : this.current.rules[index]!;
    const edition = this.current.edition & EDITIONS - 1;
    const bare = ruleTag(rule, index, edition, matcher.isHeritable);
    const tag = withGeneration(bare, generation);
    const nowNs = this.lookedNs[slot] = this.context.nowNs();
    const before = tagOf(processes, slot);
    if (before === tag) return;
    const isRecorded = this.log.recording !== 0;
    // Before the tag counts: who reads it is there later.
    const position = isRecorded ? this.position.now : 0;
    Atomics.store(processes.tag, slot, tag);
    if (isRecorded && processes.generation[slot] === generation) {
      this.log.tagged(nowNs, pid, bare, position);
    }
    if (effectOf(tag) >= Effect.avoid && effectOf(tag) !== effectOf(before)) {
      this.disarm(slot, generation, uid);
    }
  }

  /** Programs in the kernel may have it for the candidate: what they knew of it is not so any more. */
  private disarm(slot: number, generation: number, uid: number): void {
    const { victims } = this.context.memory;
    for (let row = 0; row < victims.state.length; row++) {
      if (victims.state[row] !== VictimState.armed || victims.processSlot[row] !== slot) continue;
      if (victims.processGeneration[row] === generation) this.context.disarm(uid);
    }
  }
}
