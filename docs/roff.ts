/**
 * Parts of a manual page. man(7)
 *
 * @module
 */
import { VERSION } from "../version.ts";

/** A line of text: what troff would take for its own is escaped, and words in backquotes are bold. */
export function roff(text: string): string {
  const escaped = text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("'", "\\(aq");
  const line = escaped.replace(/`([^`]*)`/g, "\\fB$1\\fR");
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

/** A heading and its text, indented. */
export function item(heading: string, body: string): readonly string[] {
  return [".TP", `.B ${roff(heading)}`, roff(body)];
}

/** How a page begins. @param section Such as 8. @param summary Without its full stop. */
export function pageHead(name: string, section: number, summary: string): readonly string[] {
  return [
    `.TH ${name.toUpperCase()} ${section} "" "toom ${VERSION}"`,
    '.\\" Made from the command table by deno task docs.',
    ".SH NAME",
    `${name.replaceAll("-", "\\-")} \\- ${roff(summary)}`,
  ];
}

/** Lines as they are, such as a command. */
export function verbatim(lines: readonly string[]): readonly string[] {
  return [".PP", ".nf", ".RS", ...lines.map(roff), ".RE", ".fi"];
}
