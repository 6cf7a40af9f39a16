/** A column of a table for people. */
export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
}

/**
 * Lays rows out under their titles, two blanks between columns.
 *
 * @returns One line for the titles, then one a row; none ends in a blank.
 */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): readonly string[] {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ text }) => text(row))),
  ];
  const widths = columns.map((_, index) =>
    cells.reduce((width, line) => Math.max(width, line[index]!.length), 0)
  );
  return cells.map((line) =>
    line.map((cell, index) =>
      columns[index]!.right === true ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)
    ).join("  ").trimEnd()
  );
}
