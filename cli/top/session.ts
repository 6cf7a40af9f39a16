/**
 * A screen that is drawn again and again, and whose keys change what it shows: from the moment that it
 * takes the terminal over to the one that gives it back, however it ends.
 *
 * @module
 */
import type { Listed, ListState } from "./list_state.ts";
import type { Screen } from "./screen.ts";
import { Terminal } from "./terminal.ts";

/** Signals that end it; the terminal is put back first. */
const ENDS = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;

export interface SessionView {
  readonly state: ListState<Listed, string>;
  /**
   * Asks for what is shown, and never throws: what went wrong is the state's `problem`. What takes long
   * draws how far it is, and ends when the state is over.
   */
  readonly ask: (redraw: () => void) => Promise<void>;
  readonly draw: (columns: number, rows: number) => Screen;
}

export class Session {
  private readonly view: SessionView;
  private readonly terminal = new Terminal();
  private readonly hasColor = (Deno.env.get("NO_COLOR") ?? "") === "";
  private shown: Screen | undefined;
  private wake: () => void = () => {};

  constructor(view: SessionView) {
    this.view = view;
  }

  /** Until a key, a signal or the end of the terminal ends it. */
  async run(): Promise<void> {
    const { state, ask } = this.view;
    const end = (): void => {
      state.isOver = true;
      this.wake();
    };
    const resize = (): void => {
      this.shown = undefined;
      this.draw();
    };
    for (const signal of ENDS) Deno.addSignalListener(signal, end);
    Deno.addSignalListener("SIGWINCH", resize);
    state.keepCursor();
    let keys: ReadableStreamDefaultReader<Uint8Array> | undefined;
    try {
      this.terminal.enter();
      keys = Deno.stdin.readable.getReader();
      void this.readKeys(keys, end);
      while (!state.isOver) {
        if (state.isStale) await ask(() => this.draw());
        this.draw();
        if (!state.isOver) await this.pause(state.refreshMs);
      }
    } finally {
      this.terminal.leave();
      for (const signal of ENDS) Deno.removeSignalListener(signal, end);
      Deno.removeSignalListener("SIGWINCH", resize);
      void keys?.cancel().catch(() => {});
    }
  }

  private async readKeys(
    keys: ReadableStreamDefaultReader<Uint8Array>,
    end: () => void,
  ): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { value, done } = await keys.read();
        if (done) break;
        const { state } = this.view;
        const { userUid, wishes } = state;
        state.input(decoder.decode(value, { stream: true }));
        this.draw();
        // Its processes are wanted now; so is the end.
        if (state.isOver || state.userUid !== userUid || state.wishes !== wishes) this.wake();
      }
    } catch {
      // The keyboard has gone.
    }
    end();
  }

  private draw(): void {
    const { state, draw } = this.view;
    if (state.isOver) return;
    const { columns, rows } = this.terminal.size();
    const screen = draw(columns, rows);
    const change = screen.difference(this.shown, this.hasColor);
    this.shown = screen;
    if (change === "") return;
    try {
      this.terminal.write(change);
    } catch {
      state.isOver = true;
      this.wake();
    }
  }

  private async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = () => {};
  }
}
