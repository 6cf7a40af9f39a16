/**
 * Numbers and the prefix of a line of trace_pipe, read from the right end. What they find is left in
 * the fields, so that a line allocates nothing. What reads the rest of a line inherits this, so that a
 * line is read by one object.
 *
 * @module
 */
import { byteSet } from "./text_bytes.ts";

const SPACE = 0x20;
const OPEN_PARENTHESIS = 0x28;
const CLOSE_PARENTHESIS = 0x29;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const INT32_MAX = 0x7fffffff;
const CPU_DIGITS_MAX = 6;
const INT_DIGITS_MAX = 10;
/** A 64-bit size or clock. */
const LONG_DIGITS_MAX = 20;
/** From `]` to the time: up to 6 columns, then the widest padding. */
const FLAGS_BYTES_MAX = 32;

/** 1 for what stands in the irq-info columns (trace_print_lat_fmt), and for space. */
const IS_FLAG = byteSet(/[ .#*A-Za-z0-9]/);

export abstract class TextPrefix {
  /** Of the prefix read last. Nanoseconds, or the plain number of a clock that has no seconds. */
  tsNs = 0;
  cpu = 0;
  tid = 0;
  /** 0 when the line does not tell. */
  tgid = 0;
  /** The number that was read last. */
  protected value = 0;

  /**
   * Reads the prefix whose time ends before the colon at `colon`: `COMM-PID [CPU] FLAGS TIME`, with
   * the tgid in parentheses behind the pid where record-tgid is on.
   *
   * @returns Whether there is one; only then are the fields set.
   */
  prefix(bytes: Uint8Array, colon: number): boolean {
    let last = colon - 1;
    let at = this.digits(bytes, last);
    let digits = last - at;
    if (digits === 0 || digits > LONG_DIGITS_MAX) return false;
    let tsNs = this.value;
    if (bytes[at] === DOT) {
      if (digits === 6) tsNs *= 1000;
      else if (digits !== 9) return false;
      last = at - 1;
      at = this.digits(bytes, last);
      digits = last - at;
      if (digits === 0 || digits > LONG_DIGITS_MAX) return false;
      tsNs += this.value * 1e9;
    }

    if (bytes[at] !== SPACE) return false;
    last = at;
    while (IS_FLAG[bytes[at]!] === 1) at--;
    if (bytes[at] !== CLOSE_BRACKET || last - at > FLAGS_BYTES_MAX) return false;

    last = at - 1;
    at = this.digits(bytes, last);
    const cpu = this.value;
    if (last - at > CPU_DIGITS_MAX) return false;
    if (bytes[at] !== OPEN_BRACKET || last === at || bytes[at - 1] !== SPACE) return false;
    at = skipSpaces(bytes, at - 1);

    let tgid = 0;
    if (bytes[at] === CLOSE_PARENTHESIS) {
      at--;
      if (bytes[at] === MINUS) {
        last = at;
        while (bytes[at] === MINUS) at--;
      } else {
        at = this.number(bytes, at);
        if (at < 0) return false;
        tgid = this.value;
        at = skipSpaces(bytes, at);
      }
      if (bytes[at] !== OPEN_PARENTHESIS || bytes[at - 1] !== SPACE) return false;
      at = skipSpaces(bytes, at - 1);
    }

    at = this.number(bytes, at);
    if (at < 0 || bytes[at] !== MINUS) return false;
    this.tsNs = tsNs;
    this.cpu = cpu;
    this.tid = this.value;
    this.tgid = tgid;
    return true;
  }

  /**
   * Reads the digits that end at `last` as a positive int, into `value`.
   * @returns The index before them; -1 when there are none, or too many.
   */
  protected number(bytes: Uint8Array, last: number): number {
    const at = this.digits(bytes, last);
    return at === last || last - at > INT_DIGITS_MAX || this.value > INT32_MAX ? -1 : at;
  }

  /**
   * Reads the digits that end at `last` into `value`: 0 when there are none, anything when there
   * are more than a double can hold.
   * @returns The index before them.
   */
  protected digits(bytes: Uint8Array, last: number): number {
    let at = last;
    let value = 0;
    let scale = 1;
    let digit = bytes[at]! - ZERO;
    while (digit >= 0 && digit <= 9) {
      value += digit * scale;
      scale *= 10;
      digit = bytes[--at]! - ZERO;
    }
    this.value = value;
    return at;
  }
}

function skipSpaces(bytes: Uint8Array, at: number): number {
  while (bytes[at] === SPACE) at--;
  return at;
}
