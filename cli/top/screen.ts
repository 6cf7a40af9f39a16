/**
 * A screen of cells. Of two screens, what differs is written and nothing else, so that nothing flickers
 * and a slow line is enough.
 *
 * @module
 */

/** How a cell looks; numbers of SGR, ECMA-48. */
export const Style = {
  plain: "0",
  bold: "0;1",
  dim: "0;2",
  reverse: "0;7",
  good: "0;32",
  warning: "0;33",
  bad: "0;31",
  title: "0;1;36",
} as const;
export type Style = typeof Style[keyof typeof Style];

/** Where NO_COLOR is set: what colours say is said by weight. https://no-color.org */
const WITHOUT_COLOR: Readonly<Record<string, string>> = {
  [Style.good]: "0",
  [Style.warning]: "0;1",
  [Style.bad]: "0;1;7",
  [Style.title]: "0;1",
};

const ESCAPE = "\u001b[";
/** A gap of unchanged cells that is written all the same, because moving costs as many bytes. */
const GAP_MAX = 4;

export class Screen {
  readonly columns: number;
  readonly rows: number;
  private readonly characters: string[];
  private readonly styles: string[];

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.characters = Array<string>(columns * rows).fill(" ");
    this.styles = Array<string>(columns * rows).fill(Style.plain);
  }

  /** Writes a text; what is beyond the edge is left out. @returns The column behind it. */
  put(row: number, column: number, text: string, style: Style = Style.plain): number {
    let at = column;
    for (const character of oneCellEach(text)) {
      if (at >= this.columns || row < 0 || row >= this.rows) break;
      if (at >= 0) {
        this.characters[row * this.columns + at] = character;
        this.styles[row * this.columns + at] = style;
      }
      at++;
    }
    return at;
  }

  /** Writes a text that fills the row. */
  fill(row: number, text: string, style: Style): void {
    this.put(row, 0, text.padEnd(this.columns), style);
  }

  /** A row as text, without blanks at its end. */
  line(row: number): string {
    return this.characters.slice(row * this.columns, (row + 1) * this.columns).join("").trimEnd();
  }

  /**
   * What turns a terminal that shows another screen into this one.
   *
   * @param before Of the same size; undefined: nothing is known of what it shows.
   */
  difference(before: Screen | undefined, hasColor: boolean): string {
    const isSame = before?.columns === this.columns && before.rows === this.rows;
    const known = isSame ? before : undefined;
    let out = known === undefined ? `${ESCAPE}0m${ESCAPE}2J` : "";
    let style = "";
    let cursor = -1;
    for (let cell = 0; cell < this.characters.length; cell++) {
      const isOld = known === undefined
        ? this.characters[cell] === " " && this.styles[cell] === Style.plain
        : known.characters[cell] === this.characters[cell] &&
          known.styles[cell] === this.styles[cell];
      if (isOld) continue;
      const isNear = cursor >= 0 && cell - cursor <= GAP_MAX && cursor % this.columns !== 0 &&
        Math.floor(cell / this.columns) === Math.floor(cursor / this.columns);
      if (!isNear && cell !== cursor) {
        const row = Math.floor(cell / this.columns) + 1;
        out += `${ESCAPE}${row};${cell % this.columns + 1}H`;
        cursor = cell;
      }
      for (; cursor <= cell; cursor++) {
        const wanted = this.styleOf(cursor, hasColor);
        if (wanted !== style) {
          style = wanted;
          out += `${ESCAPE}${style}m`;
        }
        out += this.characters[cursor];
      }
      // Behind the last column a terminal's cursor is nowhere certain.
      if (cursor % this.columns === 0) cursor = -1;
    }
    return out === "" ? "" : `${out}${ESCAPE}0m`;
  }

  private styleOf(cell: number, hasColor: boolean): string {
    const style = this.styles[cell]!;
    return hasColor ? style : WITHOUT_COLOR[style] ?? style;
  }
}

/** What takes one cell in every terminal: Latin, Greek, Cyrillic, and the blocks that bars are of. */
const ONE_CELL =
  /[\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u052f\u2022\u2026\u2190-\u2193\u2500-\u259f]/;

/** Characters of a text; those of another width, or of none, are shown as "?". */
function* oneCellEach(text: string): Generator<string> {
  for (const character of text) yield ONE_CELL.test(character) ? character : "?";
}
