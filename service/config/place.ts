/**
 * Places in files, and what is wrong there.
 *
 * @module
 */
import { escapeJsonLine, quote } from "../../pipeline/limits/units.ts";

/** Line and column from 1, as editors count. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something that keeps a configuration from being used. */
export interface ConfigProblem {
  readonly file: string;
  /** undefined: it is about the file as a whole. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** Of the setting, `tracing.readers`; empty: the file itself. */
  readonly path: string;
  /** What was expected, and what is there. */
  readonly message: string;
  /** It may be right a minute later: a directory did not answer. */
  readonly isPassing?: true;
  /** Somebody is named who is not there; without what is said of that one, the rest can be in force. */
  readonly isAbsent?: true;
}

/** One line: `/etc/toom/config.jsonc:12:5: limits.bob: expected …`. */
export function problemLine({ file, line, column, path, message }: ConfigProblem): string {
  const where = line === undefined ? file : `${file}:${line}:${column}`;
  return escapeJsonLine(`${where}: ${path === "" ? "" : `${path}: `}${message}`);
}

/** `/etc/toom/config.jsonc:12`. */
export function placeText({ file, line }: Place): string {
  return escapeJsonLine(`${file}:${line}`);
}

/** `limits.bob.hard`; keys that are no words are quoted. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((key) => {
    const word = String(key);
    return /^[\w$@*:.-]{1,80}$/.test(word) ? word : quote(word);
  }).join(".");
}

/** Finds lines and columns of offsets in a text. */
export class Lines {
  private readonly file: string;
  /** Offset of each line's first character. */
  private readonly starts: readonly number[];

  constructor(file: string, text: string) {
    this.file = file;
    this.starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  }

  /** @param offset In UTF-16 units, as those of strings. */
  placeOf(offset: number): Place {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: offset - this.starts[low]! + 1 };
  }
}
