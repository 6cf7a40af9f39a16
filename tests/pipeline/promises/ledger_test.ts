import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { Ledger, ledgerBytes, LedgerWord } from "../../../pipeline/promises/ledger.ts";

const BOOT = Uint8Array.from({ length: 16 }, (_, index) => index);
const ROWS = 4;

function open(memory: ArrayBuffer, pageBytes = 4096, boot = BOOT): Ledger {
  return new Ledger(memory, ROWS, pageBytes, boot);
}

Deno.test("Ledger remembers its rows over a restart of its owner", () => {
  const memory = new ArrayBuffer(ledgerBytes(ROWS));
  const first = open(memory);
  const kept = first.add(10, 1234, -5, 1000);
  first.set(kept, LedgerWord.reservedPages, 77);
  first.drop(first.add(11, 1, 1, 1000));
  const second = open(memory);
  const used = [0, 1, 2, 3].filter((row) => second.isUsed(row));
  assertEquals(used, [kept]);
  const word = (name: keyof typeof LedgerWord): number => second.get(kept, LedgerWord[name]);
  assertEquals([word("pid"), word("startTicks"), word("imageId"), word("uid")], [
    10,
    1234,
    -5,
    1000,
  ]);
  assertEquals([word("basePages"), word("reservedPages"), word("claimPages")], [0, 77, 0]);
  for (let i = 0; i < ROWS - 1; i++) assertEquals(second.add(20 + i, 0, 0, 0) >= 0, true);
  assertEquals(second.add(30, 0, 0, 0), -1, "full");
});

Deno.test("Ledger forgets another boot, page size, or anything that is no ledger", () => {
  const memory = new ArrayBuffer(ledgerBytes(ROWS));
  open(memory).add(10, 1, 1, 1);
  open(memory, 16384);
  assertEquals(open(memory, 16384).isUsed(0), false);
  open(memory).add(10, 1, 1, 1);
  assertEquals(open(memory, 4096, BOOT.map((byte) => byte + 1)).isUsed(0), false);
  new Uint8Array(memory).fill(0xff);
  assertEquals([0, 1, 2, 3].some((row) => open(memory).isUsed(row)), false);
});

Deno.test("Ledger refuses memory that is too small", () => {
  assertThrows(() => open(new ArrayBuffer(64)), InvariantError, "too little memory");
});
