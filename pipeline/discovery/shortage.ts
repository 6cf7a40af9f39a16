/**
 * When the machine as a whole is short of memory: by the kernel's pressure stall information, or below
 * a floor of available memory. Then somebody must go although nobody is over a limit.
 *
 * @module
 */
import { PRESSURE_EVERY_NS } from "../memory/timing.ts";
import { PressureReason } from "../memory/layout.ts";
import { PRESSURE } from "../messages/records.ts";
import type { RecordWriter } from "../messages/record_writer.ts";

/** PSI: somebody waited for memory 100 ms of one second. */
export const PSI_STALL_US = 100_000;
export const PSI_WINDOW_US = 1_000_000;
/** Pressure alone is no shortage: reclaim of page cache stalls too. Below this part it is one. */
const PSI_AVAILABLE_MIN = 0.1;

/** The machine's memory. */
export interface MachineMemory {
  readonly totalBytes: number;
  /** What can be had without swapping, by the kernel's estimate. */
  readonly availableBytes: number;
}

export interface ShortageOptions {
  readonly writer: RecordWriter;
  readonly readMemory: () => MachineMemory;
  readonly pageBytes: number;
  /** Below how much available memory somebody must go, as of now; 0: never. */
  readonly minAvailableBytes: () => number;
}

export class Shortage {
  private readonly options: ShortageOptions;
  private reportedNs = -Infinity;

  constructor(options: ShortageOptions) {
    this.options = options;
  }

  /** The kernel says that tasks wait for memory. */
  pressed(nowNs: number): void {
    const memory = this.options.readMemory();
    const floorBytes = memory.totalBytes * PSI_AVAILABLE_MIN;
    const belowBytes = Math.max(floorBytes, this.options.minAvailableBytes());
    this.tell(nowNs, PressureReason.psi, belowBytes - memory.availableBytes);
  }

  /** Looks whether less is available than must be. */
  check(nowNs: number): void {
    const { readMemory } = this.options;
    const minAvailableBytes = this.options.minAvailableBytes();
    if (minAvailableBytes <= 0 || nowNs - this.reportedNs < PRESSURE_EVERY_NS) return;
    const missingBytes = minAvailableBytes - readMemory().availableBytes;
    this.tell(nowNs, PressureReason.minAvailable, missingBytes);
  }

  private tell(nowNs: number, reason: number, missingBytes: number): void {
    if (missingBytes <= 0 || nowNs - this.reportedNs < PRESSURE_EVERY_NS) return;
    this.reportedNs = nowNs;
    const { writer, pageBytes } = this.options;
    const shortage = writer.open(PRESSURE, nowNs);
    shortage.reason = reason;
    shortage.missingPages = Math.ceil(missingBytes / pageBytes);
    writer.close();
  }
}
