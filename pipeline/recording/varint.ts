/**
 * Numbers in as few bytes as they need, seven bits in each, the lowest first (LEB128); signed ones so
 * that small ones of either sign are short (zigzag), as Protocol Buffers have it.
 *
 * @module
 */

/** Bytes do not say what they should. */
export class BadBytes extends Error {}

const VARINT_BYTES_MAX = 8;

export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  /** @param room At the beginning; it grows. */
  constructor(room: number) {
    this.bytes = new Uint8Array(Math.max(16, room));
  }

  clear(): void {
    this.length = 0;
  }

  private makeRoom(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }

  byte(value: number): void {
    this.makeRoom(1);
    this.bytes[this.length++] = value;
  }

  /** @param value 0 to 2^53. */
  varint(value: number): void {
    this.makeRoom(VARINT_BYTES_MAX);
    let rest = value;
    while (rest > 0x7fffffff) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** @param value A signed 32-bit word. */
  word(value: number): void {
    this.varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  double(value: number): void {
    this.makeRoom(8);
    new DataView(this.bytes.buffer).setFloat64(this.length, value, true);
    this.length += 8;
  }

  put(bytes: Uint8Array): void {
    this.makeRoom(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  get written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

export class ByteReader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  /** @throws {BadBytes} At the end. */
  byte(): number {
    if (this.at >= this.bytes.length) throw new BadBytes("ends too early");
    return this.bytes[this.at++]!;
  }

  /** @throws {BadBytes} When there is none, or one above 2^53. */
  varint(): number {
    const { bytes } = this;
    let at = this.at;
    let byte = bytes[at++]!;
    if (byte < 0x80) {
      this.at = at;
      return byte;
    }
    let value = byte & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
    }
    let factor = 2 ** 28;
    for (;;) {
      if (at >= bytes.length) throw new BadBytes("ends too early");
      byte = bytes[at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
      if (factor > 2 ** 49) throw new BadBytes("a number is too large");
    }
    this.at = at;
    return value;
  }

  word(): number {
    const value = this.varint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** @throws {BadBytes} */
  double(): number {
    const { bytes, at } = this;
    if (at + 8 > bytes.length) throw new BadBytes("ends too early");
    this.at += 8;
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(at, true);
  }

  /** @throws {BadBytes} */
  take(count: number): Uint8Array {
    if (count > this.left) throw new BadBytes("ends too early");
    return this.bytes.subarray(this.at, this.at += count);
  }
}
