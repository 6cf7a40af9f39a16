/**
 * Names and values of fields as metrics, by the conventions of Prometheus: base units, `_total` for
 * counters.
 *
 * @module
 */
import type { FieldSpec, FieldValue, Unit } from "./field.ts";

/** @throws {TypeError} When the field is no metric. */
export function metricName({ type, metric }: FieldSpec): string {
  if (metric === undefined) throw new TypeError("Cannot name a field that is no metric");
  return type === "counter" ? `${metric.name}_total` : metric.name;
}

/** What a value is multiplied with to be in base units. */
export function baseFactor(unit: Unit, pageBytes: number): number {
  switch (unit) {
    case "pages":
    case "pages per second":
      return pageBytes;
    case "milliseconds":
      return 1e-3;
    case "microseconds":
      return 1e-6;
    default:
      return 1;
  }
}

/** A number, or a flag as 1 or 0, in base units. @throws {TypeError} For a text. */
export function metricValue({ unit }: FieldSpec, value: FieldValue, pageBytes: number): number {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value !== "number") throw new TypeError(`Cannot make a metric of ${typeof value}`);
  // Of milliseconds, without the noise of binary fractions.
  const factor = baseFactor(unit, pageBytes);
  return factor < 1 ? value / (1 / factor) : value * factor;
}
