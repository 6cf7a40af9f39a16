/**
 * Where roles sleep on a word of the shared memory until another role raises it. In a simulator there
 * is one thread, and nobody would: the others take their steps meanwhile.
 *
 * @module
 */
import type { BellSleeper } from "../../../pipeline/memory/doorbell.ts";
import type { RecordOutlet } from "../../../pipeline/messages/record_outlet.ts";
import type { SimContext } from "../context.ts";

/** A role's ring is full: accounting goes on until there is room. */
export function waitForRoomIn(sim: SimContext, role: number, outlet: RecordOutlet): void {
  const ring = outlet["ring"];
  ring.waitForRoom = () => sim.waitUntil(role, () => ring.claim() >= 0);
}

/** A role sleeps for a while, or until it is rung for: the others go on. */
export function napIn(sim: SimContext, role: number, bell: BellSleeper): void {
  bell.sleep = (timeoutMs) => {
    if (timeoutMs > 0) sim.call(role, sim.random.below(timeoutMs * 1e6));
  };
}
