import { assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import {
  type ByteSource,
  textChunks,
  type Unpackers,
  unpackWhole,
} from "../../cli/capture_bytes.ts";
import { FailedError } from "../../cli/errors.ts";
import { latin1 } from "../_support/captures.ts";
import { HAS_ZSTD, WITH_CHECKSUM, zstdSync } from "../_support/zstd.ts";

/** More than one chunk, and nothing that packs to nothing. */
const TEXT = Array.from({ length: 60_000 }, (_, i) => `line ${i} ${(i * 7919) % 65_521}\n`).join(
  "",
);
const BYTES = latin1(TEXT);

function source(bytes: Uint8Array, pieceBytes = Infinity): ByteSource {
  let at = 0;
  return {
    readSync(to): number | null {
      const piece = bytes.subarray(at, at + Math.min(pieceBytes, to.length));
      to.set(piece);
      at += piece.length;
      return piece.length === 0 ? null : piece.length;
    },
  };
}

async function read(
  bytes: Uint8Array,
  pieceBytes?: number,
  unpackers?: Unpackers,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of textChunks(source(bytes, pieceBytes), "FILE", unpackers)) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function utf16(text: string, littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 + 2 * text.length));
  view.setUint16(0, 0xfeff, littleEndian);
  for (let i = 0; i < text.length; i++) view.setUint16(2 + 2 * i, text.charCodeAt(i), littleEndian);
  return new Uint8Array(view.buffer);
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("textChunks() gives the text, whatever it came in and however it is cut", async () => {
  const forms: Readonly<Record<string, Uint8Array>> = {
    plain: BYTES,
    gzip: gzipSync(BYTES),
    "two gzip files in one": joined(
      gzipSync(BYTES.subarray(0, 1000)),
      gzipSync(BYTES.subarray(1000)),
    ),
    zstd: zstdSync(BYTES),
    "two zstd files in one, and what is to be skipped": joined(
      zstdSync(BYTES.subarray(0, 1000), WITH_CHECKSUM),
      Uint8Array.of(0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3),
      zstdSync(BYTES.subarray(1000)),
    ),
    "zstd by pzstd": joined(
      Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4),
      zstdSync(BYTES),
    ),
    "UTF-16, little-endian": utf16(TEXT, true),
    "UTF-16, big-endian": utf16(TEXT, false),
    "UTF-8 with a mark": joined(Uint8Array.of(0xef, 0xbb, 0xbf), BYTES),
    "UTF-16 in gzip": gzipSync(utf16(TEXT, true)),
    "gzip in zstd": zstdSync(gzipSync(BYTES)),
  };
  for (const [name, bytes] of Object.entries(forms)) {
    if (name.includes("zstd") && !HAS_ZSTD) continue;
    for (const pieceBytes of [undefined, 4097]) {
      assertEquals(await read(bytes, pieceBytes) === TEXT, true, name);
    }
  }
  for (const short of ["", "a", "abc\n"]) {
    for (const bytes of [latin1(short), gzipSync(latin1(short)), utf16(short, true)]) {
      assertEquals(await read(bytes, 1), short);
    }
  }
});

const ZSTD = zstdSync(BYTES);
const DAMAGED_ZSTD: readonly (readonly [Uint8Array, string])[] = [
  [ZSTD.subarray(0, -1), "unexpected end of file"],
  [ZSTD.subarray(0, 5000), "unexpected end of file"],
  [joined(ZSTD, latin1("more")), "Cannot unpack FILE: "],
  [joined(ZSTD.subarray(0, 20), new Uint8Array(100)), "Cannot unpack FILE: "],
];

Deno.test("textChunks() says in one line what it cannot read", async () => {
  const packed = gzipSync(BYTES);
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [packed.subarray(0, packed.length / 2), "Cannot unpack FILE: "],
    ...(HAS_ZSTD ? DAMAGED_ZSTD : []),
    [joined(packed.subarray(0, 20), new Uint8Array(100)), "Cannot unpack FILE: "],
    [latin1("\x17\x08Dtracing6\0"), "trace-cmd report FILE"],
    [latin1("PERFILE2h\0\0\0"), "perf script -i FILE"],
    [latin1("\xfd7zXZ\0\0\0"), "xz -d"],
    [latin1("BZh91AY&SY"), "bzip2 -d"],
    [gzipSync(latin1("PERFILE2h\0\0\0")), "perf script -i FILE"],
    [gzipSync(gzipSync(gzipSync(gzipSync(latin1("x\n"))))), "packed more than once"],
  ];
  for (const [bytes, hint] of cases) {
    const error = await assertRejects(() => read(bytes, 1000), FailedError, hint, hint);
    assertEquals(error.message.includes("\n"), false);
  }
  const broken: ByteSource = {
    readSync(): number {
      throw new Error("input/output error");
    },
  };
  await assertRejects(
    async () => {
      for await (const _ of textChunks(broken, "FILE"));
    },
    FailedError,
    "Cannot read FILE: input/output error",
  );
});

Deno.test("textChunks() says so where Deno has no zstd yet", async () => {
  const { createGunzip } = await import("node:zlib");
  await assertRejects(
    () => read(latin1("\x28\xb5\x2f\xfd and more"), undefined, { createGunzip }),
    FailedError,
    "cannot unpack zstd, use zstd -d first",
  );
});

Deno.test("unpackWhole() gives all bytes to who reads as of a file", async () => {
  const whole = await unpackWhole(source(gzipSync(BYTES)), "FILE");
  const page = new Uint8Array(4096);
  const pieces: Uint8Array[] = [];
  for (;;) {
    const length = whole.readSync(page);
    if (length === null) break;
    pieces.push(page.slice(0, length));
  }
  assertEquals(new TextDecoder().decode(joined(...pieces)) === TEXT, true);
});
