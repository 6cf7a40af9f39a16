/**
 * An event as fields of systemd's journal: `journalctl MESSAGE_ID=… TOOM_UID=60001` finds it.
 * systemd.journal-fields(7)
 *
 * @module
 */
import type { JournalEvent } from "./events.ts";

/** Of each kill, `sd_id128` as journalctl has it. Never changed: whoever looks for kills knows it. */
export const KILL_MESSAGE_ID = "3f1b6a0e5c7d4f2a9e8b0c4d7a615e92";

/** syslog(3) */
const Priority = { error: 3, warning: 4, notice: 5, info: 6 } as const;

const PRIORITIES: Readonly<Record<JournalEvent["event"], number>> = {
  ready: Priority.notice,
  limit: Priority.notice,
  soft: Priority.notice,
  kill: Priority.warning,
  killed: Priority.info,
  grace: Priority.notice,
  storm: Priority.warning,
  refused: Priority.notice,
  denied: Priority.notice,
  lost: Priority.warning,
  tampered: Priority.error,
  drift: Priority.info,
  degraded: Priority.warning,
  recovered: Priority.notice,
  "worker-restart": Priority.error,
  restart: Priority.error,
  "kernel-kill": Priority.warning,
  trigger: Priority.warning,
  config: Priority.notice,
  stop: Priority.notice,
  error: Priority.error,
  shed: Priority.warning,
};

/** Names and values; a value may hold anything. */
export type JournaldFields = readonly (readonly [name: string, value: string])[];

/** @param message The line for people. */
export function journaldFields(event: JournalEvent, message: string): JournaldFields {
  const fields: [string, string][] = [
    ["MESSAGE", message],
    ["PRIORITY", String(PRIORITIES[event.event])],
    ["SYSLOG_IDENTIFIER", "toom"],
  ];
  if (event.event === "kill") fields.push(["MESSAGE_ID", KILL_MESSAGE_ID]);
  for (const [name, value] of Object.entries(event)) {
    if (value === null) continue;
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    fields.push([fieldName(name), text]);
  }
  return fields;
}

/** `overshootBytes` is TOOM_OVERSHOOT_BYTES. */
export function fieldName(name: string): string {
  return `TOOM_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/**
 * The native protocol: a line `NAME=value` a field, or where the value has a line break, the name, its
 * length (u64, little endian) and the value. https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
 */
export function encodeJournald(fields: JournaldFields): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  for (const [name, value] of fields) {
    const bytes = encoder.encode(value);
    if (!value.includes("\n")) parts.push(encoder.encode(`${name}=`));
    else {
      const length = new DataView(new ArrayBuffer(8));
      length.setBigUint64(0, BigInt(bytes.length), true);
      parts.push(encoder.encode(`${name}\n`), new Uint8Array(length.buffer));
    }
    parts.push(bytes, encoder.encode("\n"));
  }
  const message = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}
