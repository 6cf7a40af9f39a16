/**
 * What rules say of a process, in one word of its row:
 *
 *     bits 0-1   {@link Effect}
 *     bits 2-8   weight, 1 to 100
 *     bits 9-17  number of the rule in its list, from 1; 0: no rule matches
 *     bits 18-21 edition of the list, modulo 16
 *     bits 22-23 {@link TagState}
 *     bits 24-31 generation of the row, modulo 256
 *
 * One word, so that no reader sees half of a change. The generation is in it because two threads write
 * it: the sweeper, and accounting when it makes the row. What the sweeper has found out about a process
 * whose row was given to another meanwhile does not count for that one.
 *
 * @module
 */
import type { Memory } from "../memory/memory.ts";
import { Effect, EFFECT_NAMES, type VictimRule } from "./victim_rule.ts";

/** How much is known of a process. */
export const TagState = {
  /** Nothing. */
  unknown: 0,
  /** It is a child of one with this tag, and has not been looked at. */
  inherited: 1,
  /** It was looked at; its children have the same, until they are. */
  found: 2,
  /** It was looked at, and what decided is not inherited. */
  own: 3,
} as const;
export type TagState = typeof TagState[keyof typeof TagState];

const WEIGHT_SHIFT = 2;
const WEIGHT_MASK = 0x7f;
const NUMBER_SHIFT = 9;
const NUMBER_MASK = 0x1ff;
const EDITION_SHIFT = 18;
const STATE_SHIFT = 22;
const GENERATION_SHIFT = 24;
const GENERATION_MASK = 0xff;
const STATE_MASK = 3 << STATE_SHIFT;
const EFFECT_MASK = 3;

/** Editions of a list of rules that are told from each other. */
export const EDITIONS = 16;

export interface TagParts {
  readonly effect: Effect;
  readonly weight: number;
  /** 0: no rule matches. */
  readonly number: number;
  readonly edition: number;
  readonly state: TagState;
  readonly generation: number;
}

export function packTag({ effect, weight, number, edition, state, generation }: TagParts): number {
  return effect | weight << WEIGHT_SHIFT | number << NUMBER_SHIFT |
    (edition % EDITIONS) << EDITION_SHIFT | state << STATE_SHIFT | generation << GENERATION_SHIFT;
}

/**
 * What a rule says of a process that was looked at, without the generation of its row.
 *
 * @param rule undefined: none matches.
 * @param index Of the rule in its list; -1: none.
 * @param isHeritable Children that change nothing have the same.
 */
export function ruleTag(
  rule: VictimRule | undefined,
  index: number,
  edition: number,
  isHeritable: boolean,
): number {
  return packTag({
    effect: (rule === undefined ? Effect.none : EFFECT_NAMES.indexOf(rule.effect)) as Effect,
    weight: rule?.weight ?? 0,
    number: index + 1,
    edition,
    state: isHeritable ? TagState.found : TagState.own,
    generation: 0,
  });
}

/** The tag of a process; 0: nothing is known. HOT. */
export function tagOf(processes: TagColumns, slot: number): number {
  const tag = processes.tag[slot]!;
  return tag >>> GENERATION_SHIFT === (processes.generation[slot]! & GENERATION_MASK) ? tag : 0;
}

export type TagColumns = Pick<Memory["processes"], "tag" | "generation">;

export function effectOf(tag: number): Effect {
  return (tag & EFFECT_MASK) as Effect;
}

export function weightOf(tag: number): number {
  return tag >> WEIGHT_SHIFT & WEIGHT_MASK;
}

/** Of the rule in its list, from 1; 0: none matches. */
export function ruleNumberOf(tag: number): number {
  return tag >> NUMBER_SHIFT & NUMBER_MASK;
}

export function editionOf(tag: number): number {
  return tag >> EDITION_SHIFT & EDITIONS - 1;
}

export function stateOf(tag: number): TagState {
  return (tag >> STATE_SHIFT & 3) as TagState;
}

/** A tag without whose row it is in: as a recording has it. */
export function bareTag(tag: number): number {
  return tag & ~(GENERATION_MASK << GENERATION_SHIFT);
}

/** A bare tag with a generation of a row. */
export function withGeneration(bare: number, generation: number): number {
  return bareTag(bare) | generation << GENERATION_SHIFT;
}

/** Stores a bare tag for the process that the row is of now. */
export function putBareTag(processes: TagColumns, slot: number, bare: number): void {
  processes.tag[slot] = withGeneration(bare, processes.generation[slot]!);
}

/** A row was given to a process: nothing is known of it. */
export function clearTag(processes: TagColumns, slot: number): void {
  processes.tag[slot] = 0;
}

/**
 * A process was born: it has the name, the program and the rest of its parent until it changes them.
 * What is known of it already stays.
 */
export function inheritTag(processes: TagColumns, child: number, parent: number): void {
  if (tagOf(processes, child) !== 0) return;
  const tag = tagOf(processes, parent);
  const state = stateOf(tag);
  if (state === TagState.unknown || state === TagState.own) return;
  const rest = tag & ~(STATE_MASK | GENERATION_MASK << GENERATION_SHIFT);
  processes.tag[child] = rest | TagState.inherited << STATE_SHIFT |
    processes.generation[child]! << GENERATION_SHIFT;
}
