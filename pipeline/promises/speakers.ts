/**
 * Who speaks on a connection: the client of a process that is still what it was. A process that
 * has become another since, by an exec or because its pid was used again, is another client.
 *
 * @module
 */
import type { CoordinatorHost, ProcessIdentity } from "./coordinator_host.ts";
import { type Ledger, LedgerWord } from "./ledger.ts";
import type { PendingRequest } from "./pending.ts";
import type { Client, UserAllocation } from "./client.ts";
import type { Allocations } from "./allocations.ts";
import { RequestType } from "./tmalloc_message.ts";

/** Processes of one user that may hold promises. */
export const CLIENTS_PER_USER_MAX = 2048;

export class Speakers {
  private readonly allocations: Allocations;
  private readonly ledger: Ledger;
  private readonly host: CoordinatorHost;
  /** By connection: the process that spoke last on it. */
  private readonly speakers = new Map<number, Client>();

  constructor(allocations: Allocations, ledger: Ledger, host: CoordinatorHost) {
    this.allocations = allocations;
    this.ledger = ledger;
    this.host = host;
  }

  /** Takes over what the ledger holds of processes that are still what they were. */
  takeOver(): void {
    for (let row = 0; row < this.ledger.capacity; row++) {
      if (!this.ledger.isUsed(row)) continue;
      const client = this.allocations.adopt(row);
      if (!this.isSame(client, this.host.identify(client.pid)) || !this.host.watch(client.pid)) {
        this.allocations.drop(client);
      }
    }
  }

  /** The client that speaks; made when it asks for the first time. */
  of(
    connection: number,
    pid: number,
    uid: number,
    type: RequestType,
  ): Client | undefined {
    const known = this.speakers.get(connection);
    if (known !== undefined && known.pid === pid) {
      if (this.allocations.uidOf(known) !== uid) this.moveClient(known, uid);
      return known;
    }
    let client = this.allocations.clients.get(pid);
    if (client === undefined && type === RequestType.query) return undefined;
    const identity = this.host.identify(pid);
    if (client !== undefined && !this.isSame(client, identity)) {
      this.forget(client);
      client = undefined;
    }
    if (identity === undefined) return undefined;
    client ??= this.register(pid, uid, identity, type);
    if (client === undefined) return undefined;
    if (this.allocations.uidOf(client) !== uid) this.moveClient(client, uid);
    if (known !== undefined) known.connections--;
    client.connections++;
    this.speakers.set(connection, client);
    return client;
  }

  private moveClient(client: Client, uid: number): void {
    const from = this.allocations.users.get(this.allocations.uidOf(client));
    if (from !== undefined) {
      const mine = takePending(from, (one) => one.client === client);
      if (mine.length > 0) this.allocations.userOf(uid).pending.push(...mine);
    }
    this.allocations.move(client, uid);
  }

  private register(
    pid: number,
    uid: number,
    identity: ProcessIdentity,
    type: RequestType,
  ): Client | undefined {
    const { allocations } = this;
    if ((allocations.users.get(uid)?.clients.size ?? 0) >= CLIENTS_PER_USER_MAX) return undefined;
    const client = allocations.add(pid, identity.startTicks, identity.imageId, uid);
    if (client === undefined) return undefined;
    if (!this.host.watch(pid)) {
      allocations.drop(client);
      return undefined;
    }
    // Not what the tables say: they may still have what it was before an exec.
    allocations.setBase(client, identity.residentPages);
    const parent = allocations.clients.get(identity.parentPid);
    // A child by fork is the same image still. Who is another only connects anew.
    const isForked = parent !== undefined &&
      this.ledger.get(parent.row, LedgerWord.imageId) === identity.imageId;
    if (type === RequestType.declare && isForked) {
      const { residentPages } = identity;
      if (allocations.childArrived(parent, residentPages)) {
        allocations.setInsured(client, residentPages);
      } else client.isProbationer = true;
    }
    return client;
  }

  isSame(client: Client, identity: ProcessIdentity | undefined): boolean {
    return identity !== undefined &&
      identity.startTicks === this.ledger.get(client.row, LedgerWord.startTicks) &&
      identity.imageId === this.ledger.get(client.row, LedgerWord.imageId);
  }

  /** A connection is gone. @returns The client that spoke on it last, undefined when none did. */
  disconnected(connection: number): Client | undefined {
    const client = this.speakers.get(connection);
    if (client === undefined) return undefined;
    this.speakers.delete(connection);
    client.connections--;
    const user = this.allocations.userOf(this.allocations.uidOf(client));
    takePending(user, (one) => one.connection === connection);
    return client;
  }

  /** A client and all that it asked for are over; what it was promised is free again. */
  forget(client: Client): void {
    const user = this.allocations.userOf(this.allocations.uidOf(client));
    takePending(user, (one) => one.client === client);
    for (const [connection, speaker] of this.speakers) {
      if (speaker === client) this.speakers.delete(connection);
    }
    this.host.unwatch(client.pid);
    this.allocations.drop(client);
  }
}

/** Takes requests out of a user's queue; the others keep their order. @returns Those taken. */
function takePending(
  user: UserAllocation,
  isTaken: (one: PendingRequest) => boolean,
): PendingRequest[] {
  const taken = user.pending.filter(isTaken);
  const rest = user.pending.filter((one) => !isTaken(one));
  user.pending.splice(0, user.pending.length, ...rest);
  return taken;
}
