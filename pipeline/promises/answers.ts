/**
 * What programs and the log are told: replies with what the user has then, and refusals.
 *
 * @module
 */
import type { CoordinatorHost } from "./coordinator_host.ts";
import { CounterIndex } from "../memory/layout.ts";
import type { RulesView } from "../limits/published_rules.ts";
import type { Verdict } from "./admission.ts";
import { DENIED_REASONS, type ReportWriter } from "../messages/reports.ts";
import type { Client } from "./client.ts";
import type { Allocations } from "./allocations.ts";
import {
  makeReply,
  PAGES_MAX,
  ReplyFlag,
  type RequestType,
  type Status,
} from "./tmalloc_message.ts";

/** The same process's refusals are told at most this often. */
const DENIED_EVERY_NS = 20e6;
const NOTHING = {};

/** Hard limit of a user; PAGES_MAX when it has none. */
export function hardPagesOf(rules: RulesView, uid: number): number {
  return rules.find(uid)?.hardPages ?? PAGES_MAX;
}

export class Answers {
  private readonly allocations: Allocations;
  private readonly rules: RulesView;
  private readonly host: CoordinatorHost;
  private readonly counters: Float64Array;
  private readonly reports: ReportWriter;
  /** Used for each answer. */
  private readonly reply = makeReply();

  constructor(
    allocations: Allocations,
    rules: RulesView,
    host: CoordinatorHost,
    counters: Float64Array,
    reports: ReportWriter,
  ) {
    this.allocations = allocations;
    this.rules = rules;
    this.host = host;
    this.counters = counters;
    this.reports = reports;
  }

  /** Replies to a request, unless no reply is wanted, with what its user has now. */
  answer(
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
    const { reply, allocations } = this;
    const hardPages = hardPagesOf(this.rules, uid);
    reply.type = request.type as RequestType;
    reply.id = request.id;
    reply.status = status;
    reply.flags = (known.flags ?? 0) | (hardPages === PAGES_MAX ? ReplyFlag.unlimited : 0);
    reply.pages = pages;
    reply.levelPages = client === undefined ? 0 : allocations.level(client);
    reply.residentPages = known.residentPages ??
      (client === undefined ? 0 : allocations.resident(client));
    reply.committedPages = hardPages === PAGES_MAX ? 0 : Math.max(
      known.committedPages ?? allocations.committedOf(allocations.peek(uid)),
      known.usagePages ?? 0,
    );
    reply.hardPages = hardPages;
    reply.claimPages = client === undefined ? 0 : allocations.claim(client);
    this.host.reply(connection, reply);
  }

  /** Counts a refusal, and tells of it: a program that tries over and over is told of now and then. */
  deny(
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
    const uid = this.allocations.uidOf(client) | 0;
    const numbers = [uid, client.pid, committedPages, requestPages, hardPages, reason];
    this.reports.put("denied", nowNs, numbers);
  }
}
