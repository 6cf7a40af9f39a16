/**
 * Roles: one block of words for each worker.
 *
 * @module
 */
import { LINE_BYTES, LINE_WORDS } from "./line.ts";

/** Index of each role's block; reader r has block `Role.reader + r`. */
export const Role = {
  supervisor: 0,
  accounting: 1,
  killer: 2,
  coordinator: 3,
  sweeper: 4,
  reader: 5,
} as const;
export const READERS_MAX = 64;
export const ROLES_MAX = Role.reader + READERS_MAX;

export function roleName(role: number): string {
  const names = ["supervisor", "accounting", "killer", "coordinator", "sweeper"];
  return names[role] ?? `reader${role - Role.reader}`;
}

/**
 * Words of a role's block. Line 0 is the supervisor's, line 1 the worker's own, line 2 is a bell
 * that anybody rings.
 */
export const RoleWord = {
  /** Supervisor: which incarnation may act; an older one that wakes up late must leave. */
  epoch: 0,
  /** Supervisor: 1 = end. */
  stop: 1,
  /** Supervisor: a fault to provoke, {@link Fault}. */
  fault: 2,
  /** Supervisor: raised to ask for an answer in `pong`. */
  ping: 3,
  /** Supervisor: raised to ask for a rehearsal; `rehearsed` follows. */
  rehearse: 4,
  /** Worker: {@link RoleState}. */
  state: LINE_WORDS,
  /** Worker: raised at least every HEARTBEAT_MS of timing.ts. */
  heartbeat: LINE_WORDS + 1,
  /** Worker: copy of `ping`. */
  pong: LINE_WORDS + 2,
  /** Worker: 1 while it sleeps on `bell`. */
  parked: LINE_WORDS + 3,
  /** Worker: its kernel thread id. */
  tid: LINE_WORDS + 4,
  /** Worker: epoch of the incarnation that wrote these words. */
  epochSeen: LINE_WORDS + 5,
  /** Worker: copy of `rehearse`. */
  rehearsed: LINE_WORDS + 6,
  /** Reader: raised at the beginning and the end of each turn of reading, so odd within one. */
  readTurn: LINE_WORDS + 7,
  /** Anybody: raised to wake the worker up. */
  bell: 2 * LINE_WORDS,
} as const;
export const ROLE_BLOCK_BYTES = 3 * LINE_BYTES;

export const RoleState = { absent: 0, starting: 1, running: 2, stopped: 3 } as const;
export const Fault = { none: 0, throw: 1, hang: 2 } as const;

/** Sockets, epolls and pidfds of the coordinator. */
export const DESCRIPTORS_MAX = 20_480;
