/**
 * What the control socket can ask for, done by the parts of the daemon.
 *
 * @module
 */
import { Fault } from "../pipeline/memory/layout.ts";
import type { WorkerWatch } from "./lifecycle/worker_watch.ts";
import type { LimitControl } from "./limits/limit_control.ts";
import type { ControlBackend, StatusReport } from "./control/control_api.ts";

export function controlBackend(
  limits: LimitControl,
  watch: WorkerWatch,
  status: () => StatusReport,
): ControlBackend {
  return {
    limits: () => limits.list(),
    setLimit: (rule) => limits.set(rule),
    clearLimit: (uidFirst, uidLast) => limits.clear(uidFirst, uidLast),
    ownerOf: (uid) => limits.ownerOf(uid),
    status,
    fault: (role, kind) => watch.provoke(role, kind === "throw" ? Fault.throw : Fault.hang),
  };
}
