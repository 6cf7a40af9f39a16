/**
 * The real reader over the fake kernel's buffers.
 *
 * @module
 */
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import { Role, RoleWord } from "../../../pipeline/memory/layout.ts";
import { HEARTBEAT_MS } from "../../../pipeline/memory/timing.ts";
import { Reader } from "../../../pipeline/reading/reader.ts";
import type { SimContext } from "../context.ts";
import { napIn, waitForRoomIn } from "../kernel/asleep.ts";
import { SimTraceSource, type Written } from "../kernel/sim_trace_source.ts";

const WARM_UP_READS = 2;

export class ReaderRole {
  private readonly reader: Reader;
  private source!: SimTraceSource;
  /** Of what a predecessor took, until the loss of it has been written. */
  private unwrittenNs: number;

  constructor(sim: SimContext, index: number, epoch: number, written: Written) {
    const role = Role.reader + index;
    this.reader = new Reader(sim.memory, {
      index,
      epoch,
      clock: { nowNs: () => sim.kernel.nowNs, suspendedNs: () => 0 },
      openSource: (writer, onPage, counters) =>
        this.source = new SimTraceSource(sim, role, index, written, writer, onPage, counters),
    });
    waitForRoomIn(sim, role, this.reader["outlet"]);
    napIn(sim, role, this.reader["bell"]);
    this.unwrittenNs = this.source.forgetUnwritten();
    const isSuccessor = attachRole(sim.memory, role)[RoleWord.epochSeen]! > 0;
    const startNs = sim.kernel.nowNs;
    this.reader.start(WARM_UP_READS);
    if (!isSuccessor) return;
    written.times[index]!.push(Math.min(this.unwrittenNs, startNs));
    written.losses++;
    this.unwrittenNs = Infinity;
  }

  /** A turn, and what the worker's shell does after it. @returns Events taken. */
  step(takesAll = false): number {
    const { reader, source } = this;
    source.takesAll = takesAll;
    if (!reader.step()) reader.sleep(HEARTBEAT_MS);
    return source.lastEvents;
  }

  /** Time of the oldest event that it has taken, and accounting has not. */
  oldestNs(): number {
    return Math.min(this.unwrittenNs, this.source.oldestNs());
  }
}
