/**
 * What the daemon is asked for.
 *
 * @module
 */
import type { MemberMask } from "../../pipeline/memory/settings.ts";
import type { VictimPolicy } from "../../pipeline/memory/settings.ts";
import type { LimitRule, SoftSpec } from "../../pipeline/limits/limits.ts";

export interface SupervisorOptions {
  readonly version: string;
  readonly limits: readonly LimitRule[];
  readonly source: "auto" | "bpf" | "raw" | "text";
  readonly readerCount: number;
  readonly memberMask: MemberMask;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  /** As the user wrote it, for the log. */
  readonly memberNames: string;
  readonly victim: VictimPolicy;
  readonly softDefault: SoftSpec;
  readonly intervalMs: number;
  readonly minAvailableBytes: number;
  readonly psi: boolean;
  readonly dryRun: boolean;
  readonly arms: boolean;
  /** Programs in the kernel may end a process themselves, where there are any. */
  readonly kernelTrigger: boolean;
  readonly bufferKib: number;
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** undefined: tmalloc is not served. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** Whose subordinate uids are; undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user at one time; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  readonly debugFaults: boolean;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  readonly pageBytes: number;
}
