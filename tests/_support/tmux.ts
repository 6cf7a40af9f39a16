/**
 * A real terminal: tmux.
 *
 * @module
 */
import { assert } from "@std/assert";
import { hasFile } from "./real_kernel.ts";

/** undefined: there is none. */
export const TMUX = ["/usr/bin/tmux", "/usr/local/bin/tmux"].find(hasFile);

/** A tmux server of its own, with one shell. */
export class Tmux implements AsyncDisposable {
  private readonly socketPath: string;

  constructor(dirPath: string) {
    this.socketPath = `${dirPath}/tmux`;
  }

  async run(...args: string[]): Promise<string> {
    const { stdout } = await new Deno.Command(TMUX!, {
      args: ["-S", this.socketPath, "-f", "/dev/null", ...args],
      env: { LC_ALL: "C.UTF-8", TERM: "xterm-256color" },
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  }

  async screen(): Promise<string[]> {
    return (await this.run("capture-pane", "-p")).split("\n");
  }

  async until(matches: (lines: string[]) => boolean, what: string): Promise<string[]> {
    const deadlineMs = performance.now() + 20_000;
    for (;;) {
      const lines = await this.screen();
      if (matches(lines)) return lines;
      assert(performance.now() < deadlineMs, `${what}; the screen:\n${lines.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run("kill-server");
  }
}
