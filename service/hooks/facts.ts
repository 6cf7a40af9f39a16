/**
 * What a hook is told: the fields of what happened as `TOOM_*` variables, with earlyoom's names beside them,
 * and all of it as JSON. What users can name is data there, without control characters in variables.
 *
 * @module
 */
import { escapeJsonLine } from "../../pipeline/limits/units.ts";
import type { HookName } from "../config/notify_settings.ts";
import type { KillEvent } from "../journal/events.ts";
import type { JournalEntry } from "../journal/journal.ts";

export interface HookFacts {
  readonly env: Readonly<Record<string, string>>;
  readonly input: Uint8Array<ArrayBuffer>;
}

/** @param kill Of the victim that has ended, if the entry tells of one. */
export function hookFacts(
  hook: HookName,
  { number, at, event, receipt }: JournalEntry,
  pageBytes: number,
  kill?: KillEvent,
): HookFacts {
  const { event: _, ...killFields } = kill ?? { event: "kill" };
  const fields: Record<string, unknown> = {
    hook,
    number,
    ts: at.toISOString(),
    ...killFields,
    ...event,
  };
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || typeof value === "object") continue;
    env[variableName(name)] = variableText(value);
    if (name.endsWith("Pages") && typeof value === "number") {
      env[variableName(name.replace(/Pages$/, "Bytes"))] = String(value * pageBytes);
    }
  }
  const { pid, uid, comm } = fields;
  if (typeof pid === "number") env["EARLYOOM_PID"] = String(pid);
  if (typeof uid === "number") env["EARLYOOM_UID"] = String(uid);
  if (typeof comm === "string") env["EARLYOOM_NAME"] = earlyoomName(comm);
  const all = { ...fields, ...(receipt === undefined ? {} : { receipt }) };
  const input = new TextEncoder().encode(`${escapeJsonLine(JSON.stringify(all))}\n`);
  return { env, input };
}

/** `usagePages` is `TOOM_USAGE_PAGES`. */
function variableName(field: string): string {
  return `TOOM_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function variableText(value: unknown): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return escapeJsonLine(String(value));
}

/** As earlyoom makes names harmless. */
function earlyoomName(comm: string): string {
  return comm.replace(/[^\w./-]/g, "_");
}
