/**
 * The terminal of `toom top`: another screen, keys as they are pressed, and everything as it was at the
 * end, whatever the end is.
 *
 * @module
 */

const ESC = "\u001b[";
/** Another screen, no cursor, no wrapping. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
const LEAVE = `${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`;

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Enter it, and leave it in a `finally`. */
export class Terminal {
  private isEntered = false;
  private readonly encoder = new TextEncoder();

  /** Takes the terminal over. */
  enter(): void {
    if (this.isEntered) return;
    this.isEntered = true;
    // Ctrl-C comes as a key, so that the end is always the same.
    Deno.stdin.setRaw(true);
    this.write(ENTER);
  }

  /** Gives it back as it was. */
  leave(): void {
    if (!this.isEntered) return;
    this.isEntered = false;
    try {
      this.write(LEAVE);
    } catch {
      // It has gone.
    }
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // So has its keyboard.
    }
  }

  /** Waits until the terminal has taken it. @throws {Error} When it is gone. */
  write(text: string): void {
    let bytes = this.encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  }

  size(): Size {
    try {
      const { columns, rows } = Deno.consoleSize();
      return { columns, rows };
    } catch {
      return { columns: 80, rows: 24 };
    }
  }
}
