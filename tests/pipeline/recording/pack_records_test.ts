import { assert, assertEquals, assertThrows } from "@std/assert";
import { RECORD_WORDS } from "../../../pipeline/memory/layout.ts";
import {
  PACKED_RECORDS_MAX,
  RecordPacker,
  unpackRecords,
} from "../../../pipeline/recording/pack_records.ts";
import { RecordList } from "../../../pipeline/recording/record_list.ts";
import { BadBytes, ByteReader, ByteWriter } from "../../../pipeline/recording/varint.ts";
import { Random } from "../../_support/random.ts";

const WORDS = [0, 1, -1, 0x7fffffff, -0x80000000, 255, 256, 0x0fffffff, -0x10000000];
const TIMES = [
  0,
  -0,
  1,
  -1,
  0.5,
  1e9 + 0.25,
  2 ** 53,
  -(2 ** 53),
  2 ** 60,
  1e300,
  Infinity,
  -Infinity,
];

function someList(random: Random): RecordList {
  const list = new RecordList(1);
  let tsNs = random.below(2 ** 30) * 1e6;
  const word = (): number =>
    random.oneIn(3) ? random.pick(WORDS) : random.below(2 ** 31) * (random.oneIn(2) ? 1 : -1);
  for (let count = random.below(300); count > 0; count--) {
    tsNs += random.below(20_000) - 2000;
    list.put(
      random.oneIn(10) ? random.pick(TIMES) : tsNs,
      random.oneIn(10) ? word() : 1 + random.below(35),
      !random.oneIn(5) ? 100 + random.below(4) : word(),
      random.oneIn(2) ? 7 : word(),
      random.oneIn(2) ? list.count : word(),
      random.oneIn(2) ? 0x101 : word(),
      random.oneIn(2) ? 0 : word(),
    );
  }
  return list;
}

Deno.test("packed records come out bit for bit as they went in", () => {
  const packer = new RecordPacker();
  for (let seed = 1; seed <= 200; seed++) {
    const list = someList(new Random(seed));
    const packed = packer.pack(list.words, list.doubles, list.count);
    const { count, words } = unpackRecords(packed);
    assertEquals(count, list.count, `seed ${seed}`);
    assertEquals(words, list.words.slice(0, list.count * RECORD_WORDS), `seed ${seed}`);
  }
});

Deno.test("bytes that were changed or cut are refused, or give as many records as they say", () => {
  const packer = new RecordPacker();
  let refused = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const list = someList(random);
    const packed = packer.pack(list.words, list.doubles, list.count).slice();
    const at = random.below(packed.length);
    const bad = random.oneIn(2) ? packed.subarray(0, at) : packed;
    if (bad === packed) packed[at]! ^= 1 + random.below(255);
    try {
      const { count, words } = unpackRecords(bad);
      assert(count <= PACKED_RECORDS_MAX && words.length === count * RECORD_WORDS);
    } catch (error) {
      assert(error instanceof BadBytes, String(error));
      refused++;
    }
  }
  assert(refused > 100, `${refused}`);
});

Deno.test("numbers of any size take as few bytes as they need", () => {
  const writer = new ByteWriter(1);
  const numbers = [0, 1, 127, 128, 16383, 16384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 52];
  const lengths: number[] = [];
  for (const number of numbers) {
    const before = writer.length;
    writer.varint(number);
    lengths.push(writer.length - before);
  }
  assertEquals(lengths, [1, 1, 1, 2, 2, 3, 4, 5, 5, 5, 8]);
  const reader = new ByteReader(writer.written);
  assertEquals(numbers.map(() => reader.varint()), numbers);
  assertThrows(() => reader.varint(), BadBytes, "too early");
  assertThrows(() => new ByteReader(new Uint8Array(9).fill(0xff)).varint(), BadBytes, "too large");
  assertThrows(() => new ByteReader(new Uint8Array(3)).double(), BadBytes);
});
