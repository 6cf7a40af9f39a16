/**
 * Raw DEFLATE (RFC 1951) for recordings, by zlib.
 *
 * @module
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Packer } from "../../pipeline/recording/format.ts";

/** Beyond it zlib takes twice the time for some percent. */
const LEVEL = 6;

export const DEFLATE: Packer = {
  pack: (bytes) => new Uint8Array(deflateRawSync(bytes, { level: LEVEL })),
  unpack: (bytes, bytesMax) =>
    new Uint8Array(inflateRawSync(bytes, { maxOutputLength: Math.max(1, bytesMax) })),
};
