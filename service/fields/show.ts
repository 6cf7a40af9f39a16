/**
 * Values of fields for people.
 *
 * @module
 */
import { escapeJsonLine, formatBytes } from "../../pipeline/limits/units.ts";
import type { FieldSpec, FieldValue } from "./field.ts";

/** What is shown where there is nothing. */
const NOTHING = "-";

/**
 * A value as a table or a sentence has it. What users can name is made harmless: control characters,
 * line separators and what turns the direction of a text are escaped.
 *
 * @param pageBytes Bytes of a page of the machine that the value is of.
 */
export function show(spec: FieldSpec, value: FieldValue, pageBytes: number): string {
  if (value === null || (value === 0 && spec.zeroIsNone === true)) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return harmless(value);
  switch (spec.unit) {
    case "pages":
      return formatBytes(value * pageBytes);
    case "bytes":
      return formatBytes(value);
    case "pages per second":
      return value === 0 ? NOTHING : `${formatBytes(value * pageBytes)}/s`;
    case "per second":
      return `${Math.round(value)}/s`;
    case "seconds":
      return formatSeconds(value);
    case "milliseconds":
      return `${Math.round(value)} ms`;
    case "microseconds":
      return formatMicroseconds(value);
    case "none":
      return String(value);
  }
}

/** A text that nobody has checked, on one line and without control characters. */
export function harmless(text: string): string {
  return escapeJsonLine(text);
}

/** Durations from seconds to days, by their two largest units. @param seconds 0 or more. */
export function formatSeconds(seconds: number): string {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${whole % 60} s`;
  return `${whole} s`;
}

function formatMicroseconds(us: number): string {
  if (us < 1000) return `${Math.round(us * 10) / 10} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(1)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}
