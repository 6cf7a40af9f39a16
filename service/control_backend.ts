/**
 * What the control socket can ask for, done by the parts of the daemon.
 *
 * @module
 */
import { Fault } from "../pipeline/memory/layout.ts";
import type { WorkerWatch } from "./lifecycle/worker_watch.ts";
import type { LimitControl } from "./limits/limit_control.ts";
import type { Recordings } from "./recording/recordings.ts";
import type { Views } from "./views.ts";
import type { ControlBackend } from "./control/control_api.ts";

export function controlBackend(
  limits: LimitControl,
  watch: WorkerWatch,
  views: Views,
  recordings: Recordings,
  daemon: Pick<ControlBackend, "config" | "reload">,
): ControlBackend {
  return {
    limits: () => limits.list(),
    setLimit: (rule) => limits.set(rule),
    clearLimit: (uidFirst, uidLast) => limits.clear(uidFirst, uidLast),
    ownerOf: (uid) => limits.ownerOf(uid),
    resetLimit: (uidFirst, uidLast) => limits.reset(uidFirst, uidLast),
    overridden: () => limits.overridden(),
    config: () => daemon.config(),
    reload: (isAtOnce) => daemon.reload(isAtOnce),
    status: () => views.status(),
    kills: () => views.kills(),
    metrics: (accept) => views.metrics(accept),
    explain: (uid) => views.explain(uid),
    record: () => recordings.begin(),
    endRecording: (id) => recordings.end(id),
    audit: (uid) => views.audit(uid),
    events: (query) => views.feed.open(query),
    fault: (role, kind) => watch.provoke(role, kind === "throw" ? Fault.throw : Fault.hang),
  };
}
