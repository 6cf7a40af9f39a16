/**
 * Rings whose records count among the moves of a run.
 *
 * @module
 */
import type { RingConsumer } from "../../../pipeline/memory/ring.ts";
import type { SimContext } from "../context.ts";

/** A role takes all that a ring has: where two write to it, that may be 2^32 records. */
export function countRecords(sim: SimContext, ring: RingConsumer): void {
  const next = ring.next.bind(ring);
  ring.next = () => {
    sim.countMove();
    return next();
  };
}
