/**
 * The daemon's way to start the process that serves the page, web.ts; apart from it, so that the daemon
 * loads none of it.
 *
 * @module
 */
import { webAddressText } from "../service/config/web_address.ts";
import type { SpawnWeb } from "../service/lifecycle/web_process.ts";
import { selfCommand } from "./self_command.ts";
import { linesOf } from "./spawn_history_writer.ts";

/**
 * Small rather than fast, and instead of the daemon's own flags. What a look leaves behind is collected as it
 * comes: 92 to 97 MiB resident with a thousand users, 92 to 117 without.
 */
const FLAGS = ["--optimize-for-size", "--max-semi-space-size=1", "--max-old-space-size=192"];

/** Starts one. */
export const spawnWeb: SpawnWeb = (address, controlSocketPath) => {
  const { program, args } = selfCommand([
    "web",
    "--for-daemon",
    `--listen=${webAddressText(address)}`,
    `--control-socket=${controlSocketPath}`,
  ]);
  const child = new Deno.Command(program, {
    args,
    // Its end is the sign to end, and comes by itself when the daemon has gone.
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", DENO_V8_FLAGS: FLAGS.join() },
  }).spawn();
  const { promise: listens, resolve } = Promise.withResolvers<void>();
  let last = "it has ended";
  const reading = Promise.all([
    // The link, which is not for a log.
    readLines(child.stdout, () => resolve()),
    readLines(child.stderr, (line) => {
      if (line.trim() !== "") last = line.slice(0, 500);
    }),
  ]);
  return {
    listens,
    ended: Promise.all([child.status, reading]).then(() => last),
    finish: () => void child.stdin.close().catch(() => {}),
    kill: () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    },
  };
};

async function readLines(
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (line: string) => void,
): Promise<void> {
  try {
    for await (const line of linesOf(bytes)) take(line);
  } catch {
    // What was no text is not told.
  }
}
