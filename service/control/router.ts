/**
 * Finds who answers a request, by its path and method. Paths are matched by the platform's URLPattern.
 *
 * @module
 */
import { quote } from "../../pipeline/limits/units.ts";

/** An answer other than the one that was hoped for. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Answers a request to a path. @param parts What the path's `:names` stand for. */
export type Handler<Context> = (
  context: Context,
  request: Request,
  parts: Readonly<Record<string, string>>,
) => Response | Promise<Response>;

/** A path, as URLPattern has it, and who answers each method there. */
export interface Route<Context> {
  readonly path: string;
  readonly methods: Readonly<Partial<Record<"GET" | "PUT" | "POST" | "DELETE", Handler<Context>>>>;
  /** undefined: always there. */
  readonly isThere?: (context: Context) => boolean;
}

/** Many routes, of which the first that fits answers. */
export class Router<Context> {
  private readonly routes: readonly (Route<Context> & { readonly pattern: URLPattern })[];

  constructor(routes: readonly Route<Context>[]) {
    this.routes = routes.map((route) => ({
      ...route,
      pattern: new URLPattern({ pathname: route.path }),
    }));
  }

  /** Each path with its methods, as they were given. */
  list(): readonly { readonly path: string; readonly methods: readonly string[] }[] {
    return this.routes.map(({ path, methods }) => ({ path, methods: Object.keys(methods) }));
  }

  /** @throws {RequestError} 404 when there is no such path, 405 when the method is not for it. */
  answer(context: Context, request: Request): Response | Promise<Response> {
    const path = new URL(request.url).pathname;
    for (const { pattern, methods, isThere } of this.routes) {
      const match = pattern.exec({ pathname: path });
      if (match === null || isThere?.(context) === false) continue;
      const handler = Object.entries(methods).find(([method]) => method === request.method)?.[1];
      if (handler === undefined) {
        const expected = Object.keys(methods).join(", ");
        throw new RequestError(405, `expected ${expected}, not ${quote(request.method)}`);
      }
      return handler(context, request, match.pathname.groups as Record<string, string>);
    }
    throw new RequestError(404, `expected one of the paths of the control API, not ${quote(path)}`);
  }
}
