/** `toom top` in a real terminal: tmux. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withControl } from "../../_support/fake_control.ts";
import { killRecord } from "../../_support/kill_entries.ts";
import { needing } from "../../_support/real_kernel.ts";
import { TMUX, Tmux } from "../../_support/tmux.ts";

const PROGRAM = new URL("../../../mod.ts", import.meta.url).pathname;

Deno.test(
  needing(
    TMUX !== undefined,
    "tmux",
    "toom top shows, resizes, obeys keys, and gives the terminal back",
  ),
  async () => {
    await withControl(async ({ dirPath, socketPath, backend }) => {
      backend.recentKills = [killRecord(1)];
      await using tmux = new Tmux(dirPath);
      await tmux.run("new-session", "-d", "-x", "80", "-y", "24", "sh");
      const type = (...keys: string[]): Promise<string> => tmux.run("send-keys", ...keys);
      const start = `'${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
        `--control-socket='${socketPath}'`;
      await type("PS1='$ '; clear; echo before", "Enter");
      await tmux.until((lines) => lines.includes("before"), "the shell is there");
      await type(start, "Enter");
      const first = await tmux.until((lines) => lines.join().includes("F10Quit"), "it starts");
      assertMatch(first[0]!, /^toom 0\.1\.0, up 1 h 2 min, source raw, 80\.0 MiB/);
      assertMatch(first[5]!, /^60001 +60001 +32\.0M +64\.0M +1\.0M +32s/);
      assert(first.some((line) => line.includes("pid 210 (hog)")), first.join("\n"));

      await type("u");
      await tmux.until((lines) => lines.join().includes("python3"), "processes are shown");
      await tmux.run("resize-window", "-x", "120", "-y", "40");
      const large = await tmux.until(
        (lines) => (lines[39] ?? "").includes("F10Quit"),
        "it resizes",
      );
      assertMatch(large[0]!, /^toom 0\.1\.0/);
      await tmux.run("resize-window", "-x", "60", "-y", "10");
      await tmux.until(
        (lines) => lines[0]!.includes("needs 80 by 24"),
        "it says that it is too small",
      );
      await tmux.run("resize-window", "-x", "80", "-y", "24");
      await tmux.until((lines) => lines.join().includes("F10Quit"), "it comes back");
      await type("h");
      await tmux.until((lines) => lines.join().includes("Any key goes back"), "help");
      await type("x", "?");
      await type("q", "q");
      const after = await tmux.until(
        (lines) => lines.includes("before"),
        "the screen is as it was",
      );
      assert(!after.join().includes("F10Quit"), after.join("\n"));
      // The keyboard too: what is typed is seen, line by line.
      await type("stty -a | grep -c -- ' icanon'; echo", " seen", "Enter");
      await tmux.until(
        // The prompt may have come after what was typed.
        (lines) => lines.some((line) => /^(\$ )?1$/.test(line)) && lines.includes("seen"),
        "the keyboard is too",
      );
    });
  },
);

Deno.test(
  needing(
    TMUX !== undefined,
    "tmux",
    "toom top gives the terminal back when it is told to end, and when toom ends",
  ),
  async () => {
    await withControl(async ({ dirPath, socketPath, server }) => {
      await using tmux = new Tmux(dirPath);
      await tmux.run("new-session", "-d", "-x", "80", "-y", "24", "sh");
      const type = (...keys: string[]): Promise<string> => tmux.run("send-keys", ...keys);
      const start = `'${Deno.execPath()}' run -A --no-check '${PROGRAM}' top ` +
        `--control-socket='${socketPath}'`;
      await type(
        `PS1='$ '; clear; sh -c 'echo $$ > ${dirPath}/pid; exec "$@"' - ${start}`,
        "Enter",
      );
      await tmux.until((lines) => lines.join().includes("F10Quit"), "it starts");
      await server.stop();
      await tmux.until((lines) => lines.join().includes("toom is not running here"), "it says so");
      Deno.kill(Number(await Deno.readTextFile(`${dirPath}/pid`)), "SIGTERM");
      await tmux.until((lines) => !lines.join().includes("F10Quit"), "the screen is given back");
      await type("echo $((6 * 7))", "Enter");
      const lines = await tmux.until(
        (all) => all.some((line) => /(^|\$ )42$/.test(line)),
        "the shell goes on",
      );
      assertEquals(lines.filter((line) => line.includes("KILLS")), []);
    });
  },
);
