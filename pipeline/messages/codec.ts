/**
 * One codec a kind of record: named fields with units over the words of a ring, so that a number cannot
 * be written into the place of another. A view is set to a record and read or written in place, as
 * Agrona's flyweights are: nothing is allocated.
 *
 *     const record = PROC.view(ring.words);
 *     record.at(word).uid
 *
 * @module
 */
import { RecordWord } from "../memory/layout.ts";
import { invariant } from "../memory/invariant.ts";

/** Where a field lies in a record. */
export type Place = "tid" | "a" | "b" | "c" | "d";

export interface Field {
  readonly place: Place;
  /** What is counted, such as `pages`; `id`, `flags` and the like for what is not a number of things. */
  readonly unit: string;
  /** For the table of the format. */
  readonly help: string;
}

export type Fields = Readonly<Record<string, Field>>;

/** One record of a ring: its fields, as signed 32-bit words. */
export type View<F extends Fields> = { -readonly [Name in keyof F]: number } & {
  /**
   * Sets the view to a record.
   * @param word Index of its first word, as the ring says it.
   */
  at(word: number): View<F>;
};

/** Instances of one class for each codec, so that each access has one shape and V8 inlines it. */
abstract class RecordView {
  readonly words: Int32Array;
  word = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  at(word: number): this {
    this.word = word;
    return this;
  }
}

export class Codec<F extends Fields = Fields> {
  /** RecordKind. */
  readonly kind: number;
  readonly name: string;
  readonly help: string;
  readonly fields: F;
  private readonly viewClass: new (words: Int32Array) => RecordView;

  constructor(kind: number, name: string, help: string, fields: F) {
    const places = Object.values(fields).map(({ place }) => place);
    invariant(new Set(places).size === places.length, `codec ${name}: two fields in one place`);
    this.kind = kind;
    this.name = name;
    this.help = help;
    this.fields = fields;
    this.viewClass = class extends RecordView {};
    for (const [field, { place }] of Object.entries(fields)) {
      const offset = RecordWord[place];
      Object.defineProperty(this.viewClass.prototype, field, {
        get(this: RecordView): number {
          return this.words[this.word + offset]!;
        },
        set(this: RecordView, value: number): void {
          this.words[this.word + offset] = value;
        },
      });
    }
  }

  /**
   * A view of the records of this kind in a ring.
   * @param words Of the ring.
   */
  view(words: Int32Array): View<F> {
    return new this.viewClass(words) as unknown as View<F>;
  }
}

/** A field of a codec. */
export function field(place: Place, unit: string, help: string): Field {
  return { place, unit, help };
}
