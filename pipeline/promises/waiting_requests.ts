/**
 * Requests for memory, user by user in the order in which they came: granted now, later, or refused.
 *
 * @module
 */
import type { Admission, Verdict } from "./admission.ts";
import { type Answers, hardPagesOf } from "./answers.ts";
import type { CoordinatorHost } from "./coordinator_host.ts";
import { CounterIndex, HeaderWord } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import type { PendingRequest } from "./pending.ts";
import type { RulesView } from "../limits/published_rules.ts";
import type { Client, UserAllocation } from "./client.ts";
import type { Allocations } from "./allocations.ts";
import { PAGES_MAX, ReplyFlag, RequestType, Status } from "./tmalloc_message.ts";

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

/** What the queue of requests works with. */
export interface WaitingParts {
  readonly memory: Memory;
  readonly allocations: Allocations;
  readonly admission: Admission;
  readonly rules: RulesView;
  readonly host: CoordinatorHost;
  readonly answers: Answers;
  readonly counters: Float64Array;
}

export class WaitingRequests {
  private readonly memory: Memory;
  private readonly allocations: Allocations;
  private readonly admission: Admission;
  private readonly rules: RulesView;
  private readonly host: CoordinatorHost;
  private readonly answers: Answers;
  private readonly counters: Float64Array;
  /** Users with requests that wait for an answer. */
  private readonly waiting = new Set<UserAllocation>();
  private distrustedSinceNs = -1;
  private holdsUntilNs = Infinity;

  constructor(parts: WaitingParts) {
    this.memory = parts.memory;
    this.allocations = parts.allocations;
    this.admission = parts.admission;
    this.rules = parts.rules;
    this.host = parts.host;
    this.answers = parts.answers;
    this.counters = parts.counters;
  }

  /** Looks at all that wait, and ends the holds whose time is over. */
  step(nowNs: number): void {
    for (const user of this.waiting) this.serve(user, nowNs);
    if (nowNs >= this.holdsUntilNs) this.expireHolds(nowNs);
  }

  /** When {@link step} must be called again if nothing happens before. */
  nextNs(nowNs: number): number {
    let nextNs = this.holdsUntilNs;
    let waiting = 0;
    for (const user of this.waiting) {
      waiting += user.pending.length;
      for (const { deadlineNs } of user.pending) nextNs = Math.min(nextNs, deadlineNs);
    }
    this.counters[CounterIndex.waiting] = waiting;
    // The bell may have been missed: the word that asks for it and what it tells of have no order.
    return waiting > 0 ? Math.min(nextNs, nowNs + SETTLE_NS) : nextNs;
  }

  /** Looks at a user's requests in the order in which they came. */
  serve(user: UserAllocation, nowNs: number): void {
    const { pending } = user;
    if (pending.length === 0) {
      if (this.waiting.delete(user)) this.allocations.announceWaits(user);
      return;
    }
    const hardPages = hardPagesOf(this.rules, user.uid);
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
    this.allocations.announceWaits(user);
  }

  /** @returns Whether it has been answered. */
  private decide(
    user: UserAllocation,
    one: PendingRequest,
    blocked: PendingRequest | undefined,
    hardPages: number,
    nowNs: number,
  ): boolean {
    const { client } = one;
    // Who waits longest must not be passed for ever, but by those who can finish only so.
    const mayPass = blocked === undefined || blocked.passed < PASSES_MAX ||
      this.allocations.claim(client) > 0;
    const verdict = this.admission.judge(user, client, one.pages, one.minPages, hardPages);
    if (mayPass && verdict.grantPages >= one.minPages && verdict.refusal === undefined) {
      if (blocked !== undefined) blocked.passed++;
      const { grantPages } = verdict;
      this.counters[CounterIndex.granted]!++;
      if (one.type === RequestType.fork) {
        const untilNs = nowNs + (one.isCopy ? COPY_HOLD_NS : GRACE_NS);
        this.allocations.hold(client, grantPages, untilNs, one.isCopy);
        this.holdsUntilNs = Math.min(this.holdsUntilNs, untilNs);
      } else this.grant(client, grantPages);
      const committedPages = verdict.committedPages + grantPages;
      // The brake must not leave to others what was promised.
      this.allocations.publish(user, committedPages);
      this.answers.answer(one.connection, one, user.uid, client, Status.ok, grantPages, {
        committedPages,
      });
      return true;
    }
    const isHopeless = verdict.isNever || verdict.refusal === "own-claim";
    if (verdict.mayBeStale && one.deadlineNs <= nowNs && !one.isSettling) {
      // Once more, a little later: by then the tables know what has been given back. A child says
      // what it inherited before they know what of it is shared, and on a busy machine long before.
      one.isSettling = true;
      one.deadlineNs = nowNs + (this.allocations.isForking(user) ? GRACE_NS : SETTLE_NS);
    }
    if (one.deadlineNs > nowNs && !isHopeless) return false;
    this.refuse(user, one, verdict, hardPages, nowNs);
    return true;
  }

  private grant(client: Client, pages: number): void {
    // The tables may lag behind what it has given back; /proc does not.
    if (this.allocations.seemsToHaveMore(client)) {
      const identity = this.host.identify(client.pid);
      if (identity !== undefined) this.allocations.correctBase(client, identity.residentPages);
    }
    this.allocations.grant(client, pages);
  }

  private refuse(
    user: UserAllocation,
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
    this.answers.deny(one.client, one.minPages, hardPages, verdict, nowNs);
    const { committedPages } = verdict;
    this.answers.answer(one.connection, one, user.uid, one.client, status, 0, {
      flags,
      committedPages,
    });
  }

  /** Whether the tables can be believed: not before the first sweep, not after a loss. */
  private isTrusted(user: UserAllocation, nowNs: number): boolean {
    const { header } = this.memory;
    const isSound = Atomics.load(header, HeaderWord.sweepDone) !== 0 &&
      (Atomics.load(header, HeaderWord.degraded) === 0 || this.allocations.isVerified(user));
    if (isSound) this.distrustedSinceNs = -1;
    else if (this.distrustedSinceNs < 0) this.distrustedSinceNs = nowNs;
    return isSound || nowNs - this.distrustedSinceNs > DISTRUST_NS_MAX;
  }

  private expireHolds(nowNs: number): void {
    this.holdsUntilNs = Infinity;
    for (const client of this.allocations.clients.values()) {
      if (client.holds.length === 0) continue;
      const nextNs = this.allocations.expireHolds(client, nowNs);
      this.holdsUntilNs = Math.min(this.holdsUntilNs, nextNs);
    }
  }
}
