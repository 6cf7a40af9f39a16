/**
 * Columns of tables for people, from the tables of fields.
 *
 * @module
 */
import type { Fields, FieldSpec, FieldValue, RowOf } from "../service/fields/field.ts";
import { show } from "../service/fields/show.ts";
import type { Column } from "./table.ts";

/** How a column differs from what {@link show} makes of its field; by the field's name. */
export type Shown<F extends Fields> = {
  readonly [Name in keyof F]?: (row: RowOf<F>) => string;
};

/** Columns of those fields that have a title. @param left Names of fields that are left out. */
export function columnsOf<F extends Fields>(
  fields: F,
  pageBytes: number,
  shown: Shown<F> = {},
  left: readonly string[] = [],
): readonly Column<RowOf<F>>[] {
  return Object.entries<FieldSpec>(fields)
    .filter(([name, { column }]) => column !== undefined && !left.includes(name))
    .map(([name, spec]) => ({
      title: spec.column!,
      text: (row: RowOf<F>): string =>
        shown[name]?.(row) ?? show(spec, row[name] as FieldValue, pageBytes),
      right: ["gauge", "counter", "number"].includes(spec.type),
    }));
}
