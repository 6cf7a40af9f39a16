/**
 * The decoder's tables from the kernel's texts, in the worker that decodes.
 *
 * @module
 */
import { parseEventFormat, parseHeaderPage } from "./formats.ts";
import { makeRawFormats, type RawFormats } from "./raw_parser.ts";

/** Texts of the kernel's own descriptions of its events, by what toom calls them. */
export interface FormatTexts {
  readonly headerPage: string;
  readonly rssStat: string;
  readonly newTask: string;
  readonly exec: string;
  readonly exit: string;
  readonly free: string;
  /** Absent where the kernel has no such event. */
  readonly oomVictim: string | undefined;
}

/** @throws {Error} When pages of this kernel cannot be decoded; the message says why. */
export function rawFormats(formats: FormatTexts, pageBytes: number): RawFormats {
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
