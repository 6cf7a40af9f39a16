/**
 * A request of a stream, of which not all may have come yet.
 *
 * @module
 */
import { REQUEST_BYTES } from "./tmalloc_message.ts";

export class PartialRequest {
  private readonly bytes = new Uint8Array(REQUEST_BYTES);
  private length = 0;

  /** Bytes that are missing: take no more, as the rest is the next request. */
  get missingBytes(): number {
    return REQUEST_BYTES - this.length;
  }

  /**
   * Adds what came.
   *
   * @param bytes Where it lies, from the start; holds the whole request when there is one.
   * @returns Bytes of the request when it is whole, else 0.
   */
  append(bytes: Uint8Array, length: number): number {
    this.bytes.set(bytes.subarray(0, length), this.length);
    this.length += length;
    if (this.length < REQUEST_BYTES) return 0;
    this.length = 0;
    bytes.set(this.bytes);
    return REQUEST_BYTES;
  }
}
