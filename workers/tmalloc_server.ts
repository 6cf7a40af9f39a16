/**
 * The socket side of tmalloc: connections, their messages, and the processes at their other ends.
 *
 * Each user's connections are behind an epoll of their own, and a turn takes a few messages of each
 * user: a flood by one user costs another no more than that (I7).
 *
 * @module
 */
import { Fairness, Share } from "../pipeline/promises/fairness.ts";
import {
  Coordinator,
  type CoordinatorHost,
  type ProcessIdentity,
} from "../pipeline/promises/coordinator.ts";
import {
  BROKEN_REASONS,
  type BrokenReason,
  CounterIndex,
  DESCRIPTORS_MAX,
  Member,
} from "../pipeline/memory/layout.ts";
import type { Ledger } from "../pipeline/promises/ledger.ts";
import type { Memory } from "../pipeline/memory/memory.ts";
import { OwnersView } from "../pipeline/limits/owners.ts";
import type { ReportWriter } from "../pipeline/messages/reports.ts";
import {
  makeRequest,
  readRequest,
  type Reply,
  REPLY_BYTES,
  REQUEST_BYTES,
  writeReply,
} from "../pipeline/promises/tmalloc_message.ts";
import type { MonotonicClock } from "../kernel/ffi/clock.ts";
import { Epoll, EPOLLIN, EPOLLRDHUP } from "../kernel/ffi/epoll.ts";
import { Errno } from "../kernel/ffi/errno.ts";
import { closeFd, type EventFd } from "../kernel/ffi/fd.ts";
import { pidfdOpen } from "../kernel/kill/pidfd.ts";
import { ProcReader } from "../kernel/proc/proc.ts";
import { ProcIdentity, ProcStatus } from "../pipeline/ports.ts";
import {
  acceptConnection,
  isAgain,
  MessageReceiver,
  peerUid,
  sendMessage,
} from "../kernel/sockets/seqpacket.ts";

/** Connections in all, and of one user. */
export const CONNECTIONS_MAX = 4096;
export const CONNECTIONS_PER_USER_MAX = 2048;
/** Messages of one user in one turn. */
const MESSAGES_PER_TURN = 4;
const ACCEPTS_PER_TURN = 8;
const TOP_EVENTS_MAX = 64;
/** Users whose shares of the time are remembered. */
const SHARES_MAX = 4096;
/** How long a turn may look for more before it sleeps, and how often it tries again in vain. */
const SPIN_NS_MAX = 60e3;
const SPIN_NS_MIN = 15e3;
const SPINS_SKIPPED_MAX = 32;
/** What a connection costs besides its acceptance: its first message, its end. */
const CONNECTION_COST_NS = 20e3;
/** Without descriptors to give, nobody is let in for so long. */
const ACCEPT_PAUSE_NS = 100e6;

/** What a key of the top epoll means: kinds in the high bits, a number in the low ones. */
const KEY_KIND = 0x6000_0000;
const KEY_NUMBER = 0x1fff_ffff;
const KeyKind = { special: 0, user: 0x2000_0000, process: 0x4000_0000 } as const;
const KEY_WAKE = 0;
/** And those behind it: the listeners, in their order. */
const KEY_LISTENER = 1;

interface Connection {
  readonly fd: number;
  readonly user: ConnectedUser;
  /** Of a stream: the request of which not all has come yet. */
  readonly partial: { readonly bytes: Uint8Array; length: number } | undefined;
  /** To be closed at the end of the turn. */
  broken: BrokenReason | "closed" | undefined;
}

interface ConnectedUser {
  readonly uid: number;
  readonly epoll: Epoll;
  readonly key: number;
  connections: number;
  readonly share: Share;
}

/** A socket that listens. */
export interface Listener {
  readonly fd: number;
  /** Its messages follow one another without a mark between them. */
  readonly isStream: boolean;
}

export interface TmallocServerOptions {
  readonly memory: Memory;
  readonly ledger: Ledger;
  readonly counters: Float64Array;
  readonly reports: ReportWriter;
  readonly clock: MonotonicClock;
  readonly listeners: readonly Listener[];
  /** Rung when memory has come back or a limit has changed. */
  readonly wake: EventFd;
  readonly pageBytes: number;
  /** Counted members. */
  readonly countMask: number;
  /** By how much /proc may be wrong about a process. */
  readonly procErrorPages: number;
}

export class TmallocServer implements CoordinatorHost {
  readonly coordinator: Coordinator;
  private readonly options: TmallocServerOptions;
  private readonly top = new Epoll(TOP_EVENTS_MAX);
  private readonly connections: (Connection | undefined)[] = [];
  private readonly freeConnections: number[] = [];
  private readonly users = new Map<number, ConnectedUser>();
  private readonly usersByKey = new Map<number, ConnectedUser>();
  private nextUserKey = 0;
  private readonly pidfds = new Map<number, number>();
  private readonly receiver = new MessageReceiver(REQUEST_BYTES);
  private readonly received: DataView;
  private readonly request = makeRequest();
  private readonly replyBytes = new Uint8Array(new ArrayBuffer(REPLY_BYTES * 2), 0, REPLY_BYTES);
  private readonly replyView: DataView;
  private readonly proc = new ProcReader();
  private readonly status = new ProcStatus();
  private readonly identity = new ProcIdentity();
  private readonly brokenIds: number[] = [];
  private readonly fairness = new Fairness();
  private readonly owners: OwnersView;
  private readonly shares = new Map<number, Share>();
  private readonly parked: ConnectedUser[] = [];
  private parkedUntilNs = Infinity;
  private open = 0;
  private wasBusy = false;
  /** While it looked for more, it answered something. */
  private hasAnswered = false;
  /** The connection that a message came from last. */
  private lastId = -1;
  private spinNs = 0;
  private spinsSkipped = 0;
  private acceptFromNs = 0;
  private dueNs = 0;

  constructor(options: TmallocServerOptions) {
    this.options = options;
    const { memory, ledger, counters, reports, wake } = options;
    this.owners = new OwnersView(memory.owners);
    this.received = new DataView(this.receiver.bytes.buffer, 0, REQUEST_BYTES);
    this.replyView = new DataView(this.replyBytes.buffer, 0, REPLY_BYTES);
    this.closePredecessors();
    this.own(this.top.fd);
    this.listen();
    this.top.add(wake.fd, EPOLLIN, KEY_WAKE);
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
    const { clock, wake, counters } = this.options;
    const waitMs = timeoutMs === 0 ? 0 : this.waitMs(timeoutMs, clock.nowNs());
    this.hasAnswered = false;
    const ready = timeoutMs === 0 ? this.spin() : this.top.wait(waitMs);
    const nowNs = clock.nowNs();
    this.wasBusy = ready > 0 || this.hasAnswered;
    let isDue = nowNs >= this.dueNs;
    for (let i = 0; i < ready; i++) {
      const key = this.top.key(i);
      const number = key & KEY_NUMBER;
      if ((key & KEY_KIND) === KeyKind.user) this.serveUser(number, nowNs);
      else if ((key & KEY_KIND) === KeyKind.process) this.coordinator.exited(nowNs, number);
      else if (number === KEY_WAKE) isDue = wake.drain() || isDue;
      else this.accept(this.options.listeners[number - KEY_LISTENER]!, nowNs);
    }
    if (this.brokenIds.length > 0) this.closeBroken(nowNs);
    if (isDue) this.coordinator.step(nowNs);
    if (nowNs >= this.parkedUntilNs) this.unpark();
    if (isDue || this.wasBusy) this.dueNs = this.coordinator.nextNs(nowNs);
    counters[CounterIndex.connections] = this.open;
    return this.wasBusy;
  }

  /**
   * Looks for more, for a moment, after there was something: who asked on another CPU will ask
   * again, and waking up costs more than the work. Where that fails, the moment gets shorter.
   */
  private spin(): number {
    const { clock } = this.options;
    let ready = this.top.wait(0);
    if (ready > 0 || !this.wasBusy) return ready;
    if (this.spinNs === 0 && ++this.spinsSkipped < SPINS_SKIPPED_MAX) return ready;
    this.spinsSkipped = 0;
    const untilNs = clock.nowNs() + Math.max(this.spinNs, SPIN_NS_MIN);
    let isAnswered = false;
    while (ready === 0 && !isAnswered && clock.nowNs() < untilNs) {
      isAnswered = this.receiveFromLast();
      if (!isAnswered) ready = this.top.wait(0);
    }
    if (ready > 0 || isAnswered) this.spinNs = SPIN_NS_MAX;
    else this.spinNs = this.spinNs > SPIN_NS_MIN ? this.spinNs / 2 : 0;
    this.hasAnswered = isAnswered;
    return ready;
  }

  /** Who asked last is likely to ask next: two calls less than by way of the epolls. */
  private receiveFromLast(): boolean {
    const id = this.lastId;
    const connection = this.connections[id];
    if (connection === undefined || this.parked.includes(connection.user)) return false;
    const nowNs = this.options.clock.nowNs();
    if (!this.receive(id, nowNs)) return false;
    this.charge(connection.user, nowNs);
    return true;
  }

  private waitMs(timeoutMs: number, nowNs: number): number {
    if (this.acceptFromNs > 0) this.resumeAccepting(nowNs);
    const dueNs = Math.min(this.dueNs, this.parkedUntilNs);
    return Math.max(0, Math.min(timeoutMs, Math.ceil((dueNs - nowNs) / 1e6)));
  }

  private serveUser(key: number, nowNs: number): void {
    const user = this.usersByKey.get(key);
    if (user === undefined) return;
    // Not the turn's time: what others took before must not be charged to this one.
    const startNs = this.options.clock.nowNs();
    const ready = user.epoll.wait(0);
    for (let i = 0; i < ready; i++) this.receive(user.epoll.key(i), nowNs);
    this.charge(user, startNs);
  }

  private charge(user: ConnectedUser, startNs: number): void {
    const tookNs = this.options.clock.nowNs() - startNs;
    const parkedUntilNs = this.fairness.spent(user.share, startNs, tookNs);
    if (parkedUntilNs > 0) this.park(user, parkedUntilNs);
  }

  /** Does not listen to a user for some time; its messages wait in its sockets. */
  private park(user: ConnectedUser, untilNs: number): void {
    this.top.remove(user.epoll.fd);
    this.parked.push(user);
    this.parkedUntilNs = untilNs;
  }

  private unpark(): void {
    for (const user of this.parked) {
      // It may have gone meanwhile.
      if (this.usersByKey.get(user.key) === user) {
        this.top.add(user.epoll.fd, EPOLLIN, KeyKind.user | user.key);
      }
    }
    this.parked.length = 0;
    this.parkedUntilNs = Infinity;
  }

  /** Takes a message off a connection. @returns Whether there was one. */
  private receive(id: number, nowNs: number): boolean {
    const connection = this.connections[id];
    if (connection === undefined || connection.broken !== undefined) return false;
    const { receiver, request } = this;
    const { partial } = connection;
    const wanted = REQUEST_BYTES - (partial?.length ?? 0);
    let length = receiver.receive(connection.fd, wanted);
    if (isAgain(length)) return false;
    this.lastId = id;
    if (length <= 0) this.breakOff(id, "closed");
    else if (receiver.pid === 0) this.breakOff(id, "no-credentials");
    else {
      if (partial !== undefined) {
        length = append(partial, receiver.bytes, length);
        if (length === 0) return true;
      }
      const fault = readRequest(this.received, length, this.options.pageBytes, request);
      if (fault !== undefined) this.breakOff(id, fault);
      else {
        const uid = this.owners.ownerOf(receiver.uid);
        this.coordinator.request(nowNs, id, receiver.pid, uid, request);
      }
    }
    return true;
  }

  // -------------------------------------------------------------------------------- connections

  private accept(listener: Listener, nowNs: number): void {
    const { counters, clock } = this.options;
    const listenFd = listener.fd;
    let startNs = nowNs;
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      const fd = acceptConnection(listenFd);
      if (isAgain(fd)) return;
      if (fd < 0) {
        // Out of descriptors or memory: the listener would stay ready and the worker spin.
        if (fd === -Errno.EMFILE || fd === -Errno.ENFILE || fd === -Errno.ENOMEM) {
          for (const { fd } of this.options.listeners) this.top.remove(fd);
          this.acceptFromNs = nowNs + ACCEPT_PAUSE_NS;
          return;
        }
        continue; // The client has gone already.
      }
      if (!this.welcome(fd, listener.isStream, startNs)) {
        counters[CounterIndex.connectionsRefused]!++;
        closeFd(fd);
      }
      startNs = clock.nowNs();
    }
  }

  private resumeAccepting(nowNs: number): void {
    if (nowNs < this.acceptFromNs) return;
    this.acceptFromNs = 0;
    this.listen();
  }

  private listen(): void {
    this.options.listeners.forEach(({ fd }, index) =>
      this.top.add(fd, EPOLLIN, KEY_LISTENER + index)
    );
  }

  private welcome(fd: number, isStream: boolean, startNs: number): boolean {
    const peer = peerUid(fd);
    if (peer < 0 || this.open >= CONNECTIONS_MAX) return false;
    // Or a person would have as many shares as it has subordinate uids.
    const uid = this.owners.ownerOf(peer);
    const tookNs = this.options.clock.nowNs() - startNs + CONNECTION_COST_NS;
    if (this.fairness.spent(this.shareOf(uid), startNs, tookNs) > 0) return false;
    const user = this.users.get(uid) ?? this.addUser(uid);
    if (user === undefined || user.connections >= CONNECTIONS_PER_USER_MAX) return false;
    const id = this.freeConnections.pop() ?? this.connections.length;
    if (user.epoll.add(fd, EPOLLIN | EPOLLRDHUP, id) < 0) {
      this.freeConnections.push(id);
      this.dropIfAlone(user);
      return false;
    }
    const partial = isStream ? { bytes: new Uint8Array(REQUEST_BYTES), length: 0 } : undefined;
    this.connections[id] = { fd, user, partial, broken: undefined };
    user.connections++;
    this.open++;
    this.own(fd);
    return true;
  }

  private addUser(uid: number): ConnectedUser | undefined {
    let epoll: Epoll;
    try {
      epoll = new Epoll(MESSAGES_PER_TURN);
    } catch {
      return undefined;
    }
    const key = this.nextUserKey++ & KEY_NUMBER;
    const user = { uid, epoll, key, connections: 0, share: this.shareOf(uid) };
    this.own(epoll.fd);
    this.top.add(epoll.fd, EPOLLIN, KeyKind.user | key);
    this.users.set(uid, user);
    this.usersByKey.set(key, user);
    return user;
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

  private dropIfAlone(user: ConnectedUser): void {
    if (user.connections > 0) return;
    this.users.delete(user.uid);
    this.usersByKey.delete(user.key);
    this.disown(user.epoll.fd);
  }

  private breakOff(id: number, reason: BrokenReason | "closed"): void {
    const connection = this.connections[id]!;
    if (connection.broken !== undefined) return;
    connection.broken = reason;
    this.brokenIds.push(id);
  }

  /** Not sooner than at the end of a turn: nobody else must get the number meanwhile. */
  private closeBroken(nowNs: number): void {
    // Closing one may answer others, and break them off in turn.
    for (let id = this.brokenIds.pop(); id !== undefined; id = this.brokenIds.pop()) {
      const { fd, user, broken } = this.connections[id]!;
      if (broken !== "closed") {
        this.options.counters[CounterIndex.broken + BROKEN_REASONS.indexOf(broken!)]!++;
      }
      this.disown(fd);
      user.connections--;
      this.open--;
      this.connections[id] = undefined;
      this.freeConnections.push(id);
      this.dropIfAlone(user);
      this.coordinator.disconnected(nowNs, id);
    }
  }

  // ------------------------------------------------------------------------ the agent's host

  reply(id: number, reply: Reply): void {
    const connection = this.connections[id];
    if (connection === undefined || connection.broken !== undefined) return;
    writeReply(this.replyView, reply, this.options.pageBytes);
    const sent = sendMessage(connection.fd, this.replyBytes);
    if (sent < 0) this.breakOff(id, isAgain(sent) ? "does-not-read" : "closed");
  }

  identify(pid: number): ProcessIdentity | undefined {
    const { proc, status, identity } = this;
    if (!proc.readIdentity(pid, identity) || !proc.readStatus(pid, status)) return undefined;
    return {
      startTicks: identity.startTicks | 0,
      imageId: (identity.stackStart / 16) | 0,
      parentPid: identity.ppid,
      residentPages: this.residentPages() + this.options.procErrorPages,
    };
  }

  private residentPages(): number {
    const { countMask, pageBytes } = this.options;
    const { status } = this;
    let kib = 0;
    if ((countMask >> Member.file & 1) !== 0) kib += status.rssFileKib;
    if ((countMask >> Member.anon & 1) !== 0) kib += status.rssAnonKib;
    if ((countMask >> Member.swap & 1) !== 0) kib += status.vmSwapKib;
    if ((countMask >> Member.shmem & 1) !== 0) kib += status.rssShmemKib;
    return Math.ceil(kib * 1024 / pageBytes);
  }

  watch(pid: number): boolean {
    const fd = pidfdOpen(pid);
    // Kernels without pidfds: the audit finds who is gone.
    if (fd < 0) return fd !== -Errno.ESRCH;
    if (this.top.add(fd, EPOLLIN, KeyKind.process | pid) < 0) {
      closeFd(fd);
      return true;
    }
    this.pidfds.set(pid, fd);
    this.own(fd);
    return true;
  }

  unwatch(pid: number): void {
    const fd = this.pidfds.get(pid);
    if (fd === undefined) return;
    this.pidfds.delete(pid);
    this.disown(fd);
  }

  // -------------------------------------------------------------------------------- descriptors

  /**
   * Descriptors belong to the process and outlive a worker that throws. Clients of the one before
   * must hear that it is gone: their requests died with it.
   */
  private closePredecessors(): void {
    const { descriptors } = this.options.memory;
    for (let index = 0; index < DESCRIPTORS_MAX; index++) {
      if (descriptors[index] === 0) continue;
      closeFd(descriptors[index]! - 1);
      descriptors[index] = 0;
    }
  }

  /** Notes a descriptor, in the place that its number names: what is beyond is not kept. */
  private own(fd: number): void {
    if (fd < DESCRIPTORS_MAX) this.options.memory.descriptors[fd] = fd + 1;
  }

  private disown(fd: number): void {
    if (fd < DESCRIPTORS_MAX) this.options.memory.descriptors[fd] = 0;
    closeFd(fd);
  }
}

/** Adds what came of a stream. @returns Bytes of the request when it is whole, which `bytes` then holds. */
function append(
  partial: { readonly bytes: Uint8Array; length: number },
  bytes: Uint8Array,
  length: number,
): number {
  partial.bytes.set(bytes.subarray(0, length), partial.length);
  partial.length += length;
  if (partial.length < REQUEST_BYTES) return 0;
  partial.length = 0;
  bytes.set(partial.bytes);
  return REQUEST_BYTES;
}
