/**
 * A single-producer, single-consumer ring of fixed records on shared memory.
 *
 * The cursors count records since the start, modulo 2^32, and are masked on access, so that full
 * and empty differ and lag is a subtraction. The producer writes payload plainly and publishes it
 * with one `Atomics.store` of `tail` for a whole batch; the consumer's `Atomics.load` of `tail`
 * then sees all of it (ECMA-262, "Memory Model": synchronizes-with). Each side keeps a copy of the
 * other's cursor and reads the real one only when the copy is not enough.
 *
 * Full and empty are return values. Nothing here ever overwrites or drops.
 *
 * @module
 */
import { RING_HEADER_BYTES, RingWord } from "./layout.ts";
import { invariant } from "./invariant.ts";

/** Where a ring lies in the shared memory. */
export interface RingPlace {
  /** Offset of the ring's header. */
  readonly byteOffset: number;
  /** Number of records, a power of two. */
  readonly records: number;
  /** Bytes of a record, a multiple of 8. */
  readonly recordBytes: number;
}

/** Bytes that a ring needs. */
export function ringBytes(records: number, recordBytes: number): number {
  return RING_HEADER_BYTES + records * recordBytes;
}

abstract class RingSide {
  /** Payload as 32-bit words; a record starts at {@link slotWord}. */
  readonly words: Int32Array;
  /** Payload as doubles. */
  readonly doubles: Float64Array;
  /** Payload as bytes. */
  readonly bytes: Uint8Array;
  readonly records: number;
  readonly recordWords: number;
  protected readonly header: Int32Array;
  protected readonly mask: number;

  constructor(memory: SharedArrayBuffer, place: RingPlace) {
    const { byteOffset, records, recordBytes } = place;
    invariant(
      records > 0 && (records & (records - 1)) === 0 && records <= 1 << 28,
      `ring: the number of records must be a power of two up to 2^28, not ${records}`,
    );
    invariant(
      recordBytes % 8 === 0 && byteOffset % 8 === 0,
      `ring: record size and offset must be multiples of 8, not ${recordBytes} and ${byteOffset}`,
    );
    const dataOffset = byteOffset + RING_HEADER_BYTES;
    const dataBytes = records * recordBytes;
    this.header = new Int32Array(memory, byteOffset, RING_HEADER_BYTES / 4);
    this.words = new Int32Array(memory, dataOffset, dataBytes / 4);
    this.doubles = new Float64Array(memory, dataOffset, dataBytes / 8);
    this.bytes = new Uint8Array(memory, dataOffset, dataBytes);
    this.records = records;
    this.recordWords = recordBytes / 4;
    this.mask = records - 1;
  }

  /** Records published and not consumed yet, seen from outside; may be late. */
  get backlog(): number {
    return (Atomics.load(this.header, RingWord.tail) - Atomics.load(this.header, RingWord.head)) |
      0;
  }
}

/** The writing end. One thread at a time; a successor continues where its predecessor stopped. */
export class RingProducer extends RingSide {
  /** Cursor of the next record to write; ahead of the published tail by what is pending. */
  private cursor: number;
  private published: number;
  private headSeen: number;

  constructor(memory: SharedArrayBuffer, place: RingPlace) {
    super(memory, place);
    this.cursor = Atomics.load(this.header, RingWord.tail);
    this.published = this.cursor;
    this.headSeen = Atomics.load(this.header, RingWord.head);
    // A predecessor may have died in its sleep.
    Atomics.store(this.header, RingWord.producerParked, 0);
  }

  /**
   * Number of the record to write next, as the index of its first word in {@link words}; -1 when
   * the ring is full. The record counts once {@link advance} is called, and is seen by the
   * consumer once {@link publish} is.
   */
  claim(): number {
    if (((this.cursor - this.headSeen) | 0) >= this.records) {
      this.headSeen = Atomics.load(this.header, RingWord.head);
      if (((this.cursor - this.headSeen) | 0) >= this.records) return -1;
    }
    return (this.cursor & this.mask) * this.recordWords;
  }

  /** Takes the claimed record into the batch. */
  advance(): void {
    this.cursor = (this.cursor + 1) | 0;
  }

  /** Records written and not published yet. */
  get pending(): number {
    return (this.cursor - this.published) | 0;
  }

  /**
   * Makes the batch visible.
   * @returns The number of records published; 0 when there was nothing.
   */
  publish(): number {
    const count = (this.cursor - this.published) | 0;
    if (count === 0) return 0;
    this.published = this.cursor;
    Atomics.store(this.header, RingWord.tail, this.cursor);
    return count;
  }

  /**
   * Sleeps until the consumer has made room, or the time is over. Publish first, or nobody will.
   * @param timeoutMs At most this long, in milliseconds.
   */
  waitForRoom(timeoutMs: number): void {
    const seen = Atomics.load(this.header, RingWord.head);
    if (((this.cursor - seen) | 0) < this.records) return;
    Atomics.store(this.header, RingWord.producerParked, 1);
    // `wait` compares again under its own lock, so a consumer that moved in between is not missed.
    Atomics.wait(this.header, RingWord.head, seen, timeoutMs);
    Atomics.store(this.header, RingWord.producerParked, 0);
  }
}

/** The reading end. One thread at a time. */
export class RingConsumer extends RingSide {
  private cursor: number;
  private tailSeen: number;
  private released: number;

  constructor(memory: SharedArrayBuffer, place: RingPlace) {
    super(memory, place);
    this.cursor = Atomics.load(this.header, RingWord.head);
    this.released = this.cursor;
    this.tailSeen = this.cursor;
  }

  /**
   * Index of the next record's first word in {@link words}; -1 when there is none. The record
   * stays valid until {@link release}.
   */
  next(): number {
    if (this.cursor === this.tailSeen) {
      this.tailSeen = Atomics.load(this.header, RingWord.tail);
      if (this.cursor === this.tailSeen) return -1;
    }
    const word = (this.cursor & this.mask) * this.recordWords;
    this.cursor = (this.cursor + 1) | 0;
    return word;
  }

  /** Records given back to the producer so far, modulo 2^32. */
  get taken(): number {
    return this.released;
  }

  /** Whether {@link next} would find a record. */
  get ready(): boolean {
    return this.cursor !== this.tailSeen ||
      this.cursor !== (this.tailSeen = Atomics.load(this.header, RingWord.tail));
  }

  /**
   * Gives the records read so far back to the producer, and wakes it if it sleeps for want of room.
   * @returns How many were given back.
   */
  release(): number {
    const count = (this.cursor - this.released) | 0;
    if (count === 0) return 0;
    this.released = this.cursor;
    Atomics.store(this.header, RingWord.head, this.cursor);
    if (Atomics.load(this.header, RingWord.producerParked) !== 0) {
      Atomics.notify(this.header, RingWord.head);
    }
    return count;
  }
}
