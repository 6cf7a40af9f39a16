/**
 * The decoder's tables from the kernel's texts, in the worker that decodes.
 *
 * @module
 */
import { parseEventFormat, parseHeaderPage } from "../kernel/trace/formats.ts";
import { makeRawFormats, type RawFormats } from "../kernel/trace/raw_parser.ts";
import type { FormatTexts } from "./protocol.ts";

export function rawFormats(config: { formats: FormatTexts; pageBytes: number }): RawFormats {
  const { formats, pageBytes } = config;
  const optional = (text: string | undefined): ReturnType<typeof parseEventFormat> | undefined =>
    text === undefined ? undefined : parseEventFormat(text);
  return makeRawFormats({
    headerPage: parseHeaderPage(formats.headerPage),
    rssStat: parseEventFormat(formats.rssStat),
    newTask: optional(formats.newTask),
    exec: optional(formats.exec),
    exit: optional(formats.exit),
    free: optional(formats.free),
    oomVictim: optional(formats.oomVictim),
    pageBytes,
  });
}
