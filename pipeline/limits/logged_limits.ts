/**
 * The lines of users in the kernel, with what programs know of each user written down for recordings,
 * because it decides whether accounting leaves a user to them.
 *
 * @module
 */
import type { KernelLimits, LineState } from "../kill/kernel_trigger.ts";
import { RecordKind } from "../memory/layout.ts";
import type { RoleLog } from "../messages/role_log.ts";

export class LoggedKernelLimits implements KernelLimits {
  private readonly kernel: KernelLimits;
  private readonly log: RoleLog;
  /** By uid, what was written down in this recording. */
  private readonly known = new Map<number, LineState>();
  private recording = 0;

  constructor(kernel: KernelLimits, log: RoleLog) {
    this.kernel = kernel;
    this.log = log;
  }

  set(uid: number, limitPages: number, mayKill: boolean, countMask: number): LineState {
    const state = this.kernel.set(uid, limitPages, mayKill, countMask);
    const { recording } = this.log;
    if (recording !== 0) this.note(recording, uid, state);
    return state;
  }

  private note(recording: number, uid: number, state: LineState): void {
    if (this.recording !== recording) {
      this.recording = recording;
      this.known.clear();
    }
    if (this.known.get(uid) === state) return;
    this.known.set(uid, state);
    // Steps carry the time; this is of the next one.
    this.log.put(0, RecordKind.lineTold, uid, state, 0, 0);
  }

  chargeInherited(uid: number, pages: number): void {
    this.kernel.chargeInherited(uid, pages);
  }

  clearCandidate(uid: number): void {
    this.kernel.clearCandidate(uid);
  }
}
