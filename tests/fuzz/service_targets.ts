/**
 * What comes from people and programs: messages, requests, configurations, options, user files, and
 * files that toom itself has written.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { familiesIn } from "../../kernel/brake/brake_record.ts";
import { nameInPasswd, passwdUids, uidInPasswd } from "../../kernel/users/passwd_text.ts";
import { parseSubuid } from "../../kernel/users/subuid.ts";
import {
  escapeJsonLine,
  formatBytes,
  FormatError,
  parseSizeBytes,
  quote,
} from "../../pipeline/limits/units.ts";
import { UID_MAX } from "../../pipeline/limits/limits.ts";
import { PartialRequest } from "../../pipeline/promises/partial_request.ts";
import {
  makeRequest,
  PAGES_MAX,
  readReply,
  readRequest,
  REQUEST_BYTES,
  RequestType,
  writeRequest,
} from "../../pipeline/promises/tmalloc_message.ts";
import { checkContent } from "../../service/config/content.ts";
import { readLimitSpec } from "../../service/config/limit_spec.ts";
import { parseMetricsAddress } from "../../service/config/metrics_address.ts";
import { parseCounted, parseDurationMs } from "../../service/config/option_values.ts";
import { ANY_HOST } from "../../service/config/schema.ts";
import { ConfigText, parseConfigText } from "../../service/config/syntax.ts";
import { handleControl } from "../../service/control/handlers.ts";
import { KillRecord } from "../../service/history/record_schema.ts";
import { LimitState, STATE_FILE_NAME } from "../../service/limits/state_file.ts";
import { FakeBackend, fakeOptions } from "../_support/fake_control.ts";
import { type FuzzTarget, only, textOf } from "./target.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function messageTarget(): FuzzTarget {
  const corpus = Object.values(RequestType).map((type) => {
    const bytes = new Uint8Array(REQUEST_BYTES);
    writeRequest(new DataView(bytes.buffer), { type, id: 7, bytes: 1 << 20 });
    return bytes;
  });
  const request = makeRequest();
  return {
    name: "messages",
    corpus,
    take: (bytes) => {
      const room = new Uint8Array(Math.max(bytes.length, REQUEST_BYTES));
      room.set(bytes);
      if (readRequest(new DataView(room.buffer), bytes.length, 4096, request) === undefined) {
        assert(request.pages >= 0 && request.pages <= PAGES_MAX);
        assert(request.minPages >= 0 && request.minPages <= request.pages);
        assert(request.type >= 1 && request.timeoutMs >= 0);
      }
      const partial = new PartialRequest();
      for (let at = 0; at < bytes.length;) {
        const piece = new Uint8Array(REQUEST_BYTES);
        const length = Math.min(partial.missingBytes, bytes.length - at, 1 + at % 7);
        piece.set(bytes.subarray(at, at + length));
        const whole = partial.append(piece, length);
        assert(whole === 0 || whole === REQUEST_BYTES);
        at += length;
      }
      const reply = new Uint8Array(64);
      reply.set(bytes.subarray(0, 64));
      readReply(new DataView(reply.buffer), 64);
    },
  };
}

function controlTarget(): FuzzTarget {
  const backend = new FakeBackend();
  const options = fakeOptions("/nowhere", backend);
  const requests = [
    "GET /v1/limits/1000\n",
    'PUT /v1/limits/1000-1999\n{"hard":"64MiB","soft":"90%"}',
    'PUT /v1/limits/5\n{"hard":67108864,"now":true,"brake":"all"}',
    "DELETE /v1/overrides/1000\n",
    'POST /v1/reload\n{"now":true}',
    'POST /v1/debug/fault\n{"role":"reader0","kind":"throw"}',
    "GET /metrics\n",
    "GET /v1/explain/1000\n",
  ];
  return {
    name: "control",
    corpus: requests.map(bytesOf),
    take: async (bytes) => {
      const [line = "", ...rest] = textOf(bytes).split("\n");
      const space = line.indexOf(" ");
      const path = line.slice(space + 1);
      const body = rest.join("\n");
      let request: Request;
      try {
        const method = line.slice(0, Math.max(space, 0));
        const hasBody = body !== "" && method !== "GET" && method !== "HEAD";
        request = new Request(`http://localhost${path}`, { method, ...(hasBody ? { body } : {}) });
      } catch {
        return; // No HTTP: the server of the runtime refuses it.
      }
      const answer = await handleControl(request, options);
      await answer.body?.cancel();
      assert(answer.status < 500, `${answer.status}`);
    },
  };
}

function configTarget(): FuzzTarget {
  const example = Deno.readFileSync(new URL("../../deploy/config.jsonc", import.meta.url));
  const corpus = [
    example,
    bytesOf('{"limits":{"1000-59999":"25%","@a":{"hard":"4GiB","soft":"80%"},"0":"none"},}'),
    bytesOf('{"machine":{"minAvailable":"5%"},"victim":"growing","log":{"format":"json"} // x\n}'),
  ];
  return {
    name: "config",
    corpus,
    take: (bytes) => {
      const text = parseConfigText("/x", textOf(bytes));
      const problems = text instanceof ConfigText ? checkContent(text, ANY_HOST).problems : text;
      for (const { line, message } of problems) {
        assert((line ?? 1) >= 1 && message !== "", JSON.stringify(problems));
        assert(!message.includes("\n"), "one line a problem");
      }
    },
  };
}

function wordTarget(): FuzzTarget {
  const words = [
    "1000-59999=4G,soft=80%",
    "uid:60310=64MiB",
    "*=25%",
    "CORP\\anna lee=4G",
    "500ms",
    "anon+swap+shmem+sum",
    "[::1]:9184",
    "127.0.0.1:9184",
    "4096B",
  ];
  const host = {
    ...ANY_HOST,
    uidOf: (name: string) => name === "anna" ? 1000 : undefined,
    nobodyReason: () => undefined,
  };
  return {
    name: "words",
    corpus: words.map(bytesOf),
    take: (bytes) => {
      const text = textOf(bytes);
      only(FormatError, () => {
        const size = parseSizeBytes(text, 2 ** 34);
        assert(Number.isSafeInteger(size) && size >= 0, `${size}`);
        formatBytes(size);
      });
      only(FormatError, () => {
        const { uids } = readLimitSpec(text, host);
        assert(uids.uidFirst <= uids.uidLast && uids.uidLast <= UID_MAX);
      });
      only(FormatError, () => assert(parseDurationMs(text) >= 0));
      only(FormatError, () => parseCounted(text));
      only(FormatError, () => parseMetricsAddress(text));
      assert(!/[\p{Cc}\p{Zl}\p{Zp}]/u.test(quote(text)), "what is quoted breaks no line");
      assertEquals(JSON.parse(escapeJsonLine(JSON.stringify(text))), text);
    },
  };
}

function userTarget(): FuzzTarget {
  return {
    name: "users",
    corpus: [
      bytesOf("root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000:A,,,:/home/anna:/bin/sh\n"),
      bytesOf("anna:100000:65536\n1000:200000:65536\n# x\n\nbob:4294967290:4\n"),
    ],
    take: (bytes) => {
      const text = textOf(bytes);
      for (const uid of passwdUids(text)) assert(nameInPasswd(text, uid) !== "");
      uidInPasswd(text, "anna");
      const { lines } = parseSubuid(text);
      for (const { uidFirst, uidLast } of lines) {
        assert(uidFirst > 0 && uidFirst <= uidLast && uidLast <= UID_MAX);
      }
    },
  };
}

function recordTarget(): FuzzTarget {
  const boot = "9a4a2c7e";
  const record = new FakeBackend().kills().kills;
  return {
    name: "records",
    corpus: [
      bytesOf(`toom-brake 1 ${boot}\n+ 1 2 3 4 5 0f3c8d1a\n- 1 00000000\n`),
      bytesOf(JSON.stringify(record[0] ?? { id: "x", uid: 1, pid: 2 })),
    ],
    take: (bytes) => {
      const text = textOf(bytes);
      familiesIn(text, boot);
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      KillRecord.safeParse(value);
    },
  };
}

function stateTarget(dirPath: string): FuzzTarget {
  const state = {
    version: 1,
    overrides: [
      { uidFirst: 1000, uidLast: 1999, hardBytes: 1 << 30, softBytes: 1 << 29, brake: "all" },
      { uidFirst: 5, uidLast: 5, unlimited: true },
      { uidFirst: 7, uidLast: 7, cleared: true },
    ],
  };
  return {
    name: "state",
    corpus: [bytesOf(JSON.stringify(state)), bytesOf(JSON.stringify(state, null, 2))],
    take: async (bytes) => {
      await Deno.writeFile(`${dirPath}/${STATE_FILE_NAME}`, bytes);
      const now = (): Date => new Date(0);
      const opened = await LimitState.open({ dirPath, base: [], pageBytes: 4096, now });
      for (const { uidFirst, uidLast, softPages, hardPages } of opened.list()) {
        assert(uidFirst <= uidLast && softPages <= hardPages);
      }
    },
  };
}

/** All of them. @param dirPath Where files may be written. */
export function serviceTargets(dirPath: string): FuzzTarget[] {
  return [
    messageTarget(),
    controlTarget(),
    configTarget(),
    wordTarget(),
    userTarget(),
    recordTarget(),
    stateTarget(dirPath),
  ];
}
