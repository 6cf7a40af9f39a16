/**
 * HTTP on a socket that listens already: what `Deno.serve` cannot do. Loaded only when it is needed,
 * as Node's modules cost some megabytes.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import type { ControlListener } from "./control_server.ts";

/**
 * Answers requests on a descriptor.
 *
 * @param fd A stream socket that listens; belongs to the server from now on.
 * @param handler Must not throw.
 * @returns When it listens.
 */
export async function serveDescriptor(
  fd: number,
  handler: (request: Request) => Promise<Response>,
): Promise<ControlListener> {
  const { createServer } = await import("node:http");
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const response = await handler(requestOf(incoming));
      const body = new Uint8Array(await response.arrayBuffer());
      outgoing.writeHead(response.status, {
        ...Object.fromEntries(response.headers),
        "content-length": body.length,
      });
      outgoing.end(body);
    })().catch(() => outgoing.destroy()); // The client has gone.
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ fd }, resolve);
  });
  return {
    end: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function requestOf(incoming: IncomingMessage): Request {
  const method = incoming.method ?? "GET";
  const hasBody = method !== "GET" && method !== "HEAD";
  const chunks = incoming[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller): Promise<void> {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(new Uint8Array(value as Uint8Array));
    },
    async cancel(): Promise<void> {
      await chunks.return?.();
    },
  });
  return new Request(new URL(incoming.url ?? "/", "http://localhost"), {
    method,
    ...(hasBody ? { body } : {}),
  });
}
