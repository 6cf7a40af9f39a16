/**
 * A field: one thing that toom shows, with its unit, and everything else that is needed to show it
 * anywhere. A table is an object of fields; its keys are the names of the fields in JSON, CSV and code.
 *
 * @module
 */
import { z } from "zod";

/** Pages inside toom; where a field leaves toom as a metric, it is in base units (bytes, seconds). */
export type Unit =
  | "none"
  | "pages"
  | "bytes"
  | "seconds"
  | "milliseconds"
  | "microseconds"
  | "pages per second"
  | "per second";

/** `counter`: only grows, until toom starts anew. `time`: ISO 8601, UTC. */
export type FieldType = "gauge" | "counter" | "number" | "text" | "choice" | "flag" | "time";

export interface FieldSpec {
  readonly type: FieldType;
  readonly unit: Unit;
  /** One sentence without its full stop. */
  readonly help: string;
  /** Its value may be null: it is not known, or there is none. */
  readonly nullable?: true;
  /** Values of a choice. */
  readonly choices?: readonly string[];
  /** Of a text: what it is in rows of an older toom, which did not have it. */
  readonly nothing?: string;
  /** May be negative. */
  readonly signed?: true;
  /** Title of its column in tables for people; without, it has none. */
  readonly column?: string;
  /** In tables for people, 0 is shown as "-". */
  readonly zeroIsNone?: true;
  /** Its name as a metric, and what tells it from others of that name. */
  readonly metric?: MetricSpec;
}

export interface MetricSpec {
  /** Without `_total`, which counters get. */
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Of the whole family, where several fields share the name. */
  readonly help?: string;
}

export type Fields = Readonly<Record<string, FieldSpec>>;

type PlainOf<F extends FieldSpec> = F extends { readonly type: "text" | "time" } ? string
  : F extends { readonly type: "choice"; readonly choices: readonly (infer C)[] } ? C
  : F extends { readonly type: "flag" } ? boolean
  : number;

export type ValueOf<F extends FieldSpec> = F extends { readonly nullable: true } ? PlainOf<F> | null
  : PlainOf<F>;

/** A row of a table: the values of its fields by name. */
export type RowOf<F extends Fields> = { readonly [Name in keyof F]: ValueOf<F[Name]> };

export type FieldValue = string | number | boolean | null;

/**
 * A row with what it lacks: null where that is a value, else nothing of its kind. For rows that an older
 * toom has written, which knew fewer fields.
 */
export function completed(
  fields: Fields,
  row: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const lacking = Object.entries(fields).filter(([name]) => row[name] === undefined);
  return { ...row, ...Object.fromEntries(lacking.map(([name, spec]) => [name, nothingOf(spec)])) };
}

function nothingOf({ type, nullable, choices, nothing }: FieldSpec): FieldValue {
  if (nothing !== undefined) return nothing;
  if (nullable === true) return null;
  if (choices !== undefined) return choices[0]!;
  if (type === "flag") return false;
  return type === "text" || type === "time" ? "" : 0;
}

/** Units whose values need not be whole. */
const FRACTIONS: ReadonlySet<Unit> = new Set(
  ["seconds", "milliseconds", "microseconds", "pages per second", "per second"],
);

/** Checks of the values of a table, for `z.object`. */
export type ShapeOf<F extends Fields> = { [Name in keyof F]: z.ZodType<ValueOf<F[Name]>> };

export function shapeOf<F extends Fields>(fields: F): ShapeOf<F> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, spec]) => [name, schemaOf(spec)]),
  ) as unknown as ShapeOf<F>;
}

function schemaOf(spec: FieldSpec): z.ZodType {
  const plain = plainSchemaOf(spec);
  return spec.nullable === true ? plain.nullable() : plain;
}

function plainSchemaOf({ type, unit, choices, signed }: FieldSpec): z.ZodType {
  switch (type) {
    case "text":
    case "time":
      return z.string();
    case "flag":
      return z.boolean();
    case "choice":
      return z.enum(choices as readonly [string, ...string[]]);
    default: {
      const number = FRACTIONS.has(unit) ? z.number() : z.number().int();
      return signed === true ? number : number.nonnegative();
    }
  }
}
