/**
 * How far something is that takes long: a line on standard error that is written over, if that is a
 * terminal.
 *
 * @module
 */

const EVERY_MS = 100;
const BAR_CELLS = 24;

export class Progress {
  private readonly label: string;
  private readonly write: ((text: string) => void) | undefined;
  private readonly startedMs: number;
  private shownMs: number;
  private isShown = false;

  /** @param write Where to; undefined: nothing is shown. Default: standard error, if a terminal. */
  constructor(label: string, write = terminalWriter()) {
    this.label = label;
    this.write = write;
    this.startedMs = this.shownMs = performance.now();
  }

  /** @param share Of the whole, 0 to 1. */
  show(share: number): void {
    const { write } = this;
    if (write === undefined) return;
    const nowMs = performance.now();
    if (nowMs - this.shownMs < EVERY_MS) return;
    this.shownMs = nowMs;
    this.isShown = true;
    write(`\r${barText(this.label, share, (nowMs - this.startedMs) / 1000)}\x1b[K`);
  }

  /** A text in place of a bar. */
  say(text: string): void {
    const { write } = this;
    const nowMs = performance.now();
    if (write === undefined || nowMs - this.shownMs < EVERY_MS) return;
    this.shownMs = nowMs;
    this.isShown = true;
    write(`\r${this.label} ${text}\x1b[K`);
  }

  /** Leaves nothing of it on the line. */
  end(): void {
    if (this.isShown) this.write?.("\r\x1b[K");
    this.isShown = false;
  }
}

/** A bar with the time that is left, as far as can be told. */
export function barText(label: string, share: number, seconds: number): string {
  const part = Math.min(1, Math.max(0, share));
  const cells = Math.round(part * BAR_CELLS);
  const bar = "#".repeat(cells) + "-".repeat(BAR_CELLS - cells);
  const left = part > 0.02 ? `, ${Math.ceil(seconds / part - seconds)} s left` : "";
  return `${label} [${bar}] ${Math.floor(part * 100)} %${left}`;
}

function terminalWriter(): ((text: string) => void) | undefined {
  if (!Deno.stderr.isTerminal()) return undefined;
  return (text) => void Deno.stderr.writeSync(new TextEncoder().encode(text));
}
