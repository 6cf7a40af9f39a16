/**
 * Where metrics are served besides the control socket.
 *
 * @module
 */
import { FormatError, quote } from "../../pipeline/limits/units.ts";

export interface MetricsAddress {
  /** An IP address. */
  readonly hostname: string;
  /** 1 to 65535; 0: any that is free. */
  readonly port: number;
}

const LOOPBACK = "127.0.0.1";

/**
 * Reads `9184`, `:9184`, `127.0.0.1:9184`, `[::1]:9184`, `0.0.0.0:9184`: who wants others to see it has
 * to say so.
 *
 * @throws {FormatError}
 */
export function parseMetricsAddress(text: string): MetricsAddress {
  const match = /^(?:(\d{1,3}(?:\.\d{1,3}){3})?:|\[([\da-fA-F:.]+)\]:|)(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const bytes = match?.[1]?.split(".").map(Number) ?? [];
  if (match === null || port < 1 || port > 65_535 || bytes.some((byte) => byte > 255)) {
    throw new FormatError(
      `expected a port such as 9184, or an IP address and a port such as 127.0.0.1:9184 or ` +
        `[::1]:9184, not ${quote(text)}`,
    );
  }
  return { hostname: match[1] ?? match[2] ?? LOOPBACK, port };
}
