/**
 * Users with connections to the coordinator. Each user's connections are in a set of their own, and a
 * turn takes a few messages of each user, so a flood by one user costs another no more than that (I7).
 * Who takes too much time is not listened to for some of it.
 *
 * @module
 */
import type { ExactUsers, ReadySet, Sockets } from "../ports.ts";
import { Fairness, Share } from "./fairness.ts";
import type { OwnedHandles } from "./owned_handles.ts";
import { KEY_NUMBER_MASK, KeyKind } from "./ready_key.ts";

/** Messages of one user in one turn. */
export const MESSAGES_PER_TURN = 4;
/** Users whose shares of the time are remembered. */
const SHARES_MAX = 4096;

export interface ConnectedUser {
  readonly uid: number;
  /** Its connections, by their numbers. */
  readonly set: ReadySet;
  readonly key: number;
  readonly share: Share;
  connections: number;
  /** Its usage is exact, and as of now. */
  isExact: boolean;
}

export class ConnectedUsers {
  private readonly exact: ExactUsers | undefined;
  private readonly sockets: Sockets;
  private readonly top: ReadySet;
  private readonly handles: OwnedHandles;
  private readonly byUid = new Map<number, ConnectedUser>();
  private readonly byKey = new Map<number, ConnectedUser>();
  private nextKey = 0;
  private readonly fairness = new Fairness();
  private readonly shares = new Map<number, Share>();
  private readonly parked: ConnectedUser[] = [];
  private untilNs = Infinity;

  /** @param exact Where usage is exact only of those that are named. */
  constructor(
    sockets: Sockets,
    top: ReadySet,
    handles: OwnedHandles,
    exact: ExactUsers | undefined,
  ) {
    this.exact = exact;
    this.sockets = sockets;
    this.top = top;
    this.handles = handles;
  }

  /** @param key Number of a key of the first set. */
  find(key: number): ConnectedUser | undefined {
    return this.byKey.get(key);
  }

  /** The user of that uid; undefined when nothing is left to listen to it with. */
  enter(uid: number): ConnectedUser | undefined {
    return this.byUid.get(uid) ?? this.add(uid);
  }

  private add(uid: number): ConnectedUser | undefined {
    const set = this.sockets.openSet(MESSAGES_PER_TURN);
    if (set === undefined) return undefined;
    this.handles.own(set.handle);
    const key = this.nextKey++ & KEY_NUMBER_MASK;
    if (this.top.add(set.handle, KeyKind.user | key) < 0) {
      this.handles.close(set.handle);
      return undefined;
    }
    const share = this.shareOf(uid);
    const user = { uid, set, key, connections: 0, share, isExact: this.exact === undefined };
    this.makeExact(user);
    this.byUid.set(uid, user);
    this.byKey.set(key, user);
    return user;
  }

  /** Has the usage of a user exact, if it is not: before it is served, as answers go by it. */
  makeExact(user: ConnectedUser): void {
    if (!user.isExact) user.isExact = this.exact?.setExact(user.uid, true) ?? true;
  }

  dropIfAlone(user: ConnectedUser): void {
    if (user.connections > 0) return;
    this.exact?.setExact(user.uid, false);
    this.byUid.delete(user.uid);
    this.byKey.delete(user.key);
    this.handles.close(user.set.handle);
  }

  // --------------------------------------------------------------------------------- fair shares

  /** Notes that a connection was taken. @returns Whether its user has time for it. */
  admits(uid: number, startNs: number, tookNs: number): boolean {
    return this.fairness.spent(this.shareOf(uid), startNs, tookNs) === 0;
  }

  /** Notes that a user was served, which may have to pause. */
  charge(user: ConnectedUser, startNs: number, tookNs: number): void {
    const untilNs = this.fairness.spent(user.share, startNs, tookNs);
    if (untilNs > 0) this.park(user, untilNs);
  }

  /** Outlives a user's connections: who makes ever new ones has used up its share all the same. */
  private shareOf(uid: number): Share {
    let share = this.shares.get(uid);
    if (share === undefined) {
      if (this.shares.size >= SHARES_MAX) this.shares.clear();
      this.shares.set(uid, share = new Share());
    }
    return share;
  }

  // ------------------------------------------------------------------------------------- pausing

  /** When somebody is to be listened to again, nanoseconds; Infinity: nobody pauses. */
  get parkedUntilNs(): number {
    return this.untilNs;
  }

  isParked(user: ConnectedUser): boolean {
    return this.parked.includes(user);
  }

  /** Does not listen to a user for some time; its messages wait in its sockets. */
  private park(user: ConnectedUser, untilNs: number): void {
    this.top.remove(user.set.handle);
    this.parked.push(user);
    this.untilNs = untilNs;
  }

  /** Listens to all again. @param onLost Told of each to whom it cannot. */
  unpark(onLost: (user: ConnectedUser) => void): void {
    for (const user of this.parked) {
      // It may have gone meanwhile.
      if (this.byKey.get(user.key) !== user) continue;
      if (this.top.add(user.set.handle, KeyKind.user | user.key) < 0) onLost(user);
    }
    this.parked.length = 0;
    this.untilNs = Infinity;
  }
}
