/**
 * A program that asks before it uses memory, as libtmalloc has it, and what it knows of itself.
 *
 * @module
 */
import { Member } from "../../../pipeline/memory/layout.ts";
import {
  makeRequest,
  type ReplyBytes,
  type Request,
  REQUEST_BYTES,
  RequestFlag,
  RequestType,
  Status,
  writeRequest,
} from "../../../pipeline/promises/tmalloc_message.ts";
import type { FakeClient } from "../../_support/fake_sockets.ts";
import type { FakeProcess } from "../kernel/tasks.ts";
import { countedPages } from "../kernel/tasks.ts";

/** Within this time after it was granted room, a program forks; the room is not kept for longer. */
const FORKS_WITHIN_NS = 100e6;
const PAGE_BYTES = 4096;
/** Where a request has its flags: docs/tmalloc-protocol.md. */
const FLAGS_AT = 20;

/** A request as a program sends it. */
export function bytesOf({ type, id, pages, minPages, timeoutMs, noReply }: Request): Uint8Array {
  const message = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(message.buffer);
  const takes = type === RequestType.reserve || type === RequestType.wait ||
    type === RequestType.declare;
  writeRequest(view, {
    type,
    id,
    bytes: pages * PAGE_BYTES,
    minBytes: takes ? minPages * PAGE_BYTES : 0,
    timeoutMs: type === RequestType.wait ? timeoutMs : 0,
  });
  const mayBeSilent = type === RequestType.release || type === RequestType.declare;
  view.setUint32(FLAGS_AT, noReply && mayBeSilent ? RequestFlag.noReply : 0, true);
  return message;
}

export class Program {
  readonly process: FakeProcess;
  /** Its connection; undefined: none is open. */
  client: FakeClient | undefined;
  /** What it has not sent yet of a request. */
  rest: Uint8Array | undefined;
  /** Has said, on this connection, what it has. */
  isDeclared = false;
  isAsking = false;
  /** Granted, and not touched yet; granted, and not given back. */
  untouchedPages = 0;
  reservedPages = 0;
  levelPages = 0;
  /** Until when it may fork: room for a copy was granted. */
  forksUntilNs = -Infinity;
  isOverLimitForEver = false;

  constructor(process: FakeProcess) {
    this.process = process;
  }

  get residentPages(): number {
    return countedPages(this.process.mm);
  }

  get anonPages(): number {
    return this.process.mm.pages[Member.anon]!;
  }

  /** A request of it. What waits for an answer asks nothing else. */
  ask(fields: Partial<Request>): Request {
    const request = { ...makeRequest(), id: 1, minPages: fields.pages ?? 0, ...fields };
    this.isAsking = request.noReply !== true;
    return request;
  }

  /** What it has, for a coordinator that does not know it on this connection. */
  declaration(): Request {
    this.isDeclared = true;
    const pages = Math.max(this.residentPages + this.untouchedPages, this.levelPages);
    return this.ask({ type: RequestType.declare, pages, minPages: this.reservedPages });
  }

  answered(reply: ReplyBytes, nowNs: number): void {
    this.isAsking = false;
    this.levelPages = reply.levelBytes / PAGE_BYTES;
    if (reply.status !== Status.ok) return;
    if (reply.type === RequestType.reserve || reply.type === RequestType.wait) {
      this.untouchedPages += reply.bytes / PAGE_BYTES;
      this.reservedPages += reply.bytes / PAGE_BYTES;
    } else if (reply.type === RequestType.fork) this.forksUntilNs = nowNs + FORKS_WITHIN_NS;
  }

  /** Its connection is gone, or it has executed another program. */
  disconnected(): void {
    this.client = this.rest = undefined;
    this.isDeclared = this.isAsking = false;
    this.forksUntilNs = -Infinity;
  }

  /** It has executed another program, which was promised nothing. */
  startsAnew(): void {
    this.untouchedPages = this.reservedPages = this.levelPages = 0;
    // A program that has never asked has nothing to declare.
    this.isDeclared = true;
  }
}
