/**
 * The kinds of events of the journal, for those who choose among them.
 *
 * @module
 */
import type { JournalEvent } from "./events.ts";

export type EventKind = JournalEvent["event"];

/** All of them; the compiler sees that none is left out. */
export const EVENT_KINDS = Object.keys(
  {
    ready: true,
    limit: true,
    soft: true,
    kill: true,
    killed: true,
    grace: true,
    storm: true,
    refused: true,
    denied: true,
    lost: true,
    tampered: true,
    drift: true,
    degraded: true,
    recovered: true,
    "worker-restart": true,
    restart: true,
    "kernel-kill": true,
    trigger: true,
    config: true,
    stop: true,
    error: true,
    shed: true,
  } satisfies Record<EventKind, true>,
) as EventKind[];

/** Those that can be told of: at the stop, nobody is told any more. */
export const TOLD_KINDS: readonly EventKind[] = EVENT_KINDS.filter((kind) => kind !== "stop");
