/**
 * Who may see the page: whoever has the token, and no other page of the same browser.
 *
 * The token comes in a header that only the page itself sets. Not as a cookie: a browser sends cookies
 * to every port of a host, so on a machine of many users each of them could have it sent to a port of
 * its own.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";

/** An answer that nothing but the page itself may use, and in which nothing but its own files run. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=()",
  "cache-control": "no-store",
};

/** Names that mean this machine, whatever a name server says: RFC 6761 6.3. */
const OWN_NAMES = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Whether a request is meant for this server. A page of elsewhere whose name was made to lead here (DNS
 * rebinding) names itself in Host.
 *
 * @param host Header Host. A web server before this one says localhost, as nginx does by itself.
 */
export function isOwnHost(host: string | null): boolean {
  return host !== null && OWN_NAMES.test(host);
}

/**
 * Whether a browser says that another page asks. Who is no browser says nothing.
 *
 * @param headers Of the request.
 */
export function isOtherOrigin(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  if (origin === null) return false;
  const host = headers.get("host")?.toLowerCase();
  return origin.toLowerCase() !== `http://${host}` && origin.toLowerCase() !== `https://${host}`;
}

/** Whether the header Authorization has the token; compared in the same time, whatever it is. */
export function hasToken(headers: Headers, token: string): boolean {
  const given = /^Bearer ([\w-]{1,200})$/.exec(headers.get("authorization") ?? "")?.[1];
  if (given === undefined) return false;
  const encoder = new TextEncoder();
  const [a, b] = [encoder.encode(given), encoder.encode(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
