/**
 * A mail about an event: headers and text, for sendmail -t. What users can name stands in them as data: a
 * value never ends a line, so that it can be neither a header nor a line of its own. RFC 5322, RFC 2047.
 *
 * @module
 */
import { escapeJsonLine, formatBytes } from "../../pipeline/limits/units.ts";
import type { MailSetting } from "../config/notify_settings.ts";
import { formatText } from "../journal/format.ts";
import type { JournalEntry } from "../journal/journal.ts";

export interface MailFacts {
  readonly host: string;
  readonly pageBytes: number;
  /** Events of this user of which there was no mail since the last one. */
  readonly heldBack: number;
}

const SUBJECT = "toom on {host}: {event} {user}";
const BODY = "{what}\n\nAt {ts} on {host}.\n{more}";
/** Longer values are cut: a line has 998 bytes at most. */
const VALUE_CHARACTERS_MAX = 200;
const WHAT_CHARACTERS_MAX = 700;
const SUBJECT_CHARACTERS_MAX = 200;
/** Names that can stand in an address. */
const ADDRESS_NAME = /^[A-Za-z0-9_][\w.-]{0,63}$/;
/** Bytes of an encoded word's content, a multiple of 3: with its frame it is shorter than 75 characters. */
const WORD_BYTES = 42;

/** @returns undefined: there is nobody to send it to, as the user's name is not known or is none for it. */
export function mailText(
  setting: MailSetting,
  entry: JournalEntry,
  facts: MailFacts,
): string | undefined {
  const values = valuesOf(entry, facts);
  const to = addresses(setting.to, entry);
  const [from] = addresses([setting.from], entry);
  if (to.length === 0 || from === undefined) return undefined;
  const subject = filled(setting.subject ?? SUBJECT, values).slice(0, SUBJECT_CHARACTERS_MAX)
    .trim();
  return [
    `From: ${from}`,
    `To: ${to.join(", ")}`,
    `Subject: ${headerText(subject)}`,
    `Date: ${dateText(entry.at)}`,
    `Message-ID: <${entry.number}.${entry.at.getTime()}.toom@${hostText(facts.host)}>`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    // So that nobody answers that he is on holiday. RFC 3834
    "Auto-Submitted: auto-generated",
    "",
    filled(setting.body ?? BODY, values),
    "",
  ].join("\n");
}

/** What can be put in place of `{name}`: each on one line. */
function valuesOf(
  { number, at, event }: JournalEntry,
  facts: MailFacts,
): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const put = (name: string, value: unknown, charactersMax = VALUE_CHARACTERS_MAX): void =>
    void values.set(name, escapeJsonLine(String(value)).slice(0, charactersMax));
  const fields: Record<string, unknown> = { number, ts: at.toISOString(), ...event };
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === "object") continue;
    put(name, value);
    if (typeof value === "number" && name.endsWith("Pages")) {
      put(name.replace(/Pages$/, ""), formatBytes(value * facts.pageBytes));
    }
  }
  if (!values.has("user")) put("user", "uid" in event ? `uid ${event.uid}` : "");
  put("host", facts.host);
  put("what", formatText(event), WHAT_CHARACTERS_MAX);
  put("heldBack", facts.heldBack);
  const id = "id" in event ? `See "toom kills show ${event.id}" for the receipt. ` : "";
  const held = facts.heldBack === 0
    ? ""
    : `There were ${facts.heldBack} more of this user since the last mail.`;
  put("more", `${id}${held}`);
  return values;
}

/** A name that nobody knows is left empty. */
function filled(template: string, values: ReadonlyMap<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name) => values.get(name) ?? "");
}

function addresses(templates: readonly string[], { event }: JournalEntry): readonly string[] {
  const user = "user" in event ? event.user : null;
  return templates.flatMap((template) => {
    if (!template.includes("{user}")) return [template];
    if (user === null || !ADDRESS_NAME.test(user)) return [];
    return [template.replaceAll("{user}", user)];
  });
}

/** A header's value: as it is, or in encoded words. */
function headerText(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !text.includes("=?")) return text;
  const words: string[] = [];
  let word: number[] = [];
  const encoder = new TextEncoder();
  const end = (): void => {
    words.push(`=?utf-8?B?${btoa(String.fromCharCode(...word))}?=`);
    word = [];
  };
  // No character is parted.
  for (const character of text) {
    const bytes = encoder.encode(character);
    if (word.length + bytes.length > WORD_BYTES) end();
    word.push(...bytes);
  }
  end();
  return words.join("\n ");
}

/** `Sat, 28 Nov 2026 01:45:00 +0000` */
function dateText(at: Date): string {
  return at.toUTCString().replace("GMT", "+0000");
}

function hostText(host: string): string {
  return host.replace(/[^\w.-]/g, "-") || "localhost";
}
