/**
 * Cuts a zstd file into its frames. The decompressor of Deno is right about one frame only: it takes
 * the end of the bytes for the end of the file, wherever it is, and leaves out or refuses what is
 * behind the first frame. RFC 8878, sections 3.1.1 and 3.1.2.
 *
 * @module
 */

const FRAME_MAGIC = 0xfd2fb528;
/** The lowest four bits may be anything. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAGIC_BYTES = 4;
/** Bytes of the frame's content size, by the highest two bits of its descriptor. */
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;
const NO_FRAME = "no zstd frame where one must begin";

export class ZstdFrames {
  private readonly chunks: AsyncIterator<Uint8Array>;
  /** What has been read and not been taken. */
  private bytes = new Uint8Array(0);
  private at = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.chunks = chunks[Symbol.asyncIterator]();
  }

  /** Whether there is a byte more. */
  async more(): Promise<boolean> {
    while (this.at === this.bytes.length) {
      const { value, done } = await this.chunks.next();
      if (done === true) return false;
      this.bytes = value.slice();
      this.at = 0;
    }
    return true;
  }

  /**
   * The bytes of the next frame; none of one that is to be skipped.
   *
   * @throws {Error} When there is none, or the file ends within it.
   */
  async *frame(): AsyncGenerator<Uint8Array> {
    const head = await this.number(MAGIC_BYTES);
    const magic = head.value;
    if (magic - magic % 16 === SKIPPABLE_MAGIC) {
      const { value } = await this.number(4);
      for await (const _ of this.pass(value));
      return;
    }
    if (magic !== FRAME_MAGIC) throw new Error(NO_FRAME);
    yield head.bytes;
    const descriptor = await this.number(1);
    yield descriptor.bytes;
    const isSingle = (descriptor.value & 0x20) !== 0;
    const contentSize = CONTENT_SIZE_BYTES[descriptor.value >> 6]!;
    yield* this.pass(
      (isSingle ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor.value & 3]! +
        (isSingle && contentSize === 0 ? 1 : contentSize),
    );
    for (let isLast = false; !isLast;) {
      const block = await this.number(3);
      yield block.bytes;
      isLast = (block.value & 1) !== 0;
      const type = block.value >> 1 & 3;
      if (type === RESERVED_BLOCK) throw new Error("a block of a kind that zstd does not have");
      yield* this.pass(type === RLE_BLOCK ? 1 : block.value >> 3);
    }
    if ((descriptor.value & 4) !== 0) yield* this.pass(4);
  }

  /** So many bytes as they come. */
  private async *pass(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      if (!await this.more()) throw new Error("unexpected end of file");
      const part = this.bytes.subarray(this.at, this.at + left);
      this.at += part.length;
      left -= part.length;
      yield part;
    }
  }

  /** A number of a few bytes, little-endian. */
  private async number(
    count: number,
  ): Promise<{ readonly value: number; readonly bytes: Uint8Array }> {
    const bytes = new Uint8Array(count);
    let length = 0;
    for await (const part of this.pass(count)) {
      bytes.set(part, length);
      length += part.length;
    }
    return { value: bytes.reduceRight((sum, byte) => sum * 256 + byte, 0), bytes };
  }
}
