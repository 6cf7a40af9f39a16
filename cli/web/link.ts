/**
 * The link to the page, in a file for root alone, in the folder of the control socket.
 *
 * @module
 */

const TOKEN_BYTES = 24;
const FILE_MODE = 0o600;
const TOKEN = /^[\w-]{32}$/;
const NAME = "web.link";

/** Beside the control socket. */
export function linkPath(controlSocketPath: string): string {
  return controlSocketPath.replace(/[^/]*$/, NAME);
}

/** 192 random bits, fit for a URL. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** The token is in the part of the link that a browser keeps to itself: no request and no log has it. */
export function linkOf(origin: string, token: string): string {
  return `${origin}/#token=${token}`;
}

/** The link in the file; undefined: there is none, or somebody else could have read or written it. */
export function readLink(path: string): string | undefined {
  try {
    const { uid, mode, isFile } = Deno.lstatSync(path);
    if (!isFile || uid !== Deno.uid() || ((mode ?? 0) & 0o077) !== 0) return undefined;
    return Deno.readTextFileSync(path).trim();
  } catch {
    return undefined;
  }
}

/** The token of a link; undefined: it has none. */
export function tokenOf(link: string | undefined): string | undefined {
  const token = /#token=([^&]*)$/.exec(link ?? "")?.[1];
  return token !== undefined && TOKEN.test(token) ? token : undefined;
}

/**
 * Keeps a link: a new file takes the place of the old one, so nobody sees half of it, and nobody who
 * has put another file there has it.
 *
 * @throws {Error} Of Deno: there is no such folder, or no room.
 */
export function writeLink(path: string, link: string): void {
  const next = `${path}.next`;
  try {
    Deno.removeSync(next);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.writeTextFileSync(next, `${link}\n`, { mode: FILE_MODE, createNew: true });
  Deno.renameSync(next, path);
}

/** Whether somebody listens where the link leads: it outlives whoever has written it. */
export async function isServed(link: string): Promise<boolean> {
  try {
    const options = link.startsWith("http://")
      ? addressOf(new URL(link))
      : { transport: "unix" as const, path: link };
    const connection = options.transport === "unix"
      ? await Deno.connect(options)
      : await Deno.connect(options);
    connection.close();
    return true;
  } catch {
    return false;
  }
}

function addressOf({ hostname, port }: URL): Deno.ConnectOptions & { readonly transport: "tcp" } {
  return {
    transport: "tcp",
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? 80 : Number(port),
  };
}
