import { assertEquals } from "@std/assert";
import { Periodic } from "../../../service/lifecycle/periodic.ts";

Deno.test("Periodic runs each job at its own period, in their order", () => {
  let nowMs = 0;
  const ran: string[] = [];
  const job = (name: string, everyMs: number) => ({
    everyMs,
    run: (atMs: number): void => void ran.push(`${name}@${atMs}`),
  });
  const periodic = new Periodic([job("slow", 1000), job("always", 0)], () => nowMs);
  for (nowMs of [0, 200, 999, 1000, 1999, 2001]) periodic.turn();
  assertEquals(ran, [
    "slow@0",
    "always@0",
    "always@200",
    "always@999",
    "slow@1000",
    "always@1000",
    "always@1999",
    "slow@2001",
    "always@2001",
  ]);
});

Deno.test("Periodic runs by its timer until it is stopped", async () => {
  let count = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = (): void => {
    if (++count === 3) resolve();
  };
  const periodic = new Periodic([{ everyMs: 0, run }], () => performance.now());
  periodic.start(1);
  await promise;
  periodic.stop();
  await new Promise((done) => setTimeout(done, 20));
  assertEquals(count, 3);
});
