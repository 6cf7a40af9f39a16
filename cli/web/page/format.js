/**
 * Values for people: the same texts as service/fields/show.ts makes for tables and sentences, which a test
 * compares.
 */

const UNIT_NAMES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const NOTHING = "-";
/** As in pipeline/limits/units.ts. */
// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text that nobody has checked, on one line and without control characters. */
export function harmless(text) {
  return String(text).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function formatBytes(bytes) {
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= (unit === 0 ? 1024 : 1023.95) && unit < UNIT_NAMES.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 ? String(Math.round(value)) : value.toFixed(1);
  return `${bytes < 0 ? "-" : ""}${digits} ${UNIT_NAMES[unit]}`;
}

/** Durations from seconds to days, by their two largest units. */
export function formatSeconds(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${whole % 60} s`;
  return `${whole} s`;
}

function formatMicroseconds(us) {
  if (us < 1000) return `${Math.round(us * 10) / 10} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(1)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

/** A value of a field. @param pageBytes Bytes of a page of the machine. */
export function show(spec, value, pageBytes) {
  if (value === null || value === undefined || (value === 0 && spec.zeroIsNone === true)) {
    return NOTHING;
  }
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
    default:
      return String(value);
  }
}

/** A part of one as a percentage: `58 %`, `0.4 %`. */
export function formatPart(part) {
  const percent = part * 100;
  return `${percent.toFixed(percent > 0 && percent < 9.95 ? 1 : 0)} %`;
}

/** When something was, of today without its date; in the browser's own time. */
export function formatTime(at, now = new Date()) {
  const date = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const isToday = date.toDateString() === now.toDateString();
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return isToday ? time : `${day} ${time}`;
}

/** Who a user is: its name, else its uid. */
export function userName({ user, uid }) {
  return user === null || user === undefined ? `uid ${uid}` : harmless(user);
}
