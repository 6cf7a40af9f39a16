/**
 * The coordinator's turns: which connections are let in, whose messages are read when, what becomes of
 * those that are none, and how long it looks for more before it sleeps. What a request is answered is
 * the coordinator's: coordinator.ts.
 *
 * @module
 */
import { BROKEN_REASONS, type BrokenReason, CounterIndex } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { MemberMask } from "../memory/settings.ts";
import { RulesView } from "../limits/published_rules.ts";
import { invariant } from "../memory/invariant.ts";
import type { ReportWriter } from "../messages/reports.ts";
import { OwnersView } from "../limits/owners.ts";
import {
  type Clock,
  type ExactUsers,
  type Listener,
  type ReadySet,
  SocketFailure,
  type Sockets,
} from "../ports.ts";
import { type ConnectedUser, ConnectedUsers } from "./connected_users.ts";
import { Coordinator } from "./coordinator.ts";
import type { CoordinatorHost, ProcessIdentity } from "./coordinator_host.ts";
import type { Ledger } from "./ledger.ts";
import { Linger } from "./linger.ts";
import { Listening } from "./listening.ts";
import { OwnedHandles } from "./owned_handles.ts";
import { PartialRequest } from "./partial_request.ts";
import { ProcessWatch, type ProcessWatchOptions } from "./process_watch.ts";
import { KEY_WAKE, KeyKind, kindOf, numberOf } from "./ready_key.ts";
import {
  makeRequest,
  readRequest,
  type Reply,
  REPLY_BYTES,
  REQUEST_BYTES,
  writeReply,
} from "./tmalloc_message.ts";

/** Connections in all, and of one user. */
export const CONNECTIONS_MAX = 4096;
export const CONNECTIONS_PER_USER_MAX = 2048;
const ACCEPTS_PER_TURN = 8;
const TOP_EVENTS_MAX = 64;
/** What a connection costs besides its acceptance: its first message, its end. */
const CONNECTION_COST_NS = 20e3;

interface Connection {
  readonly handle: number;
  readonly user: ConnectedUser;
  /** Of a stream. */
  readonly partial: PartialRequest | undefined;
  /** To be closed at the end of the turn. */
  broken: BrokenReason | "closed" | undefined;
}

export interface TmallocServerOptions extends Omit<ProcessWatchOptions, "countMaskOf"> {
  readonly memory: Memory;
  readonly ledger: Ledger;
  readonly counters: Float64Array;
  readonly reports: ReportWriter;
  readonly clock: Clock;
  readonly sockets: Sockets;
  /** Where usage is exact only of those that are named. */
  readonly exact?: ExactUsers | undefined;
}

export class TmallocServer implements CoordinatorHost {
  readonly coordinator: Coordinator;
  private readonly options: TmallocServerOptions;
  private readonly sockets: Sockets;
  private readonly handles: OwnedHandles;
  private readonly top: ReadySet;
  private readonly listening: Listening;
  private readonly users: ConnectedUsers;
  private readonly processes: ProcessWatch;
  private readonly owners: OwnersView;
  private readonly linger = new Linger();
  private readonly connections: (Connection | undefined)[] = [];
  private readonly freeConnections: number[] = [];
  private readonly brokenIds: number[] = [];
  private readonly received: DataView;
  private readonly request = makeRequest();
  private readonly replyBytes = new Uint8Array(new ArrayBuffer(REPLY_BYTES * 2), 0, REPLY_BYTES);
  private readonly replyView: DataView;
  private open = 0;
  private wasBusy = false;
  /** While it looked for more, it answered something. */
  private hasAnswered = false;
  /** The connection that a message came from last. */
  private lastId = -1;
  private dueNs = 0;

  /** Closes what a predecessor has left. @throws {InvariantError} When there is nothing to wait with. */
  constructor(options: TmallocServerOptions) {
    this.options = options;
    const { memory, ledger, counters, reports, sockets } = options;
    this.sockets = sockets;
    this.owners = new OwnersView(memory.owners);
    const { buffer, byteOffset } = sockets.message;
    this.received = new DataView(buffer, byteOffset, REQUEST_BYTES);
    this.replyView = new DataView(this.replyBytes.buffer, 0, REPLY_BYTES);
    this.handles = new OwnedHandles(memory, sockets);
    this.handles.closePredecessors();
    const top = sockets.openSet(TOP_EVENTS_MAX);
    invariant(top !== undefined, "tmalloc: no descriptor to wait for clients with");
    this.top = top;
    this.handles.own(top.handle);
    this.listening = new Listening(sockets.listeners, top);
    this.listening.resume(options.clock.nowNs());
    this.users = new ConnectedUsers(sockets, top, this.handles, options.exact);
    const rules = new RulesView(memory.settings);
    const countMaskOf = (uid: number): MemberMask => {
      rules.refresh();
      return rules.countMaskOf(this.owners.ownerOf(uid));
    };
    this.processes = new ProcessWatch({ ...options, countMaskOf }, sockets, top, this.handles);
    const isHeard = top.add(sockets.wakeHandle, KEY_WAKE) >= 0;
    invariant(isHeard, "tmalloc: the kernel gives no watch for the bell of the coordinator");
    this.coordinator = new Coordinator(memory, ledger, this, counters, reports);
    this.coordinator.start();
  }

  // -------------------------------------------------------------------------------------- turns

  /**
   * One turn: some messages of each user that has any.
   *
   * @param timeoutMs How long to wait for something to do.
   * @returns Whether there was anything.
   */
  turn(timeoutMs: number): boolean {
    const { options: { clock, counters }, sockets, users, listening } = this;
    this.hasAnswered = false;
    const ready = timeoutMs === 0 ? this.lookForMore() : this.top.wait(this.waitMs(timeoutMs));
    const nowNs = clock.nowNs();
    this.wasBusy = ready > 0 || this.hasAnswered;
    let isDue = nowNs >= this.dueNs;
    for (let i = 0; i < ready; i++) {
      const key = this.top.key(i);
      const kind = kindOf(key);
      const number = numberOf(key);
      if (kind === KeyKind.user) this.serveUser(number, nowNs);
      else if (kind === KeyKind.process) this.coordinator.exited(nowNs, number);
      else if (number === KEY_WAKE) isDue = sockets.drainWake() || isDue;
      else this.accept(listening.listener(number), nowNs);
    }
    listening.resume(nowNs);
    if (nowNs >= users.parkedUntilNs) users.unpark((user) => this.breakUser(user));
    if (this.brokenIds.length > 0) this.closeBroken(nowNs);
    if (isDue) this.coordinator.step(nowNs);
    if (isDue || this.wasBusy) this.dueNs = this.coordinator.nextNs(nowNs);
    counters[CounterIndex.connections] = this.open;
    return this.wasBusy;
  }

  /** Looks what is ready; for a moment, after there was something: {@link Linger}. */
  private lookForMore(): number {
    const { clock } = this.options;
    let ready = this.top.wait(0);
    if (ready > 0 || !this.wasBusy) return ready;
    const lingerNs = this.linger.nextNs();
    if (lingerNs === 0) return ready;
    const untilNs = clock.nowNs() + lingerNs;
    while (ready === 0 && !this.hasAnswered && clock.nowNs() < untilNs) {
      this.hasAnswered = this.receiveFromLast();
      if (!this.hasAnswered) ready = this.top.wait(0);
    }
    this.linger.done(ready > 0 || this.hasAnswered);
    return ready;
  }

  /** Who asked last is likely to ask next: two calls less than by way of the sets. */
  private receiveFromLast(): boolean {
    const id = this.lastId;
    const connection = this.connections[id];
    if (connection === undefined || this.users.isParked(connection.user)) return false;
    const nowNs = this.options.clock.nowNs();
    if (!this.receive(id, nowNs)) return false;
    this.charge(connection.user, nowNs);
    return true;
  }

  private waitMs(timeoutMs: number): number {
    const nowNs = this.options.clock.nowNs();
    const dueNs = Math.min(this.dueNs, this.users.parkedUntilNs, this.listening.pausedUntilNs);
    return Math.max(0, Math.min(timeoutMs, Math.ceil((dueNs - nowNs) / 1e6)));
  }

  private serveUser(key: number, nowNs: number): void {
    const user = this.users.find(key);
    if (user === undefined) return;
    this.users.makeExact(user);
    // Not the turn's time: what others took before must not be charged to this one.
    const startNs = this.options.clock.nowNs();
    const ready = user.set.wait(0);
    for (let i = 0; i < ready; i++) this.receive(user.set.key(i), nowNs);
    this.charge(user, startNs);
  }

  private charge(user: ConnectedUser, startNs: number): void {
    this.users.charge(user, startNs, this.options.clock.nowNs() - startNs);
  }

  /** Takes a message off a connection. @returns Whether there was one. */
  private receive(id: number, nowNs: number): boolean {
    const connection = this.connections[id];
    if (connection === undefined || connection.broken !== undefined) return false;
    const { sockets, request } = this;
    const { partial } = connection;
    let length = sockets.receive(connection.handle, partial?.missingBytes ?? REQUEST_BYTES);
    if (length === SocketFailure.again) return false;
    this.lastId = id;
    if (length <= 0) this.breakOff(id, "closed");
    else if (sockets.senderPid === 0) this.breakOff(id, "no-credentials");
    else {
      if (partial !== undefined) {
        length = partial.append(sockets.message, length);
        if (length === 0) return true;
      }
      const fault = readRequest(this.received, length, this.options.pageBytes, request);
      if (fault !== undefined) this.breakOff(id, fault);
      else {
        const uid = this.owners.ownerOf(sockets.senderUid);
        this.coordinator.request(nowNs, id, sockets.senderPid, uid, request);
      }
    }
    return true;
  }

  // -------------------------------------------------------------------------------- connections

  private accept(listener: Listener, nowNs: number): void {
    let startNs = nowNs;
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      const handle = this.sockets.accept(listener);
      if (handle === SocketFailure.again) return;
      if (handle === SocketFailure.exhausted) {
        this.listening.pause(nowNs);
        return;
      }
      if (handle < 0) continue; // The client has gone already.
      // At once: whatever is thrown from here on, a successor closes it, and its client hears of it.
      this.handles.own(handle);
      const refusal = this.welcome(handle, listener.isStream, startNs);
      if (refusal !== undefined) {
        this.options.counters[refusal]!++;
        this.handles.close(handle);
      }
      startNs = this.options.clock.nowNs();
    }
  }

  /** Lets a connection in. @returns The counter of why it is closed instead. */
  private welcome(handle: number, isStream: boolean, startNs: number): number | undefined {
    const { users } = this;
    const peer = this.sockets.peerUid(handle);
    if (peer < 0 || this.open >= CONNECTIONS_MAX) return CounterIndex.connectionsRefused;
    // Or a person would have as many shares as it has subordinate uids.
    const uid = this.owners.ownerOf(peer);
    const tookNs = this.options.clock.nowNs() - startNs + CONNECTION_COST_NS;
    if (!users.admits(uid, startNs, tookNs)) return CounterIndex.connectionsRefused;
    const user = users.enter(uid);
    if (user === undefined) return counterOf("no-resources");
    if (user.connections >= CONNECTIONS_PER_USER_MAX) return CounterIndex.connectionsRefused;
    const id = this.freeConnections.pop() ?? this.connections.length;
    if (user.set.add(handle, id) < 0) {
      this.freeConnections.push(id);
      users.dropIfAlone(user);
      return counterOf("no-resources");
    }
    const partial = isStream ? new PartialRequest() : undefined;
    this.connections[id] = { handle, user, partial, broken: undefined };
    user.connections++;
    this.open++;
    return undefined;
  }

  private breakOff(id: number, reason: BrokenReason | "closed"): void {
    const connection = this.connections[id]!;
    if (connection.broken !== undefined) return;
    connection.broken = reason;
    this.brokenIds.push(id);
  }

  /** A user whom nothing is left to listen to must not wait for answers for ever. */
  private breakUser(user: ConnectedUser): void {
    this.connections.forEach((connection, id) => {
      if (connection?.user === user) this.breakOff(id, "no-resources");
    });
  }

  /** Not sooner than at the end of a turn: nobody else must get the number meanwhile. */
  private closeBroken(nowNs: number): void {
    // Closing one may answer others, and break them off in turn.
    for (let id = this.brokenIds.pop(); id !== undefined; id = this.brokenIds.pop()) {
      const { handle, user, broken } = this.connections[id]!;
      if (broken !== "closed") this.options.counters[counterOf(broken!)]!++;
      this.handles.close(handle);
      user.connections--;
      this.open--;
      this.connections[id] = undefined;
      this.freeConnections.push(id);
      this.users.dropIfAlone(user);
      this.coordinator.disconnected(nowNs, id);
    }
  }

  // ------------------------------------------------------------------- the coordinator's host

  reply(id: number, reply: Reply): void {
    const connection = this.connections[id];
    if (connection === undefined || connection.broken !== undefined) return;
    writeReply(this.replyView, reply, this.options.pageBytes);
    const sent = this.sockets.send(connection.handle, this.replyBytes);
    if (sent >= 0) return;
    this.breakOff(id, sent === SocketFailure.again ? "does-not-read" : "closed");
  }

  identify(pid: number): ProcessIdentity | undefined {
    return this.processes.identify(pid);
  }

  watch(pid: number): boolean {
    return this.processes.watch(pid);
  }

  unwatch(pid: number): void {
    this.processes.unwatch(pid);
  }
}

function counterOf(reason: BrokenReason): number {
  return CounterIndex.broken + BROKEN_REASONS.indexOf(reason);
}
