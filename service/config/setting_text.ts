/**
 * A setting as it is shown to those who ask.
 *
 * @module
 */
import type { ConfigPath } from "./options.ts";

/** @param written As a file has it. What may be a secret is left out. */
export function settingText(path: ConfigPath, written: unknown): string {
  if (typeof written !== "object" || written === null) return String(written);
  return JSON.stringify(path === "notify.webhook" ? withoutSecrets(written) : written);
}

/** Of an address only the machine: its path is often all that keeps others from posting there. */
function withoutSecrets(written: object): object {
  const { url } = written as { readonly url?: unknown };
  if (typeof url !== "string" || !URL.canParse(url)) return written;
  const { origin, href } = new URL(url);
  return { ...written, url: href === `${origin}/` ? origin : `${origin}/...` };
}
