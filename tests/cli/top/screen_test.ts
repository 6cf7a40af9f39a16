/** Only what has changed is written, and it is right. */
import { assert, assertEquals } from "@std/assert";
import { Screen, Style } from "../../../cli/top/screen.ts";
import { AnsiTerminal } from "../../_support/ansi.ts";
import { Random } from "../../_support/random.ts";

const STYLES = [Style.plain, Style.bold, Style.reverse, Style.bad];

function randomScreen(random: Random, columns: number, rows: number, before?: Screen): Screen {
  const screen = new Screen(columns, rows);
  for (let row = 0; row < rows; row++) screen.put(row, 0, before?.line(row) ?? "");
  for (let count = 0; count < 6; count++) {
    const style = STYLES[random.below(STYLES.length)]!;
    const text = [
      "x",
      "bar ███",
      "a b",
      "a longer text that runs over the edge",
      " ",
    ][random.below(5)]!;
    screen.put(random.below(rows), random.below(columns), text, style);
  }
  return screen;
}

Deno.test("a terminal that gets all differences shows what was drawn, whatever was drawn", () => {
  const random = new Random(7);
  for (let run = 0; run < 30; run++) {
    const [columns, rows] = [10 + random.below(30), 2 + random.below(6)];
    const terminal = new AnsiTerminal(columns, rows);
    let before: Screen | undefined;
    for (let frame = 0; frame < 20; frame++) {
      const screen = randomScreen(random, columns, rows, before);
      terminal.write(screen.difference(before, true));
      for (let row = 0; row < rows; row++) {
        assertEquals(terminal.line(row), screen.line(row), `run ${run}, frame ${frame}`);
      }
      assertEquals(screen.difference(screen, true), "");
      before = screen;
    }
  }
});

Deno.test("a number that has changed costs some bytes, not a screen", () => {
  const draw = (number: string): Screen => {
    const screen = new Screen(80, 24);
    for (let row = 0; row < 24; row++) screen.put(row, 0, "a line that stays as it is");
    screen.put(12, 30, number, Style.bold);
    return screen;
  };
  const change = draw("124").difference(draw("123"), true);
  assert(change.length < 24, JSON.stringify(change));
  assert(!change.includes("\u001b[2J"), "nothing is cleared");
  assert(
    draw("1").difference(new Screen(79, 24), true).includes("\u001b[2J"),
    "after a resize all is",
  );
});

Deno.test("NO_COLOR: no sequence sets a colour, and red is told from plain all the same", () => {
  const screen = new Screen(20, 2);
  screen.put(0, 0, "bad", Style.bad);
  screen.put(1, 0, "fine", Style.good);
  const plain = screen.difference(undefined, false);
  // deno-lint-ignore no-control-regex
  assert(!/\u001b\[[\d;]*3[0-7]m/.test(plain), JSON.stringify(plain));
  assert(plain.includes("\u001b[0;1;7mbad"), JSON.stringify(plain));
  assert(screen.difference(undefined, true).includes("\u001b[0;31mbad"));
});

Deno.test("what takes two cells, or none, takes one", () => {
  const screen = new Screen(20, 1);
  const end = screen.put(0, 0, "a\u001b[2Jb\u0301漢字é");
  assertEquals(screen.line(0), "a?[2Jb???é");
  assertEquals(end, 10);
});
