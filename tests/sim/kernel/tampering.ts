/**
 * What somebody who is root does to toom's trace instances, which is seen at toom's next look at them.
 *
 * @module
 */
import type { SimContext } from "../context.ts";

const STOLEN_EVENTS_MAX = 20;

/** Somebody turns recording off, writes the list anew, or reads events away. */
export function tamper(sim: SimContext): void {
  const { tracing, nowNs } = sim.kernel;
  const what = sim.random.below(3);
  let missedNs = nowNs;
  if (what === 0) {
    sim.note("somebody turns tracing off");
    tracing.isOn = false;
  } else if (what === 1) {
    sim.note("somebody empties the list");
    tracing.list.clear();
    tracing.hasSentinel = false;
  } else {
    const buffer = sim.random.pick(tracing.buffers);
    const stolen = buffer.events.splice(0, sim.random.between(1, STOLEN_EVENTS_MAX));
    if (stolen.length === 0) return;
    sim.note(`somebody reads ${stolen.length} events`);
    tracing.eventsRead += stolen.length;
    missedNs = stolen[0]!.tsNs;
  }
  tracing.missedFromNs = Math.min(tracing.missedFromNs, missedNs);
}
