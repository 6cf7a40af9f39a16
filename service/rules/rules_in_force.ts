/**
 * The rules about who dies that are in force, and those that tags of a moment ago are about.
 *
 * @module
 */
import type { Memory } from "../../pipeline/memory/memory.ts";
import { VictimRulesPublisher } from "../../pipeline/rules/published_victim_rules.ts";
import { editionOf, EDITIONS, ruleNumberOf } from "../../pipeline/rules/tag.ts";
import { DEFAULT_RULES, type VictimRule } from "../../pipeline/rules/victim_rule.ts";

/** What a configuration says about rules. */
export interface RuleOptions {
  readonly victimRules: readonly VictimRule[];
  readonly defaultRules: boolean;
}

/** All rules of a configuration: the last one that matches holds. */
export function rulesOfOptions({ victimRules, defaultRules }: RuleOptions): readonly VictimRule[] {
  return defaultRules ? [...DEFAULT_RULES, ...victimRules] : victimRules;
}

export class RulesInForce {
  private readonly publisher: VictimRulesPublisher;
  /** By edition modulo {@link EDITIONS}: a process keeps its tag until the sweeper has looked at it. */
  private readonly editions: (readonly VictimRule[])[] = Array.from({ length: EDITIONS }, () => []);
  private published = "";

  constructor(memory: Pick<Memory, "victimRules">) {
    this.publisher = new VictimRulesPublisher(memory.victimRules);
  }

  /** Puts rules in force. Where they are the same, nothing is published. */
  put(options: RuleOptions): void {
    const rules = rulesOfOptions(options);
    const text = JSON.stringify(rules);
    if (text === this.published || (this.published === "" && rules.length === 0)) return;
    this.published = text;
    this.editions[this.publisher.publish(rules) & EDITIONS - 1] = rules;
  }

  /** The rule that a tag is about; undefined: none matches, or nothing is known yet. */
  ruleOf(tag: number): VictimRule | undefined {
    const number = ruleNumberOf(tag);
    return number === 0 ? undefined : this.editions[editionOf(tag)]![number - 1];
  }

  /** The rule of a tag in words, `protect /etc/toom/config.jsonc:12`; null: there is none. */
  nameOf(tag: number): string | null {
    const rule = this.ruleOf(tag);
    return rule === undefined ? null : ruleName(rule);
  }
}

/** What a rule says and where: `protect /etc/toom/config.jsonc:12`, `avoid built in (sessionLeader: true)`. */
export function ruleName({ effect, place, text }: VictimRule): string {
  return place.startsWith("/") ? `${effect} ${place}` : `${effect} ${place} (${text})`;
}
