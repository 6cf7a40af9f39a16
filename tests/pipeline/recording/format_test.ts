import { assert, assertEquals } from "@std/assert";
import { crc32 as zlibCrc32 } from "node:zlib";
import { DEFLATE } from "../../../kernel/packing/deflate.ts";
import { crc32 } from "../../../pipeline/recording/crc32.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEAD_BYTES,
  ChunkType,
  fileHead,
  isRecording,
  readChunk,
  versionOf,
  writeChunk,
} from "../../../pipeline/recording/format.ts";
import { Random } from "../../_support/random.ts";

function someBytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => random.below(random.oneIn(2) ? 4 : 256));
}

Deno.test("a checksum is zlib's, in one piece or several", () => {
  assertEquals(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  for (let seed = 1; seed <= 50; seed++) {
    const random = new Random(seed);
    const bytes = someBytes(random, random.below(100));
    const at = random.below(bytes.length + 1);
    assertEquals(crc32(bytes), zlibCrc32(bytes));
    assertEquals(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at))), zlibCrc32(bytes));
  }
});

Deno.test("a chunk is read as it was written, and what follows it is left alone", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new Random(seed);
    const payload = someBytes(random, random.below(3000));
    const type = random.pick(Object.values(ChunkType));
    const written = writeChunk(type, payload, DEFLATE);
    const bytes = new Uint8Array(written.length + 5);
    bytes.set(written);
    const result = readChunk(bytes, DEFLATE);
    if (result.is !== "chunk") throw new Error(JSON.stringify(result));
    assertEquals(result.chunk.type, type);
    assertEquals(result.chunk.payload, payload);
    assertEquals(result.chunk.fileBytes, written.length);
    const cut = readChunk(written.subarray(0, random.below(written.length)), DEFLATE);
    assertEquals(cut.is, "more");
  }
});

Deno.test("each byte of a chunk that is another makes it damaged, or longer than the file is", () => {
  const payload = new TextEncoder().encode("toom ".repeat(40));
  const written = writeChunk(ChunkType.facts, payload, DEFLATE);
  for (let at = 0; at < written.length; at++) {
    for (const bit of [1, 8, 128]) {
      const bytes = written.slice();
      bytes[at]! ^= bit;
      const result = readChunk(bytes, DEFLATE);
      const isLonger = result.is === "more" && at >= 12 && at < 16;
      assert(result.is === "damaged" || isLonger, `byte ${at} bit ${bit}: ${result.is}`);
    }
  }
});

Deno.test("a chunk that says to be huge asks for no memory", () => {
  const bytes = writeChunk(ChunkType.facts, new Uint8Array(100), DEFLATE);
  for (const at of [8, 12]) {
    const huge = bytes.slice();
    new DataView(huge.buffer).setUint32(at, CHUNK_BYTES_MAX + 1, true);
    assertEquals(readChunk(huge, DEFLATE).is, "damaged");
  }
  // Unpacked it would be more than it says.
  const bomb = writeChunk(ChunkType.facts, new Uint8Array(1_000_000), DEFLATE);
  const view = new DataView(bomb.buffer);
  view.setUint32(8, 1000, true);
  view.setUint32(16, crc32(bomb.subarray(CHUNK_HEAD_BYTES), crc32(bomb.subarray(0, 16))), true);
  const result = readChunk(bomb, DEFLATE);
  assert(result.is === "damaged" && result.why.includes("unpacked"), JSON.stringify(result));
});

Deno.test("a file says that it is a recording, and of which version", () => {
  assert(isRecording(fileHead()));
  assertEquals(versionOf(fileHead()), 2);
  assertEquals(versionOf(fileHead().subarray(0, 12)), 0);
  assert(!isRecording(new TextEncoder().encode("toomrec without its first byte")));
  assert(!isRecording(new Uint8Array(0)));
});
