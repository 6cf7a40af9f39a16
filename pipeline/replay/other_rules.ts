/**
 * Rules that a recording was not made with: what they would have said of each process, by what was read
 * of it when it was recorded. They hold for a process from the moment on at which that was read, as
 * the sweeper would have looked at it then; a child has what its parent has until then.
 *
 * @module
 */
import type { Memory } from "../memory/memory.ts";
import type { ProcessFact, RecordedTexts } from "../recording/format.ts";
import { Matcher, type Patterns, type ProcessFacts } from "../rules/matcher.ts";
import { putBareTag, ruleTag } from "../rules/tag.ts";
import type { VictimRule } from "../rules/victim_rule.ts";

export interface OtherRulesOptions {
  readonly memory: Memory;
  /** Row of a process; -1: there is none. */
  readonly findProcess: (pid: number) => number;
  readonly rules: readonly VictimRule[];
  /** Needed where a rule has a pattern. */
  readonly patterns: Patterns | undefined;
}

/** Processes of which something is known; of more, those that have ended are forgotten. */
const KNOWN_MAX = 65_536;
/** By so much /proc may tell a birth too late: a tick of its clock. */
const BIRTH_ERROR_NS = 10e6;
/** Facts that are due and still in the list, so that it is not moved for each. */
const PAST_MAX = 1024;
const EDITION = 1;

export class OtherRules {
  private readonly options: OtherRulesOptions;
  private readonly matcher: Matcher;
  private readonly facts = new RecordedFacts();
  /** By time, from {@link next} on. */
  private coming: ProcessFact[] = [];
  private next = 0;

  /** @throws When a rule has a pattern, and there are no patterns. */
  constructor(options: OtherRulesOptions) {
    this.options = options;
    this.matcher = new Matcher(options.rules, this.facts, options.patterns);
  }

  noteFacts(facts: readonly ProcessFact[]): void {
    for (const fact of facts) this.coming.push(fact);
  }

  /** A moment has come. */
  apply(clockNs: number): void {
    for (let fact = this.coming[this.next]; fact !== undefined; fact = this.coming[this.next]) {
      if (fact[1] > clockNs) return;
      this.next++;
      this.facts.known.set(fact[0], fact);
      if (this.facts.known.size > KNOWN_MAX) this.forgetEnded();
      this.look(fact[0]);
      if (this.next < PAST_MAX) continue;
      this.coming.splice(0, this.next);
      this.next = 0;
    }
  }

  private forgetEnded(): void {
    const { known } = this.facts;
    for (const pid of known.keys()) {
      if (known.size <= KNOWN_MAX / 2) return;
      if (this.options.findProcess(pid) < 0) known.delete(pid);
    }
  }

  /** Puts on a process what rules say of it, if it is on the books and something is known of it. */
  look(pid: number): void {
    const { memory, rules, findProcess } = this.options;
    const slot = findProcess(pid);
    if (slot < 0) return;
    const readNs = this.facts.known.get(pid)?.[1] ?? -Infinity;
    // What was read of an earlier process with this number is not about it.
    if (readNs < memory.processes.bornTsNs[slot]! - BIRTH_ERROR_NS) return;
    const uid = memory.users.uid[memory.processes.userSlot[slot]!]!;
    const index = this.matcher.find(pid, uid >>> 0);
    const rule = index < 0 ? undefined : rules[index];
    putBareTag(memory.processes, slot, ruleTag(rule, index, EDITION, this.matcher.isHeritable));
  }
}

/** What a recording has of processes; undefined: nothing, and no rule that asks for it matches. */
class RecordedFacts implements ProcessFacts {
  readonly known = new Map<number, ProcessFact>();
  private now: ProcessFact | undefined;
  private texts: RecordedTexts = {};

  begin(pid: number): void {
    this.now = this.known.get(pid);
    this.texts = this.now?.[4] ?? {};
  }

  realUid(): number | undefined {
    return this.texts.realUid;
  }
  command(): string | undefined {
    return this.now?.[3];
  }
  isSessionLeader(): boolean | undefined {
    return this.texts.isSessionLeader;
  }
  executable(): string | undefined {
    return this.texts.executable;
  }
  commandLine(): string | undefined {
    return this.texts.commandLine;
  }
  cgroup(): string | undefined {
    return this.texts.cgroup;
  }
  directory(): string | undefined {
    return this.texts.directory;
  }
  oomScoreAdj(): number | undefined {
    return this.now?.[2];
  }
}
