/**
 * The rules' way to the sweeper: JSON on pages of shared memory, which cost nothing until they are
 * written.
 *
 * @module
 */
import { invariant } from "../memory/invariant.ts";
import { VICTIM_RULES_BYTES_MAX, VictimRulesWord } from "../memory/layout.ts";
import { PageReader, publishPage } from "../memory/seqlock.ts";
import type { VictimRule } from "./victim_rule.ts";

/** The rules of one publication. */
export interface RulesEdition {
  /** Raised with each publication. */
  readonly edition: number;
  readonly rules: readonly VictimRule[];
}

function encode(rules: readonly VictimRule[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(rules));
}

/** Whether so many rules, of such lengths, find room. */
export function rulesFit(rules: readonly VictimRule[]): boolean {
  return encode(rules).length <= VICTIM_RULES_BYTES_MAX;
}

/** The supervisor's end. One at a time. */
export class VictimRulesPublisher {
  private readonly words: Int32Array;

  /** @param words The region, in shared memory. */
  constructor(words: Int32Array) {
    this.words = words;
  }

  /**
   * Replaces what is published. @returns Its edition.
   * @throws {InvariantError} When there is no room: see {@link rulesFit}. Nothing has changed then.
   */
  publish(rules: readonly VictimRule[]): number {
    const { words } = this;
    const bytes = encode(rules);
    invariant(bytes.length <= VICTIM_RULES_BYTES_MAX, `rules: ${bytes.length} bytes of text`);
    const edition = Atomics.load(words, VictimRulesWord.edition) + 1 | 0;
    publishPage(words, () => {
      Atomics.store(words, VictimRulesWord.edition, edition);
      Atomics.store(words, VictimRulesWord.bytes, bytes.length);
      for (let at = 0; at < bytes.length; at += 4) {
        const word = bytes[at]! | (bytes[at + 1] ?? 0) << 8 | (bytes[at + 2] ?? 0) << 16 |
          (bytes[at + 3] ?? 0) << 24;
        Atomics.store(words, VictimRulesWord.text + (at >> 2), word);
      }
    });
    return edition;
  }
}

/** The sweeper's end. */
export class VictimRulesView {
  private readonly words: Int32Array;
  private readonly reader: PageReader;
  private bytes: Uint8Array = new Uint8Array(0);
  private edition = 0;

  constructor(words: Int32Array) {
    this.words = words;
    this.reader = new PageReader(words);
  }

  /** @returns What was published since the last call; undefined: nothing was. */
  take(): RulesEdition | undefined {
    if (!this.reader.isNew || !this.reader.refresh(() => this.load())) return undefined;
    const text = new TextDecoder().decode(this.bytes);
    this.bytes = new Uint8Array(0);
    return { edition: this.edition, rules: JSON.parse(text) as readonly VictimRule[] };
  }

  /** Copies what may be half of a page: only what was whole is read. */
  private load(): void {
    const { words } = this;
    const length = Math.min(Atomics.load(words, VictimRulesWord.bytes), VICTIM_RULES_BYTES_MAX);
    this.edition = Atomics.load(words, VictimRulesWord.edition);
    this.bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = Atomics.load(words, VictimRulesWord.text + (at >> 2));
      for (let byte = 0; byte < 4 && at + byte < length; byte++) {
        this.bytes[at + byte] = word >>> byte * 8;
      }
    }
  }
}
