/**
 * `/metrics` on a TCP address. A server of its own, because whoever can reach the address may be anybody:
 * few connections at a time, one request each, and each is over within some seconds, read or not (I7).
 *
 * @module
 */
import type { MetricsAddress } from "../config/metrics_address.ts";
import { quote } from "../../pipeline/limits/units.ts";
import { CONTENT_TYPES, type ExpositionFormat, formatFor } from "./exposition.ts";

/** At a time; who comes when there are so many is turned away. */
export const CONNECTIONS_MAX = 16;
const HEAD_BYTES_MAX = 8192;
/** From the first byte to the last. */
const EXCHANGE_MS_MAX = 10_000;

export class MetricsServer {
  private readonly listener: Deno.TcpListener;
  private readonly render: (format: ExpositionFormat) => Uint8Array | Promise<Uint8Array>;
  private readonly exchangeMsMax: number;
  private readonly open = new Set<Deno.TcpConn>();
  private readonly accepting: Promise<void>;
  /** Connections that were turned away. */
  refused = 0;

  /**
   * @param exchangeMsMax For tests.
   * @throws {Error} Of Deno.listen: the address is in use, or not this machine's.
   */
  constructor(
    address: MetricsAddress,
    render: (format: ExpositionFormat) => Uint8Array | Promise<Uint8Array>,
    exchangeMsMax = EXCHANGE_MS_MAX,
  ) {
    this.render = render;
    this.exchangeMsMax = exchangeMsMax;
    this.listener = Deno.listen({ ...address, transport: "tcp" });
    this.accepting = this.accept();
  }

  get port(): number {
    return this.listener.addr.port;
  }

  private async accept(): Promise<void> {
    for (;;) {
      let connection: Deno.TcpConn;
      try {
        connection = await this.listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // It is closed.
        // Without a free descriptor, say: nothing to do but to wait.
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      if (this.open.size >= CONNECTIONS_MAX) {
        this.refused++;
        connection.close();
      } else void this.serve(connection);
    }
  }

  private async serve(connection: Deno.TcpConn): Promise<void> {
    this.open.add(connection);
    const timer = setTimeout(() => this.end(connection), this.exchangeMsMax);
    try {
      const head = await readHead(connection);
      if (head !== undefined) await writeAll(connection, await this.answer(head));
    } catch {
      // It has gone, or its time is over.
    } finally {
      clearTimeout(timer);
      this.end(connection);
    }
  }

  private async answer(head: string): Promise<Uint8Array> {
    const [line = "", ...headers] = head.split("\r\n");
    const [method, target = ""] = line.split(" ");
    const path = target.replace(/\?.*$/, "");
    if (method !== "GET" && method !== "HEAD") {
      return response(405, "text/plain", `expected GET, not ${quote(method ?? "")}\n`);
    }
    if (path !== "/metrics") {
      return response(404, "text/plain", `expected /metrics, not ${quote(path)}\n`);
    }
    const accept = headers.find((header) => /^accept:/i.test(header)) ?? null;
    const format = formatFor(accept);
    return response(200, CONTENT_TYPES[format], await this.render(format), method === "HEAD");
  }

  private end(connection: Deno.TcpConn): void {
    if (!this.open.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // It was closed by itself.
    }
  }

  /** Ends it all at once. */
  async close(): Promise<void> {
    this.listener.close();
    for (const connection of [...this.open]) this.end(connection);
    await this.accepting;
  }
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  404: "Not Found",
  405: "Method Not Allowed",
};

function response(
  status: number,
  type: string,
  content: string | Uint8Array,
  isHeadOnly = false,
): Uint8Array {
  const encoder = new TextEncoder();
  const body = typeof content === "string" ? encoder.encode(content) : content;
  const head = encoder.encode(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: ${type}\r\n` +
      `Content-Length: ${body.length}\r\nX-Content-Type-Options: nosniff\r\n` +
      "Connection: close\r\n\r\n",
  );
  if (isHeadOnly) return head;
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/** Up to the blank line. @returns undefined: it is no request, or too long. */
async function readHead(connection: Deno.TcpConn): Promise<string | undefined> {
  const buffer = new Uint8Array(HEAD_BYTES_MAX);
  const decoder = new TextDecoder();
  for (let length = 0; length < buffer.length;) {
    const count = await connection.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    const text = decoder.decode(buffer.subarray(0, length));
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) return text.slice(0, end);
  }
  return undefined;
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}
