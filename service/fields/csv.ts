/**
 * Rows of a table as CSV, RFC 4180: a line of names, then a line a row. Units are part of the names.
 *
 * @module
 */
import type { FieldSpec, FieldValue, RowOf } from "./field.ts";
import { harmless } from "./show.ts";

/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^[=+\-@\t\r]/;
const NEEDS_QUOTES = /[",\r\n]/;

/** @returns Lines without their ends. */
export function csvLines<F extends Readonly<Record<string, FieldSpec>>>(
  fields: F,
  rows: readonly RowOf<F>[],
): string[] {
  const names = Object.keys(fields);
  return [
    names.join(","),
    ...rows.map((row) =>
      names.map((name) => csvCell(row[name as keyof F] as FieldValue)).join(",")
    ),
  ];
}

/**
 * A value as a cell. Of a text that a spreadsheet would compute, the first character is made harmless
 * by an apostrophe before it, and control characters are escaped; numbers stay as they are.
 */
export function csvCell(value: FieldValue): string {
  if (value === null) return "";
  if (typeof value !== "string") return String(value);
  const text = harmless(FORMULA.test(value) ? `'${value}` : value);
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
