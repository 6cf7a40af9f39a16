/**
 * Where the page is served: a Unix socket, or a port of this machine alone.
 *
 * @module
 */
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import { parseSocketPath } from "./option_values.ts";

export type WebAddress =
  /** A loopback address. */
  | { readonly kind: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

const LOOPBACK = "127.0.0.1";
/**
 * A port that only root may take, so that no other user can wait there for the browser of somebody who
 * has the link. Nothing is registered for it.
 */
export const WEB_ADDRESS_DEFAULT = `${LOOPBACK}:984`;

/** Ports that root alone may bind, unless the machine says otherwise. ip(7), ip_unprivileged_port_start */
export const PRIVILEGED_PORTS_END = 1024;

/**
 * Reads `984`, `:984`, `127.0.0.1:984`, `localhost:984`, `[::1]:984`, or the path of a Unix socket.
 * Other machines are let in by a server before it that knows who they are, never by this.
 *
 * @throws {FormatError}
 */
export function parseWebAddress(text: string): WebAddress {
  if (text.includes("/")) return { kind: "unix", path: parseSocketPath(text) };
  const match = /^(?:(localhost|\d{1,3}(?:\.\d{1,3}){3})?:|\[([\da-fA-F:.]+)\]:|)(\d{1,5})$/
    .exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    throw new FormatError(
      "expected a port such as 984, an address of this machine alone such as 127.0.0.1:984 or " +
        `[::1]:984, or the path of a Unix socket, not ${quote(text)}`,
    );
  }
  const hostname = match[1] === "localhost" ? LOOPBACK : match[1] ?? match[2] ?? LOOPBACK;
  if (!isLoopback(hostname)) {
    throw new FormatError(
      `expected an address of this machine alone such as 127.0.0.1:${port} (others come by ssh -L, ` +
        `or through a web server before a Unix socket), not ${quote(text)}`,
    );
  }
  return { kind: "tcp", hostname, port };
}

function isLoopback(hostname: string): boolean {
  if (hostname === "::1") return true;
  const bytes = hostname.split(".").map(Number);
  return bytes.length === 4 && bytes[0] === 127 && bytes.every((byte) => byte <= 255);
}

/** As it is written, and shown to people. */
export function webAddressText(address: WebAddress): string {
  if (address.kind === "unix") return address.path;
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
