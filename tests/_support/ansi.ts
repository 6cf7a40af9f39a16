/**
 * A terminal as far as `toom top` writes to one: cells, a cursor, SGR.
 *
 * @module
 */

export class AnsiTerminal {
  readonly columns: number;
  readonly rows: number;
  readonly cells: string[];
  readonly styles: string[];
  private row = 0;
  private column = 0;
  private style = "0";

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.cells = Array<string>(columns * rows).fill(" ");
    this.styles = Array<string>(columns * rows).fill("0");
  }

  /** @throws {Error} For a sequence that it does not know. */
  write(text: string): void {
    // deno-lint-ignore no-control-regex
    for (const [part, sequence] of text.matchAll(/\u001b\[([\d;?]*[A-Za-z])|./gsu)) {
      if (sequence === undefined) this.put(part);
      else this.obey(sequence);
    }
  }

  private put(character: string): void {
    if (this.column >= this.columns) throw new Error(`beyond the edge of row ${this.row}`);
    const cell = this.row * this.columns + this.column++;
    this.cells[cell] = character;
    this.styles[cell] = this.style;
  }

  private obey(sequence: string): void {
    const numbers = sequence.slice(0, -1).split(";").map(Number);
    switch (sequence.at(-1)) {
      case "H":
        this.row = (numbers[0] || 1) - 1;
        this.column = (numbers[1] ?? 1) - 1;
        break;
      case "J":
        this.cells.fill(" ");
        this.styles.fill("0");
        break;
      case "m":
        this.style = sequence.slice(0, -1);
        break;
      default:
        throw new Error(`unknown sequence ${JSON.stringify(sequence)}`);
    }
  }

  line(row: number): string {
    return this.cells.slice(row * this.columns, (row + 1) * this.columns).join("").trimEnd();
  }
}
