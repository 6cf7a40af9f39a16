/**
 * The ring alone, both ends in one thread: what batches are worth.
 *
 * @module
 */
import { RingRun } from "./support/ring_run.ts";

const RECORDS = 1 << 17;
const BATCHES = [1, 8, 64, 512, 4096];

for (const batch of BATCHES) {
  const ring = new RingRun();
  Deno.bench({
    name: batch === 1
      ? `each record published by itself, ${RECORDS} records`
      : `batches of ${batch}, ${RECORDS} records`,
    group: "ring",
    baseline: batch === 1,
    fn: () => void ring.pass(RECORDS, batch),
  });
}

// Each reader has a ring of its own: what more of them cost whoever empties them in turn.
for (const producers of [1, 2, 4, 8]) {
  const rings = Array.from({ length: producers }, () => new RingRun());
  Deno.bench({
    name: `${producers} rings in turn, ${RECORDS} records`,
    group: "ring, several producers",
    baseline: producers === 1,
    fn: () => {
      for (const ring of rings) ring.pass(RECORDS / producers, 512);
    },
  });
}
