import { assert, assertEquals } from "@std/assert";
import {
  FAMILY_ID_MAX,
  familyIdOf,
  isFamilyId,
  markedBytes,
} from "../../../pipeline/brake/marks.ts";
import { UNLIMITED } from "../../../pipeline/brake/brake_kernel.ts";
import {
  giveBackPages,
  isGrower,
  pace,
  reservePages,
  sharePages,
} from "../../../pipeline/brake/shares.ts";
import { Random } from "../../_support/random.ts";

Deno.test("a mark is below a page, is found again, and is no value of a shell", () => {
  for (const pageBytes of [4096, 16_384, 65_536]) {
    for (let id = 1; id <= FAMILY_ID_MAX; id++) {
      if (!isFamilyId(id)) continue;
      const bytes = markedBytes(12_345, pageBytes, id);
      assertEquals(bytes / BigInt(pageBytes), 12_345n, "as the kernel compares it");
      assertEquals(familyIdOf(bytes), id);
    }
  }
  for (let kib = 0; kib < 10_000; kib++) assertEquals(familyIdOf(BigInt(kib) * 1024n), 0);
  assertEquals(isFamilyId(0) || isFamilyId(1024) || isFamilyId(4096), false);
  assertEquals(familyIdOf(UNLIMITED), 0);
});

Deno.test("the reserve is between a quarter of a MiB and four, and leaves half of the way", () => {
  assertEquals(reservePages(20_000, 18_000, 4096), 250);
  assertEquals(reservePages(1_000_000, 900_000, 4096), 1024);
  assertEquals(reservePages(1000, 900, 4096), 50);
  assertEquals(reservePages(1000, 1000, 4096), 0);
  assertEquals(giveBackPages(20_000, 18_000), 17_500);
  assertEquals(giveBackPages(1000, 100), 0);
});

Deno.test("growers are those that count among those that grow", () => {
  assert(isGrower(1000, 1000, 5000, 20_000));
  assert(isGrower(63, 1000, 5000, 20_000), "a sixteenth of the fastest");
  assert(!isGrower(62, 1000, 5000, 20_000));
  assert(!isGrower(15, 15, 5000, 20_000));
  assert(!isGrower(70, 1000, 78, 20_000), "small");
});

Deno.test("shares of random paces never sum up to more than there is", () => {
  const random = new Random(11);
  for (let turn = 0; turn < 500; turn++) {
    const gains = Array.from({ length: random.between(1, 40) }, () => random.below(5000));
    const fastest = Math.max(...gains);
    const paces = gains.map((gained) => pace(gained, fastest));
    const sum = paces.reduce((total, one) => total + one, 0);
    const headroom = random.below(100_000);
    const shares = paces.map((one) => sharePages(headroom, one, sum));
    assert(shares.reduce((total, one) => total + one, 0) <= headroom);
  }
});
