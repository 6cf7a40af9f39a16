/**
 * A text that is put together as bytes: for ten thousand users that takes half as long as with strings,
 * and what is sent are bytes anyway.
 *
 * @module
 */

const BYTES_MIN = 65_536;
const ZERO = 0x30;
const MINUS = 0x2d;
/** Digits of what is written here; longer numbers are left to the platform. */
const DIGITS_MAX = 16;
const ENCODER = new TextEncoder();

export function encoded(text: string): Uint8Array {
  return ENCODER.encode(text);
}

export class ByteText {
  private bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BYTES_MIN);
  private length = 0;

  /** Room for so many more bytes. */
  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  text(text: string): void {
    this.put(encoded(text));
  }

  /** Bytes of a text, encoded once and put often. */
  put(part: Uint8Array): void {
    this.reserve(part.length);
    const { bytes } = this;
    let at = this.length;
    // Shorter than what a call of set() costs.
    for (let index = 0; index < part.length; index++) bytes[at++] = part[index]!;
    this.length = at;
  }

  /** As String(value), for finite numbers. */
  number(value: number): void {
    if (!Number.isInteger(value) || Math.abs(value) >= 1e15) {
      this.text(String(value));
      return;
    }
    this.reserve(DIGITS_MAX + 1);
    const { bytes } = this;
    let rest = value;
    if (rest < 0) {
      bytes[this.length++] = MINUS;
      rest = -rest;
    }
    let digits = 1;
    for (let power = 10; power <= rest; power *= 10) digits++;
    let at = this.length + digits;
    this.length = at;
    // Division of doubles is exact here, but slower than that of 32 bits.
    for (; rest > 0x7fffffff; rest = Math.floor(rest / 10)) bytes[--at] = ZERO + rest % 10;
    let low = rest | 0;
    do {
      const tenth = (low / 10) | 0;
      bytes[--at] = ZERO + (low - tenth * 10);
      low = tenth;
    } while (low > 0);
  }

  /** A copy of what has been put. */
  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}
