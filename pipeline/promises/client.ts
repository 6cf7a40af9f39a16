/**
 * Processes that ask, and their users, as the coordinator keeps them beside the ledger.
 *
 * @module
 */
import type { PendingRequest } from "./pending.ts";

/** Room for a child that is about to be born. */
export interface Hold {
  /** 0 when the child is there. */
  pages: number;
  /** When the child is there: what it had then, nearly all of it shared with its parent; else 0. */
  inheritedPages: number;
  readonly untilNs: number;
  /** For all that the child inherits; else only for what it needs until it executes a program. */
  readonly isCopy: boolean;
}

/** A process that asks. */
export class Client {
  readonly pid: number;
  /** Its row in the ledger. */
  readonly row: number;
  /** Row of the processes table; check before use. */
  slot = -1;
  connections = 0;
  heldPages = 0;
  readonly holds: Hold[] = [];
  /** A child that has not said yet what it has, and that no room for a copy was asked for. */
  isProbationer = false;
  /** When a refusal of it was told of last, and why it was one. */
  deniedNs = -Infinity;
  deniedReason = -1;

  constructor(pid: number, row: number) {
    this.pid = pid;
    this.row = row;
  }
}

/** A user whose processes ask. */
export class UserAllocation {
  readonly uid: number;
  readonly clients = new Set<Client>();
  /** Requests that wait for an answer, in the order in which they came. */
  readonly pending: PendingRequest[] = [];
  heldPages = 0;
  /** Its row in the users table; check before use. */
  row = -1;

  constructor(uid: number) {
    this.uid = uid;
  }
}
