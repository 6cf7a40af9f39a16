/**
 * zstd for tests, which versions of Deno before 2.6 do not have.
 *
 * @module
 */
import * as zlib from "node:zlib";

/** Whether this Deno can pack and unpack zstd. */
export const HAS_ZSTD = typeof (zlib as Record<string, unknown>)["zstdCompressSync"] === "function";

/** Packs bytes; where there is no zstd, leaves them as they are. */
export function zstdSync(bytes: Uint8Array, options?: zlib.ZstdOptions): Uint8Array {
  return HAS_ZSTD ? zlib.zstdCompressSync(bytes, options) : bytes;
}

/** With a checksum behind each frame. */
export const WITH_CHECKSUM: zlib.ZstdOptions = HAS_ZSTD
  ? { params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } }
  : {};
