import { assert, assertEquals } from "@std/assert";
import {
  makeReply,
  makeRequest,
  readReply,
  readRequest,
  REPLY_BYTES,
  ReplyFlag,
  REQUEST_BYTES,
  RequestType,
  Status,
  WAIT_MS_MAX,
  writeReply,
  writeRequest,
} from "../../../pipeline/promises/tmalloc_message.ts";
import { withSeeds } from "../../_support/random.ts";

const PAGE = 4096;

function view(bytes = REQUEST_BYTES): DataView {
  return new DataView(new ArrayBuffer(bytes));
}

function requestOf(fields: Parameters<typeof writeRequest>[1]): DataView {
  const message = view();
  writeRequest(message, fields);
  return message;
}

Deno.test("readRequest() reads what writeRequest() writes, in whole pages", () => {
  const message = requestOf({
    type: RequestType.wait,
    id: 9,
    bytes: 8193,
    minBytes: 1,
    timeoutMs: 5,
  });
  const request = makeRequest();
  assertEquals(readRequest(message, REQUEST_BYTES, PAGE, request), undefined);
  assertEquals(request, {
    type: RequestType.wait,
    id: 9,
    pages: 3,
    minPages: 1,
    timeoutMs: 5,
    noReply: false,
  });
  readRequest(requestOf({ type: RequestType.reserve, id: 1, bytes: 1 }), 32, PAGE, request);
  assertEquals([request.pages, request.minPages, request.timeoutMs], [1, 1, 0]);
  const huge = requestOf({ type: RequestType.reserve, id: 1, bytes: 2 ** 53 });
  huge.setUint32(12, 0xffffffff, true);
  readRequest(huge, 32, PAGE, request);
  assertEquals(request.pages, 0x7fffffff);
});

Deno.test("readRequest() says what is wrong with a message", () => {
  const request = makeRequest();
  const fault = (change: (message: DataView) => void, length = REQUEST_BYTES): string => {
    const message = requestOf({ type: RequestType.reserve, id: 1, bytes: PAGE });
    change(message);
    return readRequest(message, length, PAGE, request) ?? "none";
  };
  assertEquals(fault(() => {}), "none");
  assertEquals(fault(() => {}, 31), "short");
  assertEquals(fault(() => {}, 33), "oversized");
  assertEquals(fault((message) => message.setUint16(0, 2, true)), "version");
  assertEquals(fault((message) => message.setUint16(2, 0, true)), "malformed");
  assertEquals(fault((message) => message.setUint16(2, 8, true)), "malformed");
  assertEquals(fault((message) => message.setUint32(16, 1, true)), "malformed", "no timeout");
  assertEquals(fault((message) => message.setUint32(20, 1, true)), "malformed", "must be answered");
  assertEquals(fault((message) => message.setUint32(20, 4, true)), "malformed");
  assertEquals(fault((message) => message.setUint32(24, 2 * PAGE, true)), "malformed", "min > max");
  const wait = (timeoutMs: number): string =>
    fault((message) => {
      message.setUint16(2, RequestType.wait, true);
      message.setUint32(16, timeoutMs, true);
    });
  assertEquals([wait(WAIT_MS_MAX), wait(WAIT_MS_MAX + 1)], ["none", "malformed"]);
  const silent = (type: number): string =>
    fault((message) => {
      message.setUint16(2, type, true);
      message.setUint32(20, 1, true);
    });
  assertEquals([silent(RequestType.release), silent(RequestType.declare)], ["none", "none"]);
  assertEquals(silent(RequestType.query), "malformed");
});

Deno.test("readRequest() survives anything, and what it lets pass is within bounds", () => {
  let passed = 0;
  withSeeds(20_000, (random) => {
    const bytes = new Uint8Array(REQUEST_BYTES);
    random.fill(bytes);
    const message = new DataView(bytes.buffer);
    if (!random.oneIn(4)) {
      // Near enough to valid to come further than the first check.
      message.setUint16(0, 1, true);
      message.setUint16(2, random.below(10), true);
      message.setUint32(20, random.below(3), true);
      message.setUint32(28, random.below(2), true);
      if (random.oneIn(2)) message.setUint32(16, random.below(2), true);
      if (random.oneIn(2)) message.setBigUint64(24, 0n);
    }
    const request = makeRequest();
    const length = random.oneIn(10) ? random.below(100) : REQUEST_BYTES;
    if (readRequest(message, length, PAGE, request) !== undefined) return;
    passed++;
    assert(request.type >= 1 && request.type <= 7);
    assert(Number.isInteger(request.pages) && request.pages >= 0 && request.pages <= 0x7fffffff);
    assert(request.minPages <= request.pages);
    assert(request.timeoutMs <= WAIT_MS_MAX);
  });
  assert(passed > 500, `some are valid: ${passed}`);
});

Deno.test("readReply() reads what writeReply() writes", () => {
  const message = view(REPLY_BYTES);
  const reply = {
    ...makeReply(),
    type: RequestType.claim,
    id: 3,
    status: Status.beyondClaim,
    flags: ReplyFlag.never,
    pages: 1,
    levelPages: 2,
    residentPages: 3,
    committedPages: 0x7fffffff,
    hardPages: 5,
    claimPages: 6,
  };
  writeReply(message, reply, PAGE);
  assertEquals(readReply(message, REPLY_BYTES), {
    type: RequestType.claim,
    id: 3,
    status: 122,
    unlimited: false,
    never: true,
    usageKnown: false,
    bytes: PAGE,
    levelBytes: 2 * PAGE,
    residentBytes: 3 * PAGE,
    committedBytes: 0x7fffffff * PAGE,
    hardBytes: 5 * PAGE,
    claimBytes: 6 * PAGE,
  });
  assertEquals(readReply(message, REPLY_BYTES - 1), undefined);
  writeReply(message, { ...reply, flags: ReplyFlag.usage }, PAGE);
  assertEquals(readReply(message, REPLY_BYTES)?.usageKnown, true);
  writeReply(message, { ...reply, flags: ReplyFlag.unlimited }, PAGE);
  assertEquals(readReply(message, REPLY_BYTES)?.hardBytes, Infinity);
  assertEquals(message.getBigUint64(48, true), 2n ** 64n - 1n);
  message.setUint16(0, 2, true);
  assertEquals(readReply(message, REPLY_BYTES), undefined);
});
