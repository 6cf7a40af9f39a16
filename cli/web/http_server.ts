/**
 * HTTP/1.1 for the page. A server of its own, because on loopback whoever is on the machine may connect:
 * few connections at a time, one request each, and each is over within some seconds, but for streams that
 * are read. When there are too many, the oldest that nobody has been let in on makes room, so that nobody
 * keeps out who may see the page (I7).
 *
 * @module
 */

/** At a time: of some browsers, each with some of its own. */
export const CONNECTIONS_MAX = 96;
const HEAD_BYTES_MAX = 8192;
/**
 * From the connection to the last byte of an answer. Browsers connect before they ask, and take their time on
 * a busy machine; that nobody can use up the connections is not for this to see to.
 */
const EXCHANGE_MS_MAX = 60_000;
/** Bytes that are written at a time. */
const CHUNK_BYTES = 65_536;
/** After an error of accept, such as that there is no descriptor. */
const REST_MS = 100;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  421: "Misdirected Request",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

type Conn = Deno.TcpConn | Deno.UnixConn;
export type Answer = (request: Request) => Promise<Response>;

interface Connection {
  readonly conn: Conn;
  /** It was shown what not everybody may see. */
  isLetIn: boolean;
}

export class HttpServer {
  private readonly listener: Deno.TcpListener | Deno.UnixListener;
  private readonly answer: Answer;
  private readonly exchangeMsMax: number;
  /** In the order in which they have come. */
  private readonly open = new Set<Connection>();
  private readonly accepting: Promise<void>;
  private readonly serving = new Set<Promise<void>>();

  /**
   * @param listener Closed at the end.
   * @param answer Must not reject.
   * @param exchangeMsMax For tests.
   */
  constructor(
    listener: Deno.TcpListener | Deno.UnixListener,
    answer: Answer,
    exchangeMsMax = EXCHANGE_MS_MAX,
  ) {
    this.listener = listener;
    this.answer = answer;
    this.exchangeMsMax = exchangeMsMax;
    this.accepting = this.accept();
  }

  /** Connections that are open. */
  get size(): number {
    return this.open.size;
  }

  private async accept(): Promise<void> {
    for (;;) {
      let conn: Conn;
      try {
        conn = await this.listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return; // It is closed.
        await new Promise((resolve) => setTimeout(resolve, REST_MS));
        continue;
      }
      const connection = { conn, isLetIn: false };
      if (this.open.size >= CONNECTIONS_MAX) {
        const oldest = [...this.open].find(({ isLetIn }) => !isLetIn);
        this.end(oldest ?? connection);
        if (oldest === undefined) continue;
      }
      this.open.add(connection);
      const served = this.serve(connection).finally(() => this.serving.delete(served));
      this.serving.add(served);
    }
  }

  private async serve(connection: Connection): Promise<void> {
    const { conn } = connection;
    const timer = setTimeout(() => this.end(connection), this.exchangeMsMax);
    try {
      const head = await readHead(conn);
      if (head === undefined) return;
      const request = requestOf(head);
      if (request === undefined) {
        await writeAll(conn, headOf(new Response(null, { status: 400 }), 0));
        return;
      }
      const response = await this.answer(request);
      connection.isLetIn = response.ok && new URL(request.url).pathname.startsWith("/api/");
      if (response.headers.get("content-type") === "text/event-stream") {
        clearTimeout(timer);
        await writeAll(conn, headOf(response));
        await this.stream(connection, response.body!);
        return;
      }
      const body = await response.bytes();
      await writeAll(conn, headOf(response, body.length));
      if (request.method !== "HEAD") await writeAll(conn, body);
    } catch {
      // It has gone, or its time is over.
    } finally {
      clearTimeout(timer);
      this.end(connection);
    }
  }

  /** Until one of both ends it. */
  private async stream(connection: Connection, body: ReadableStream<Uint8Array>): Promise<void> {
    const { conn } = connection;
    const reader = body.getReader();
    // What is written waits for who does not read; the stream's own end must not.
    reader.closed.catch(() => this.end(connection));
    const gone = conn.read(new Uint8Array(1)).catch(() => null).then(() => reader.cancel());
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        await writeAll(conn, value);
      }
    } finally {
      this.end(connection);
      await reader.cancel().catch(() => {});
      await gone.catch(() => {});
    }
  }

  private end(connection: Connection): void {
    this.open.delete(connection);
    try {
      connection.conn.close();
    } catch {
      // It was closed by itself.
    }
  }

  /** Ends it all at once. */
  async close(): Promise<void> {
    this.listener.close();
    for (const connection of [...this.open]) this.end(connection);
    await this.accepting;
    await Promise.all(this.serving);
  }
}

/** Up to the blank line. @returns undefined: it is no request, or too long. */
async function readHead(conn: Conn): Promise<string | undefined> {
  const buffer = new Uint8Array(HEAD_BYTES_MAX);
  const decoder = new TextDecoder();
  for (let length = 0; length < buffer.length;) {
    const count = await conn.read(buffer.subarray(length));
    if (count === null) return undefined;
    length += count;
    const text = decoder.decode(buffer.subarray(0, length));
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) return text.slice(0, end);
  }
  return undefined;
}

/** With a path, or as a client sends it through a proxy, RFC 9112 3.2. @returns undefined: it is not HTTP. */
function requestOf(head: string): Request | undefined {
  const [line = "", ...lines] = head.split("\r\n");
  const [, method, target] =
    /^([A-Z]{1,20}) (?:http:\/\/[^/ ]*)?(\/\S*) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (target === undefined) return undefined;
  try {
    const headers = lines.map((one): [string, string] => {
      const at = one.indexOf(":");
      return [one.slice(0, at), one.slice(at + 1).trim()];
    });
    return new Request(`http://localhost${target}`, { method: method!, headers });
  } catch {
    return undefined; // A header or a method that is none.
  }
}

/** @param bytes Of the body; left out: until the end of the connection. */
function headOf({ status, headers }: Response, bytes?: number): Uint8Array {
  const lines = [...headers].map(([name, value]) => `${name}: ${value}`);
  if (bytes !== undefined) lines.push(`content-length: ${bytes}`);
  lines.push("connection: close");
  const text = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n`;
  return new TextEncoder().encode(text);
}

async function writeAll(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += await conn.write(bytes.subarray(done, done + CHUNK_BYTES));
  }
}
