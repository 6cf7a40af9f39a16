/**
 * The coordinator agent: answers the requests of programs that ask before they use memory
 * (docs/tmalloc-protocol.md), so that nobody has to be killed.
 *
 * It has no thread, no socket and no clock of its own: the worker and the simulator run the same
 * agent on the same memory.
 *
 * @module
 */
import { Admission } from "./admission.ts";
import { Answers, hardPagesOf } from "./answers.ts";
import type { CoordinatorHost } from "./coordinator_host.ts";
import { Speakers } from "./speakers.ts";
import { WaitingRequests } from "./waiting_requests.ts";
import { CounterIndex } from "../memory/layout.ts";
import type { Ledger } from "./ledger.ts";
import { RulesView } from "../limits/published_rules.ts";
import type { Memory } from "../memory/memory.ts";
import type { ReportWriter } from "../messages/reports.ts";
import type { Client } from "./client.ts";
import { Allocations } from "./allocations.ts";
import { PAGES_MAX, ReplyFlag, type Request, RequestType, Status } from "./tmalloc_message.ts";

export type { CoordinatorHost, ProcessIdentity } from "./coordinator_host.ts";

/** Requests of one user that may wait for an answer. */
export const PENDING_PER_USER_MAX = 1024;
/** The same of one connection: who asks more at once does not read its answers. */
export const PENDING_PER_CONNECTION_MAX = 16;
/** What waits for the books to be trusted must not make the worker spin. */
const STEP_EVERY_NS_MIN = 0.5e6;
const AUDIT_EVERY_NS = 200e6;
/** Clients looked at in one audit. */
const AUDIT_CLIENTS = 32;

export class Coordinator {
  readonly allocations: Allocations;
  private readonly host: CoordinatorHost;
  private readonly counters: Float64Array;
  private readonly rules: RulesView;
  private readonly admission: Admission;
  private readonly answers: Answers;
  private readonly speakers: Speakers;
  private readonly waiting: WaitingRequests;
  private auditedNs = -Infinity;
  private auditFrom = 0;

  constructor(
    memory: Memory,
    ledger: Ledger,
    host: CoordinatorHost,
    counters: Float64Array,
    reports: ReportWriter,
  ) {
    this.host = host;
    this.counters = counters;
    const allocations = this.allocations = new Allocations(memory, ledger);
    const admission = this.admission = new Admission(allocations);
    const rules = this.rules = new RulesView(memory.settings);
    rules.refresh();
    const answers = this.answers = new Answers(allocations, rules, host, counters, reports);
    this.speakers = new Speakers(allocations, ledger, host);
    const parts = { memory, allocations, admission, rules, host, answers, counters };
    this.waiting = new WaitingRequests(parts);
  }

  /** Takes over what the ledger holds of processes that are still what they were. */
  start(): void {
    this.speakers.takeOver();
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
    const hardPages = hardPagesOf(this.rules, uid);
    const client = this.speakers.of(connection, pid, uid, request.type);
    if (request.type === RequestType.query) {
      this.query(connection, pid, uid, client, request);
      return;
    }
    if (hardPages === PAGES_MAX || client === undefined) {
      const status = hardPages === PAGES_MAX ? Status.ok : Status.noRoom;
      if (client !== undefined && status === Status.ok) this.unlimited(client, request);
      const grantPages = status === Status.ok ? request.pages : 0;
      this.answers.answer(connection, request, uid, client, status, grantPages);
      return;
    }
    switch (request.type) {
      case RequestType.release: {
        const taken = this.allocations.release(client, request.pages);
        this.answers.answer(connection, request, uid, client, Status.ok, taken);
        this.waiting.serve(this.allocations.userOf(uid), nowNs);
        break;
      }
      case RequestType.claim:
        this.claim(connection, client, uid, hardPages, request, nowNs);
        this.waiting.serve(this.allocations.userOf(uid), nowNs);
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
    const { allocations } = this;
    let residentPages = client === undefined
      ? allocations.residentOf(pid)
      : allocations.resident(client);
    let usagePages: number | undefined;
    if (hardPagesOf(this.rules, uid) !== PAGES_MAX) {
      // Nobody has told of it yet: a login that asks at once.
      if (residentPages === 0) residentPages = this.host.identify(pid)?.residentPages ?? 0;
      usagePages = allocations.charged(allocations.peek(uid)) || residentPages;
    }
    const flags = usagePages === undefined ? 0 : ReplyFlag.usage;
    const known = { flags, residentPages, usagePages: usagePages ?? 0 };
    this.answers.answer(connection, request, uid, client, Status.ok, usagePages ?? 0, known);
  }

  /** Reserve, wait and fork: granted now, later, or not at all. */
  private ask(
    connection: number,
    client: Client,
    uid: number,
    request: Request,
    nowNs: number,
  ): void {
    const user = this.allocations.userOf(uid);
    const isFork = request.type === RequestType.fork;
    const isCopy = isFork && request.pages === 0;
    const copyPages = this.allocations.committed(client) - client.heldPages;
    const pages = isCopy ? copyPages : isFork ? Math.min(request.pages, copyPages) : request.pages;
    const isTooMany = user.pending.length >= PENDING_PER_USER_MAX ||
      user.pending.filter((one) => one.connection === connection).length >=
        PENDING_PER_CONNECTION_MAX;
    if (isTooMany) {
      this.answers.answer(connection, request, uid, client, Status.tooManyWaits, 0);
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
    this.waiting.serve(user, nowNs);
  }

  private claim(
    connection: number,
    client: Client,
    uid: number,
    hardPages: number,
    request: Request,
    nowNs: number,
  ): void {
    const { allocations } = this;
    // Less than what it has already says that it needs no more.
    const pages = request.pages === 0 ? 0 : Math.max(request.pages, allocations.committed(client));
    const user = allocations.userOf(uid);
    const verdict = pages === 0
      ? undefined
      : this.admission.judgeClaim(user, client, pages, hardPages);
    if (verdict?.refusal !== undefined) {
      this.answers.deny(client, pages - allocations.level(client), hardPages, verdict, nowNs);
      const flags = verdict.isNever ? ReplyFlag.never : 0;
      this.answers.answer(connection, request, uid, client, Status.refused, 0, { flags });
      return;
    }
    allocations.setClaim(client, pages);
    this.answers.answer(connection, request, uid, client, Status.ok, 0);
  }

  /** Its level is what it says: after a reconnect, or of a child that was born with a part of it. */
  private declare(connection: number, client: Client, uid: number, request: Request): void {
    this.setLevel(client, request);
    this.answers.answer(connection, request, uid, client, Status.ok, 0);
  }

  /** Nothing is asked of who has no limit, but what it holds counts should it get one. */
  private unlimited(client: Client, request: Request): void {
    const { allocations } = this;
    const { type, pages } = request;
    if (type === RequestType.reserve || type === RequestType.wait) {
      allocations.grant(client, Math.min(pages, PAGES_MAX - allocations.level(client)));
    } else if (type === RequestType.release) allocations.release(client, pages);
    else if (type === RequestType.declare) this.setLevel(client, request);
  }

  private setLevel(client: Client, { pages, minPages }: Request): void {
    const { allocations } = this;
    if (client.isProbationer) {
      // Nobody has granted it what its parent was promised and has not touched.
      client.isProbationer = false;
      return;
    }
    if (minPages > 0 && allocations.level(client) !== pages) {
      allocations.setBase(client, pages - minPages);
    }
    allocations.setReserved(client, Math.max(0, pages - allocations.base(client)));
  }

  // -------------------------------------------------------------------------------------- turns

  /** What must be done from time to time, and whenever memory came back or a limit changed. */
  step(nowNs: number): void {
    this.rules.refresh();
    this.waiting.step(nowNs);
    if (nowNs - this.auditedNs >= AUDIT_EVERY_NS) {
      this.auditedNs = nowNs;
      this.audit();
    }
    this.counters[CounterIndex.clients] = this.allocations.clients.size;
  }

  /** When {@link step} must be called again if nothing happens before. */
  nextNs(nowNs: number): number {
    const nextNs = Math.min(this.waiting.nextNs(nowNs), this.auditedNs + AUDIT_EVERY_NS);
    return Math.max(nextNs, nowNs + STEP_EVERY_NS_MIN);
  }

  /** Some clients a turn: whether they are still what they were, and how much is promised. */
  private audit(): void {
    const clients = [...this.allocations.clients.values()];
    const count = Math.min(AUDIT_CLIENTS, clients.length);
    for (let i = 0; i < count; i++) {
      const client = clients[(this.auditFrom + i) % clients.length]!;
      const identity = this.host.identify(client.pid);
      if (identity === undefined || !this.speakers.isSame(client, identity)) {
        this.speakers.forget(client);
      } else this.allocations.correctBase(client, identity.residentPages);
    }
    this.auditFrom += count;
    for (const user of this.allocations.users.values()) {
      this.allocations.publish(user, this.allocations.committedOf(user));
    }
  }

  // ------------------------------------------------------------------------------ ends

  /** A connection is gone. What its process was promised stays, unless it has become another. */
  disconnected(nowNs: number, connection: number): void {
    const client = this.speakers.disconnected(connection);
    if (client === undefined) return;
    const user = this.allocations.userOf(this.allocations.uidOf(client));
    const identity = this.host.identify(client.pid);
    if (!this.speakers.isSame(client, identity)) this.speakers.forget(client);
    this.waiting.serve(user, nowNs);
    this.allocations.dropIfIdle(user);
  }

  /** A process has ended. */
  exited(nowNs: number, pid: number): void {
    const client = this.allocations.clients.get(pid);
    if (client === undefined) return;
    const user = this.allocations.userOf(this.allocations.uidOf(client));
    this.speakers.forget(client);
    this.waiting.serve(user, nowNs);
    this.allocations.dropIfIdle(user);
  }
}
