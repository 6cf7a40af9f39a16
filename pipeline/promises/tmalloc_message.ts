/**
 * Messages of the tmalloc protocol, docs/tmalloc-protocol.md: bytes to numbers and back.
 *
 * @module
 */
import type { BrokenReason } from "../memory/layout.ts";

export const TMALLOC_VERSION = 1;
/** Added to the socket's path: the same as a stream. */
export const STREAM_SUFFIX = ".stream";
export const REQUEST_BYTES = 32;
export const REPLY_BYTES = 64;
export const WAIT_MS_MAX = 86_400_000;
/** Added to a request's type in its reply. */
const REPLY_TYPE_BIT = 0x8000;
/** Byte offsets. */
const RequestAt = { version: 0, type: 2, id: 4, bytes: 8, timeoutMs: 16, flags: 20, minBytes: 24 };
const ReplyAt = {
  version: 0,
  type: 2,
  id: 4,
  status: 8,
  flags: 12,
  bytes: 16,
  levelBytes: 24,
  residentBytes: 32,
  committedBytes: 40,
  hardBytes: 48,
  claimBytes: 56,
};

export const RequestType = {
  reserve: 1,
  release: 2,
  query: 3,
  claim: 4,
  wait: 5,
  declare: 6,
  fork: 7,
} as const;
export type RequestType = typeof RequestType[keyof typeof RequestType];
const REQUEST_TYPE_MAX = RequestType.fork;

export const RequestFlag = { noReply: 1 } as const;
/** `usage`: the pages of this reply to a query are what the user is charged for now. */
export const ReplyFlag = { unlimited: 1, never: 2, usage: 4 } as const;

/** Numbers of errno(3), the same on all Linux that toom runs on. */
export const Status = {
  ok: 0,
  refused: 12,
  timedOut: 110,
  beyondClaim: 122,
  tooManyWaits: 11,
  noRoom: 105,
} as const;
export type Status = typeof Status[keyof typeof Status];

/** Pages of anything: what does not fit becomes this, which no limit allows. */
export const PAGES_MAX = 0x7fffffff;

/** A request as numbers. Reused by the reader of messages. */
export interface Request {
  type: RequestType;
  id: number;
  /** Rounded up. */
  pages: number;
  /** Rounded up; `pages` when the message left it 0 (of declare: 0 then). */
  minPages: number;
  timeoutMs: number;
  noReply: boolean;
}

export function makeRequest(): Request {
  return {
    type: RequestType.query,
    id: 0,
    pages: 0,
    minPages: 0,
    timeoutMs: 0,
    noReply: false,
  };
}

/** What is wrong with a message. */
export type MessageFault = Exclude<BrokenReason, "no-credentials" | "does-not-read">;

/**
 * Reads a request.
 *
 * @param length Bytes of the message, which may be more than the view holds.
 * @returns What is wrong with it; undefined when `out` is filled in.
 */
export function readRequest(
  view: DataView,
  length: number,
  pageBytes: number,
  out: Request,
): MessageFault | undefined {
  if (length < REQUEST_BYTES) return "short";
  if (length > REQUEST_BYTES) return "oversized";
  if (view.getUint16(RequestAt.version, true) !== TMALLOC_VERSION) return "version";
  const type = view.getUint16(RequestAt.type, true);
  const flags = view.getUint32(RequestAt.flags, true);
  if (type < RequestType.reserve || type > REQUEST_TYPE_MAX) return "malformed";
  const mayBeSilent = type === RequestType.release || type === RequestType.declare;
  if ((flags & ~(mayBeSilent ? RequestFlag.noReply : 0)) !== 0) return "malformed";
  const takes = type === RequestType.reserve || type === RequestType.wait ||
    type === RequestType.declare;
  const pages = pagesAt(view, RequestAt.bytes, pageBytes);
  const minPages = pagesAt(view, RequestAt.minBytes, pageBytes);
  const timeoutMs = view.getUint32(RequestAt.timeoutMs, true);
  if (minPages > (takes ? pages : 0)) return "malformed";
  if (timeoutMs > (type === RequestType.wait ? WAIT_MS_MAX : 0)) return "malformed";
  out.type = type as RequestType;
  out.id = view.getUint32(RequestAt.id, true);
  out.pages = pages;
  out.minPages = minPages === 0 && type !== RequestType.declare ? pages : minPages;
  out.timeoutMs = timeoutMs;
  out.noReply = (flags & RequestFlag.noReply) !== 0;
  return undefined;
}

function pagesAt(view: DataView, at: number, pageBytes: number): number {
  const bytes = view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  return Math.min(Math.ceil(bytes / pageBytes), PAGES_MAX);
}

/** Writes a request: the other direction of {@link readRequest}, for clients in TypeScript. */
export function writeRequest(
  view: DataView,
  request: { type: RequestType; id: number; bytes: number; minBytes?: number; timeoutMs?: number },
): void {
  view.setUint16(RequestAt.version, TMALLOC_VERSION, true);
  view.setUint16(RequestAt.type, request.type, true);
  view.setUint32(RequestAt.id, request.id, true);
  putU64(view, RequestAt.bytes, request.bytes);
  view.setUint32(RequestAt.timeoutMs, request.timeoutMs ?? 0, true);
  view.setUint32(RequestAt.flags, 0, true);
  putU64(view, RequestAt.minBytes, request.minBytes ?? 0);
}

/** A reply as numbers; see docs/tmalloc-protocol.md for each. */
export interface Reply {
  type: RequestType;
  id: number;
  status: Status;
  flags: number;
  pages: number;
  levelPages: number;
  residentPages: number;
  committedPages: number;
  /** Without meaning when `flags` has {@link ReplyFlag.unlimited}. */
  hardPages: number;
  claimPages: number;
}

export function makeReply(): Reply {
  return {
    type: RequestType.query,
    id: 0,
    status: Status.ok,
    flags: 0,
    pages: 0,
    levelPages: 0,
    residentPages: 0,
    committedPages: 0,
    hardPages: 0,
    claimPages: 0,
  };
}

export function writeReply(view: DataView, reply: Reply, pageBytes: number): void {
  view.setUint16(ReplyAt.version, TMALLOC_VERSION, true);
  view.setUint16(ReplyAt.type, reply.type | REPLY_TYPE_BIT, true);
  view.setUint32(ReplyAt.id, reply.id, true);
  view.setInt32(ReplyAt.status, reply.status, true);
  view.setUint32(ReplyAt.flags, reply.flags, true);
  putU64(view, ReplyAt.bytes, reply.pages * pageBytes);
  putU64(view, ReplyAt.levelBytes, reply.levelPages * pageBytes);
  putU64(view, ReplyAt.residentBytes, reply.residentPages * pageBytes);
  putU64(view, ReplyAt.committedBytes, reply.committedPages * pageBytes);
  if ((reply.flags & ReplyFlag.unlimited) !== 0) {
    view.setUint32(ReplyAt.hardBytes, 0xffffffff, true);
    view.setUint32(ReplyAt.hardBytes + 4, 0xffffffff, true);
  } else putU64(view, ReplyAt.hardBytes, reply.hardPages * pageBytes);
  putU64(view, ReplyAt.claimBytes, reply.claimPages * pageBytes);
}

/** A reply as a client sees it, in bytes. */
export interface ReplyBytes {
  readonly type: number;
  readonly id: number;
  readonly status: number;
  readonly unlimited: boolean;
  readonly never: boolean;
  /** Of a query: what the user is charged for now, {@link usageKnown}. */
  readonly bytes: number;
  readonly usageKnown: boolean;
  readonly levelBytes: number;
  readonly residentBytes: number;
  readonly committedBytes: number;
  /** Infinity for a user without a limit. */
  readonly hardBytes: number;
  readonly claimBytes: number;
}

/** Reads a reply. @returns undefined when it is none of this version. */
export function readReply(view: DataView, length: number): ReplyBytes | undefined {
  if (length !== REPLY_BYTES) return undefined;
  if (view.getUint16(ReplyAt.version, true) !== TMALLOC_VERSION) return undefined;
  const type = view.getUint16(ReplyAt.type, true);
  if ((type & REPLY_TYPE_BIT) === 0) return undefined;
  const flags = view.getUint32(ReplyAt.flags, true);
  const unlimited = (flags & ReplyFlag.unlimited) !== 0;
  return {
    type: type & ~REPLY_TYPE_BIT,
    id: view.getUint32(ReplyAt.id, true),
    status: view.getInt32(ReplyAt.status, true),
    unlimited,
    never: (flags & ReplyFlag.never) !== 0,
    usageKnown: (flags & ReplyFlag.usage) !== 0,
    bytes: u64At(view, ReplyAt.bytes),
    levelBytes: u64At(view, ReplyAt.levelBytes),
    residentBytes: u64At(view, ReplyAt.residentBytes),
    committedBytes: u64At(view, ReplyAt.committedBytes),
    hardBytes: unlimited ? Infinity : u64At(view, ReplyAt.hardBytes),
    claimBytes: u64At(view, ReplyAt.claimBytes),
  };
}

/** Exact up to 2^53. */
function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 0x1_0000_0000, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function u64At(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}
