/**
 * The coordinator agent: answers the requests of programs that ask before they use memory
 * (docs/tmalloc-protocol.md), so that nobody has to be killed.
 *
 * It has no thread, no socket and no clock of its own: the worker and the simulator run the same
 * agent on the same memory.
 *
 * @module
 */
import { Admission, type Verdict } from "./admission.ts";
import { CounterIndex, HeaderWord } from "../memory/layout.ts";
import { type Ledger, LedgerWord } from "./ledger.ts";
import { RulesView } from "../limits/published_rules.ts";
import type { Memory } from "../memory/memory.ts";
import type { PendingRequest } from "./pending.ts";
import { DENIED_REASONS, type ReportWriter } from "../messages/reports.ts";
import { type Client, Stakes, type UserStake } from "./stakes.ts";
import {
  makeReply,
  PAGES_MAX,
  type Reply,
  ReplyFlag,
  type Request,
  RequestType,
  Status,
} from "./tmalloc_message.ts";

/** Requests of one user that may wait for an answer. */
export const PENDING_PER_USER_MAX = 1024;
/** The same of one connection: who asks more at once does not read its answers. */
export const PENDING_PER_CONNECTION_MAX = 16;
/** Processes of one user that may hold promises. */
export const CLIENTS_PER_USER_MAX = 2048;
/** Later requests that may be granted before an earlier one that waits. */
export const PASSES_MAX = 16;
/** Memory that was given back is seen by the tables this much later at most, when all is well. */
const SETTLE_NS = 5e6;
/** While the books are not to be trusted, nothing is granted; but not for ever. */
const DISTRUST_NS_MAX = 1e9;
/** A child must be born, and say so, within this time after its parent has asked for a copy. */
const COPY_HOLD_NS = 250e6;
/** What else a child is held room for, it is held for so long: by then it has executed a program. */
const GRACE_NS = 100e6;
/** The same process's refusals are told at most this often. */
const DENIED_EVERY_NS = 20e6;
/** What waits for the books to be trusted must not make the worker spin. */
const STEP_EVERY_NS_MIN = 0.5e6;
const NOTHING = {};
const AUDIT_EVERY_NS = 200e6;
/** Clients looked at in one audit. */
const AUDIT_CLIENTS = 32;

/** A process as /proc tells it. */
export interface ProcessIdentity {
  /** Clock ticks since the boot, low 32 bits. */
  readonly startTicks: number;
  /** Another after each exec. */
  readonly imageId: number;
  readonly parentPid: number;
  /** Counted pages, and by how many that may be too few on this kernel. */
  readonly residentPages: number;
}

/** What the agent needs of the world. */
export interface CoordinatorHost {
  /** @returns undefined when the process is gone. */
  identify(pid: number): ProcessIdentity | undefined;
  /** Sends a reply, or drops it when the connection cannot take it. `reply` is reused. */
  reply(connection: number, reply: Reply): void;
  /** Watches a process, to call {@link Coordinator.exited}. @returns false when it is gone. */
  watch(pid: number): boolean;
  unwatch(pid: number): void;
}

export class Coordinator {
  readonly stakes: Stakes;
  private readonly memory: Memory;
  private readonly ledger: Ledger;
  private readonly host: CoordinatorHost;
  private readonly counters: Float64Array;
  private readonly reports: ReportWriter;
  private readonly rules: RulesView;
  private readonly admission: Admission;
  private readonly reply = makeReply();
  /** By connection: the process that spoke last on it. */
  private readonly speakers = new Map<number, Client>();
  private distrustedSinceNs = -1;
  private auditedNs = -Infinity;
  private auditFrom = 0;
  private holdsUntilNs = Infinity;
  /** Users with requests that wait for an answer. */
  private readonly waiting = new Set<UserStake>();

  constructor(
    memory: Memory,
    ledger: Ledger,
    host: CoordinatorHost,
    counters: Float64Array,
    reports: ReportWriter,
  ) {
    this.memory = memory;
    this.ledger = ledger;
    this.host = host;
    this.counters = counters;
    this.reports = reports;
    this.stakes = new Stakes(memory, ledger);
    this.admission = new Admission(this.stakes);
    this.rules = new RulesView(memory.settings);
    this.rules.refresh();
  }

  /** Takes over what the ledger holds of processes that are still what they were. */
  start(): void {
    for (let row = 0; row < this.ledger.capacity; row++) {
      if (!this.ledger.isUsed(row)) continue;
      const client = this.stakes.adopt(row);
      if (!this.isSame(client, this.host.identify(client.pid)) || !this.host.watch(client.pid)) {
        this.stakes.drop(client);
      }
    }
  }

  // ----------------------------------------------------------------------------------- requests

  /**
   * Takes a request, answers it or keeps it.
   *
   * @param pid Of the sender, by its credentials.
   * @param uid Its real uid, unsigned.
   */
  request(nowNs: number, connection: number, pid: number, uid: number, request: Request): void {
    this.counters[CounterIndex.requests]!++;
    this.rules.refresh();
    const hardPages = this.hardOf(uid);
    const client = this.speaker(connection, pid, uid, request.type);
    if (request.type === RequestType.query) {
      this.query(connection, pid, uid, client, request);
      return;
    }
    if (hardPages === PAGES_MAX || client === undefined) {
      const status = hardPages === PAGES_MAX ? Status.ok : Status.noRoom;
      if (client !== undefined && status === Status.ok) this.unlimited(client, request);
      const grantPages = status === Status.ok ? request.pages : 0;
      this.answer(connection, request, uid, client, status, grantPages);
      return;
    }
    switch (request.type) {
      case RequestType.release: {
        const taken = this.stakes.release(client, request.pages);
        this.answer(connection, request, uid, client, Status.ok, taken);
        this.serve(this.stakes.userOf(uid), nowNs);
        break;
      }
      case RequestType.claim:
        this.claim(connection, client, uid, hardPages, request, nowNs);
        this.serve(this.stakes.userOf(uid), nowNs);
        break;
      case RequestType.declare:
        this.declare(connection, client, uid, request);
        break;
      default:
        this.ask(connection, client, uid, request, nowNs);
    }
  }

  /**
   * Tells the user's own numbers, also to a process that has never asked for memory, and of a user
   * none of whose processes has. What a user without a limit uses nobody counts.
   */
  private query(
    connection: number,
    pid: number,
    uid: number,
    client: Client | undefined,
    request: Request,
  ): void {
    const { stakes } = this;
    let residentPages = client === undefined ? stakes.residentOf(pid) : stakes.resident(client);
    let usagePages: number | undefined;
    if (this.hardOf(uid) !== PAGES_MAX) {
      // Nobody has told of it yet: a login that asks at once.
      if (residentPages === 0) residentPages = this.host.identify(pid)?.residentPages ?? 0;
      usagePages = stakes.charged(stakes.peek(uid)) || residentPages;
    }
    const flags = usagePages === undefined ? 0 : ReplyFlag.usage;
    const known = { flags, residentPages, usagePages: usagePages ?? 0 };
    this.answer(connection, request, uid, client, Status.ok, usagePages ?? 0, known);
  }

  /** Reserve, wait and fork: granted now, later, or not at all. */
  private ask(
    connection: number,
    client: Client,
    uid: number,
    request: Request,
    nowNs: number,
  ): void {
    const user = this.stakes.userOf(uid);
    const isFork = request.type === RequestType.fork;
    const isCopy = isFork && request.pages === 0;
    const copyPages = this.stakes.committed(client) - client.heldPages;
    const pages = isCopy ? copyPages : isFork ? Math.min(request.pages, copyPages) : request.pages;
    const isTooMany = user.pending.length >= PENDING_PER_USER_MAX ||
      user.pending.filter((one) => one.connection === connection).length >=
        PENDING_PER_CONNECTION_MAX;
    if (isTooMany) {
      this.answer(connection, request, uid, client, Status.tooManyWaits, 0);
      return;
    }
    const isWait = request.type === RequestType.wait;
    user.pending.push({
      connection,
      client,
      type: request.type,
      id: request.id,
      pages,
      minPages: isFork ? pages : request.minPages,
      isCopy,
      isWait,
      deadlineNs: nowNs + (isWait ? request.timeoutMs * 1e6 : 0),
      passed: 0,
      isSettling: false,
    });
    this.serve(user, nowNs);
  }

  private claim(
    connection: number,
    client: Client,
    uid: number,
    hardPages: number,
    request: Request,
    nowNs: number,
  ): void {
    const { stakes } = this;
    // Less than what it has already says that it needs no more.
    const pages = request.pages === 0 ? 0 : Math.max(request.pages, stakes.committed(client));
    const user = stakes.userOf(uid);
    const verdict = pages === 0
      ? undefined
      : this.admission.judgeClaim(user, client, pages, hardPages);
    if (verdict?.refusal !== undefined) {
      this.deny(client, pages - stakes.level(client), hardPages, verdict, nowNs);
      const flags = verdict.isNever ? ReplyFlag.never : 0;
      this.answer(connection, request, uid, client, Status.refused, 0, { flags });
      return;
    }
    stakes.setClaim(client, pages);
    this.answer(connection, request, uid, client, Status.ok, 0);
  }

  /** Its level is what it says: after a reconnect, or of a child that was born with a part of it. */
  private declare(connection: number, client: Client, uid: number, request: Request): void {
    this.setLevel(client, request);
    this.answer(connection, request, uid, client, Status.ok, 0);
  }

  /** Nothing is asked of who has no limit, but what it holds counts should it get one. */
  private unlimited(client: Client, request: Request): void {
    const { stakes } = this;
    const { type, pages } = request;
    if (type === RequestType.reserve || type === RequestType.wait) {
      stakes.grant(client, Math.min(pages, PAGES_MAX - stakes.level(client)));
    } else if (type === RequestType.release) stakes.release(client, pages);
    else if (type === RequestType.declare) this.setLevel(client, request);
  }

  private setLevel(client: Client, { pages, minPages }: Request): void {
    const { stakes } = this;
    if (client.isProbationer) {
      // Nobody has granted it what its parent was promised and has not touched.
      client.isProbationer = false;
      return;
    }
    if (minPages > 0 && stakes.level(client) !== pages) stakes.setBase(client, pages - minPages);
    stakes.setReserved(client, Math.max(0, pages - stakes.base(client)));
  }

  // ------------------------------------------------------------------------------------ waiting

  /** Looks at a user's requests in the order in which they came. */
  private serve(user: UserStake, nowNs: number): void {
    const { pending } = user;
    if (pending.length === 0) {
      if (this.waiting.delete(user)) this.stakes.announceWaits(user);
      return;
    }
    const hardPages = this.hardOf(user.uid);
    const isTrusted = hardPages === PAGES_MAX || this.isTrusted(user, nowNs);
    let blocked: PendingRequest | undefined;
    let kept = 0;
    for (let at = 0; at < pending.length; at++) {
      const one = pending[at]!;
      if (isTrusted && this.decide(user, one, blocked, hardPages, nowNs)) continue;
      pending[kept++] = one;
      if (one.isWait) blocked ??= one;
    }
    pending.length = kept;
    if (kept > 0) this.waiting.add(user);
    else this.waiting.delete(user);
    this.stakes.announceWaits(user);
  }

  /** @returns Whether it has been answered. */
  private decide(
    user: UserStake,
    one: PendingRequest,
    blocked: PendingRequest | undefined,
    hardPages: number,
    nowNs: number,
  ): boolean {
    const { client } = one;
    // Who waits longest must not be passed for ever, but by those who can finish only so.
    const mayPass = blocked === undefined || blocked.passed < PASSES_MAX ||
      this.stakes.claim(client) > 0;
    const verdict = this.admission.judge(user, client, one.pages, one.minPages, hardPages);
    if (mayPass && verdict.grantPages >= one.minPages && verdict.refusal === undefined) {
      if (blocked !== undefined) blocked.passed++;
      const { grantPages } = verdict;
      this.counters[CounterIndex.granted]!++;
      if (one.type === RequestType.fork) {
        const untilNs = nowNs + (one.isCopy ? COPY_HOLD_NS : GRACE_NS);
        this.stakes.hold(client, grantPages, untilNs, one.isCopy);
        this.holdsUntilNs = Math.min(this.holdsUntilNs, untilNs);
      } else this.grant(client, grantPages);
      const committedPages = verdict.committedPages + grantPages;
      this.answer(one.connection, one, user.uid, client, Status.ok, grantPages, { committedPages });
      return true;
    }
    const isHopeless = verdict.isNever || verdict.refusal === "own-claim";
    if (verdict.mayBeStale && one.deadlineNs <= nowNs && !one.isSettling) {
      // Once more, a little later: by then the tables know what has been given back. A child says
      // what it inherited before they know what of it is shared, and on a busy machine long before.
      one.isSettling = true;
      one.deadlineNs = nowNs + (this.stakes.isForking(user) ? GRACE_NS : SETTLE_NS);
    }
    if (one.deadlineNs > nowNs && !isHopeless) return false;
    this.refuse(user, one, verdict, hardPages, nowNs);
    return true;
  }

  private grant(client: Client, pages: number): void {
    // The tables may lag behind what it has given back; /proc does not.
    if (this.stakes.seemsToHaveMore(client)) {
      const identity = this.host.identify(client.pid);
      if (identity !== undefined) this.stakes.correctBase(client, identity.residentPages);
    }
    this.stakes.grant(client, pages);
  }

  private refuse(
    user: UserStake,
    one: PendingRequest,
    verdict: Verdict,
    hardPages: number,
    nowNs: number,
  ): void {
    const { isNever } = verdict;
    const flags = isNever ? ReplyFlag.never : 0;
    let status: Status = Status.refused;
    if (verdict.refusal === "own-claim") status = Status.beyondClaim;
    else if (one.isWait && !isNever) {
      status = Status.timedOut;
      this.counters[CounterIndex.timedOut]!++;
    }
    this.deny(one.client, one.minPages, hardPages, verdict, nowNs);
    const { committedPages } = verdict;
    this.answer(one.connection, one, user.uid, one.client, status, 0, { flags, committedPages });
  }

  /** Counts a refusal, and tells of it: a program that tries over and over is told of now and then. */
  private deny(
    client: Client,
    requestPages: number,
    hardPages: number,
    { refusal, committedPages }: Verdict,
    nowNs: number,
  ): void {
    this.counters[CounterIndex.denied]!++;
    // Held back for one that waits longer: to the log it is the limit.
    const reason = DENIED_REASONS.indexOf(refusal ?? "limit");
    if (reason === client.deniedReason && nowNs - client.deniedNs < DENIED_EVERY_NS) return;
    client.deniedNs = nowNs;
    client.deniedReason = reason;
    const uid = this.stakes.uidOf(client) | 0;
    const numbers = [uid, client.pid, committedPages, requestPages, hardPages, reason];
    this.reports.put("denied", nowNs, numbers);
  }

  // -------------------------------------------------------------------------------------- turns

  /** What must be done from time to time, and whenever memory came back or a limit changed. */
  step(nowNs: number): void {
    this.rules.refresh();
    for (const user of this.waiting) this.serve(user, nowNs);
    if (nowNs >= this.holdsUntilNs) this.expireHolds(nowNs);
    if (nowNs - this.auditedNs >= AUDIT_EVERY_NS) {
      this.auditedNs = nowNs;
      this.audit();
    }
    this.counters[CounterIndex.clients] = this.stakes.clients.size;
  }

  /** When {@link step} must be called again if nothing happens before. */
  nextNs(nowNs: number): number {
    let nextNs = Math.min(this.holdsUntilNs, this.auditedNs + AUDIT_EVERY_NS);
    let waiting = 0;
    for (const user of this.waiting) {
      waiting += user.pending.length;
      for (const { deadlineNs } of user.pending) nextNs = Math.min(nextNs, deadlineNs);
    }
    this.counters[CounterIndex.waiting] = waiting;
    // The bell may have been missed: the word that asks for it and what it tells of have no order.
    if (waiting > 0) nextNs = Math.min(nextNs, nowNs + SETTLE_NS);
    return Math.max(nextNs, nowNs + STEP_EVERY_NS_MIN);
  }

  private expireHolds(nowNs: number): void {
    this.holdsUntilNs = Infinity;
    for (const client of this.stakes.clients.values()) {
      if (client.holds.length === 0) continue;
      const nextNs = this.stakes.expireHolds(client, nowNs);
      this.holdsUntilNs = Math.min(this.holdsUntilNs, nextNs);
    }
  }

  /** Some clients a turn: whether they are still what they were, and how much is promised. */
  private audit(): void {
    const clients = [...this.stakes.clients.values()];
    const count = Math.min(AUDIT_CLIENTS, clients.length);
    for (let i = 0; i < count; i++) {
      const client = clients[(this.auditFrom + i) % clients.length]!;
      const identity = this.host.identify(client.pid);
      if (identity === undefined || !this.isSame(client, identity)) this.forget(client);
      else this.stakes.correctBase(client, identity.residentPages);
    }
    this.auditFrom += count;
    for (const user of this.stakes.users.values()) {
      this.stakes.publish(user, this.stakes.committedOf(user));
    }
  }

  /** Whether the tables can be believed: not before the first sweep, not after a loss. */
  private isTrusted(user: UserStake, nowNs: number): boolean {
    const { header } = this.memory;
    const isSound = Atomics.load(header, HeaderWord.sweepDone) !== 0 &&
      (Atomics.load(header, HeaderWord.degraded) === 0 || this.stakes.isVerified(user));
    if (isSound) this.distrustedSinceNs = -1;
    else if (this.distrustedSinceNs < 0) this.distrustedSinceNs = nowNs;
    return isSound || nowNs - this.distrustedSinceNs > DISTRUST_NS_MAX;
  }

  // ------------------------------------------------------------------------------ who speaks

  /** The client that speaks; made when it asks for the first time. */
  private speaker(
    connection: number,
    pid: number,
    uid: number,
    type: RequestType,
  ): Client | undefined {
    const known = this.speakers.get(connection);
    if (known !== undefined && known.pid === pid) {
      if (this.stakes.uidOf(known) !== uid) this.moveClient(known, uid);
      return known;
    }
    let client = this.stakes.clients.get(pid);
    if (client === undefined && type === RequestType.query) return undefined;
    const identity = this.host.identify(pid);
    if (client !== undefined && !this.isSame(client, identity)) {
      this.forget(client);
      client = undefined;
    }
    if (identity === undefined) return undefined;
    client ??= this.register(pid, uid, identity, type);
    if (client === undefined) return undefined;
    if (this.stakes.uidOf(client) !== uid) this.moveClient(client, uid);
    if (known !== undefined) known.connections--;
    client.connections++;
    this.speakers.set(connection, client);
    return client;
  }

  private moveClient(client: Client, uid: number): void {
    const from = this.stakes.users.get(this.stakes.uidOf(client));
    if (from !== undefined) {
      const mine = takePending(from, (one) => one.client === client);
      if (mine.length > 0) this.stakes.userOf(uid).pending.push(...mine);
    }
    this.stakes.move(client, uid);
  }

  private register(
    pid: number,
    uid: number,
    identity: ProcessIdentity,
    type: RequestType,
  ): Client | undefined {
    const { stakes } = this;
    if ((stakes.users.get(uid)?.clients.size ?? 0) >= CLIENTS_PER_USER_MAX) return undefined;
    const client = stakes.add(pid, identity.startTicks, identity.imageId, uid);
    if (client === undefined) return undefined;
    if (!this.host.watch(pid)) {
      stakes.drop(client);
      return undefined;
    }
    // Not what the tables say: they may still have what it was before an exec.
    stakes.setBase(client, identity.residentPages);
    const parent = stakes.clients.get(identity.parentPid);
    // A child by fork is the same image still. Who is another only connects anew.
    const isForked = parent !== undefined &&
      this.ledger.get(parent.row, LedgerWord.imageId) === identity.imageId;
    if (type === RequestType.declare && isForked) {
      const { residentPages } = identity;
      if (stakes.childArrived(parent, residentPages)) stakes.setInsured(client, residentPages);
      else client.isProbationer = true;
    }
    return client;
  }

  private isSame(client: Client, identity: ProcessIdentity | undefined): boolean {
    return identity !== undefined &&
      identity.startTicks === this.ledger.get(client.row, LedgerWord.startTicks) &&
      identity.imageId === this.ledger.get(client.row, LedgerWord.imageId);
  }

  /** A connection is gone. What its process was promised stays, unless it has become another. */
  disconnected(nowNs: number, connection: number): void {
    const client = this.speakers.get(connection);
    if (client === undefined) return;
    this.speakers.delete(connection);
    client.connections--;
    const user = this.stakes.userOf(this.stakes.uidOf(client));
    takePending(user, (one) => one.connection === connection);
    if (!this.isSame(client, this.host.identify(client.pid))) this.forget(client);
    this.serve(user, nowNs);
    this.stakes.dropIfIdle(user);
  }

  /** A process has ended. */
  exited(nowNs: number, pid: number): void {
    const client = this.stakes.clients.get(pid);
    if (client === undefined) return;
    const user = this.stakes.userOf(this.stakes.uidOf(client));
    this.forget(client);
    this.serve(user, nowNs);
    this.stakes.dropIfIdle(user);
  }

  private forget(client: Client): void {
    const user = this.stakes.userOf(this.stakes.uidOf(client));
    takePending(user, (one) => one.client === client);
    for (const [connection, speaker] of this.speakers) {
      if (speaker === client) this.speakers.delete(connection);
    }
    this.host.unwatch(client.pid);
    this.stakes.drop(client);
  }

  // ------------------------------------------------------------------------------------ answers

  private hardOf(uid: number): number {
    return this.rules.find(uid)?.hardPages ?? PAGES_MAX;
  }

  private answer(
    connection: number,
    request: { readonly type: number; readonly id: number; readonly noReply?: boolean },
    uid: number,
    client: Client | undefined,
    status: Status,
    pages: number,
    known: {
      readonly flags?: number;
      readonly committedPages?: number;
      /** Committed is no less than that. */
      readonly usagePages?: number;
      readonly residentPages?: number;
    } = NOTHING,
  ): void {
    if (request.noReply === true) return;
    const { reply, stakes } = this;
    const hardPages = this.hardOf(uid);
    reply.type = request.type as RequestType;
    reply.id = request.id;
    reply.status = status;
    reply.flags = (known.flags ?? 0) | (hardPages === PAGES_MAX ? ReplyFlag.unlimited : 0);
    reply.pages = pages;
    reply.levelPages = client === undefined ? 0 : stakes.level(client);
    reply.residentPages = known.residentPages ??
      (client === undefined ? 0 : stakes.resident(client));
    reply.committedPages = hardPages === PAGES_MAX ? 0 : Math.max(
      known.committedPages ?? stakes.committedOf(stakes.peek(uid)),
      known.usagePages ?? 0,
    );
    reply.hardPages = hardPages;
    reply.claimPages = client === undefined ? 0 : stakes.claim(client);
    this.host.reply(connection, reply);
  }
}

/** Takes requests out of a user's queue; the others keep their order. @returns Those taken. */
function takePending(
  user: UserStake,
  isTaken: (one: PendingRequest) => boolean,
): PendingRequest[] {
  const taken = user.pending.filter(isTaken);
  const rest = user.pending.filter((one) => !isTaken(one));
  user.pending.splice(0, user.pending.length, ...rest);
  return taken;
}
