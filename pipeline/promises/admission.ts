/**
 * Admission: whether a request for memory may be granted.
 *
 * Granted iff committed + request <= hard; where the user's processes have declared claims, iff
 * moreover the state stays safe in Dijkstra's sense (banker.ts). Pure: it decides, others carry
 * out.
 *
 * @module
 */
import { Banker } from "./banker.ts";
import type { DeniedReason } from "../messages/reports.ts";
import type { Client, UserAllocation } from "./client.ts";
import type { Allocations } from "./allocations.ts";

export interface Verdict {
  /** 0 when refused. */
  grantPages: number;
  refusal: DeniedReason | undefined;
  /** As found; all of it of the user. */
  committedPages: number;
  /** More than could ever be granted, whatever the others give back. */
  isNever: boolean;
  /** Only by what the tables say that a process has beyond what it may: they may lag behind. */
  mayBeStale: boolean;
}

export class Admission {
  private readonly allocations: Allocations;
  private readonly banker = new Banker();
  /** Reused: a verdict is good until the next. */
  private readonly verdict: Verdict = {
    grantPages: 0,
    refusal: undefined,
    committedPages: 0,
    isNever: false,
    mayBeStale: false,
  };

  constructor(allocations: Allocations) {
    this.allocations = allocations;
  }

  /**
   * Judges a request of a client.
   *
   * @param wantPages What it would like.
   * @param minPages The least that is of use, at most `wantPages`.
   */
  judge(
    user: UserAllocation,
    client: Client,
    wantPages: number,
    minPages: number,
    hardPages: number,
  ): Verdict {
    const { allocations } = this;
    const claim = allocations.claim(client);
    const claimLeft = claim === 0 ? Infinity : Math.max(0, claim - allocations.level(client));
    const want = Math.min(wantPages, claimLeft);
    let committed = allocations.committedOf(user);
    if (claimLeft < minPages) return this.refuse("own-claim", committed, true);
    if (committed + minPages <= hardPages) {
      // A process may have been between two states of the tables: memory that is only out of sight
      // for a moment is not free.
      committed = Math.max(committed, allocations.committedOf(user));
    }
    const free = hardPages - committed;
    if (free < minPages) {
      const isNever = allocations.committed(client) + minPages > hardPages;
      this.refuse("limit", committed, isNever);
      this.verdict.mayBeStale = allocations.committedOf(user, true) + minPages <= hardPages ||
        allocations.isForking(user);
      if (this.verdict.mayBeStale) this.verdict.isNever = false;
      return this.verdict;
    }
    let grant = Math.min(want, free);
    if (!this.isSafe(user, client, grant, free)) grant = minPages;
    if (!this.isSafe(user, client, grant, free)) return this.refuse("claims", committed, false);
    return this.decide(grant, undefined, committed, false);
  }

  /**
   * Judges a claim: whether all claims could still be met.
   *
   * @param claimPages The most that it will ever need, as a level.
   */
  judgeClaim(user: UserAllocation, client: Client, claimPages: number, hardPages: number): Verdict {
    const { allocations } = this;
    const committed = allocations.committedOf(user);
    if (claimPages > hardPages) return this.refuse("limit", committed, true);
    const before = allocations.claim(client);
    allocations.setClaim(client, claimPages);
    const isSafe = this.isSafe(user, client, 0, hardPages - committed);
    allocations.setClaim(client, before);
    if (!isSafe) return this.refuse("claims", committed, false);
    return this.decide(claimPages, undefined, committed, false);
  }

  /** Whether the state after a grant is safe. Without claims, every state is that fits. */
  private isSafe(
    user: UserAllocation,
    client: Client,
    grantPages: number,
    freePages: number,
  ): boolean {
    const { allocations, banker } = this;
    banker.clear();
    // Who ends gives back what it has but for what it shares, which is the credit at most.
    const credit = allocations.credit(user);
    for (const other of user.clients) {
      const claim = allocations.claim(other);
      if (claim === 0) continue;
      const held = allocations.committed(other) + (other === client ? grantPages : 0);
      banker.add(Math.max(0, claim - held), Math.max(0, held - credit));
    }
    return banker.isSafe(freePages - grantPages);
  }

  private refuse(refusal: DeniedReason, committedPages: number, isNever: boolean): Verdict {
    return this.decide(0, refusal, committedPages, isNever);
  }

  private decide(
    grantPages: number,
    refusal: DeniedReason | undefined,
    committedPages: number,
    isNever: boolean,
  ): Verdict {
    const { verdict } = this;
    verdict.grantPages = grantPages;
    verdict.refusal = refusal;
    verdict.committedPages = committedPages;
    verdict.isNever = isNever;
    verdict.mayBeStale = false;
    return verdict;
  }
}
