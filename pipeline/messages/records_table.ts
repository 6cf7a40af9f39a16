/**
 * The format of the records as a document, made from their codecs.
 *
 * @module
 */
import { RECORD_BYTES } from "../memory/layout.ts";
import { CODECS } from "./records.ts";

/** docs/records.md, which a test compares with this. */
export function recordsDocument(): string {
  const lines = [
    "# Records",
    "",
    "Made from `pipeline/messages/records.ts` by `deno task docs`; not to be edited.",
    "",
    `A record has ${RECORD_BYTES} bytes: its time (f64, nanoseconds of CLOCK_MONOTONIC), kind and CPU`,
    "(u32: 8 bits and 24), and five signed words: tid, a, b, c, d. What is not named is 0.",
    "",
  ];
  for (const { kind, name, help, fields } of CODECS) {
    lines.push(`## ${kind}: ${name}`, "", `${help}.`, "");
    const rows = Object.entries(fields);
    if (rows.length === 0) continue;
    lines.push("| word | field | unit | what |", "| --- | --- | --- | --- |");
    for (const [field, { place, unit, help }] of rows) {
      lines.push(`| ${place} | \`${field}\` | ${unit} | ${help} |`);
    }
    lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}
