import { assertEquals } from "@std/assert";
import { Linger } from "../../../pipeline/promises/linger.ts";

Deno.test("Linger looks longer where it pays, and ever shorter where it does not", () => {
  const linger = new Linger();
  linger.done(true);
  assertEquals(linger.nextNs(), 60e3);
  const asked: number[] = [];
  for (let i = 0; i < 4; i++) {
    linger.done(false);
    asked.push(linger.nextNs());
  }
  assertEquals(asked, [30e3, 15e3, 0, 0]);
});

Deno.test("Linger tries again now and then where it did not pay, and once is enough to go on", () => {
  const linger = new Linger();
  const first = Array.from({ length: 64 }, () => linger.nextNs());
  assertEquals(first.filter((ns) => ns > 0), [15e3, 15e3]);
  assertEquals(first[31], 15e3);
  linger.done(true);
  assertEquals(linger.nextNs(), 60e3);
});
