/**
 * The daemon's way to start the process that writes the history, history_writer.ts; apart from it, so that
 * the daemon loads none of SQLite.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import type { WriterProcess } from "../service/history/writer_link.ts";
import { selfCommand } from "./self_command.ts";

/** Lines of a stream of bytes. */
export function linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<string> {
  const lines: TransformStream<string, string> = new TextLineStream();
  return bytes.pipeThrough(new TextDecoderStream()).pipeThrough(lines);
}

/** Starts one. */
export function spawnHistoryWriter(): WriterProcess {
  const { program, args } = selfCommand(["history-writer"]);
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    env: { NO_COLOR: "1" },
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = linesOf(child.stdout).getReader();
  const encoder = new TextEncoder();
  return {
    send: (line) => writer.write(encoder.encode(`${line}\n`)),
    next: async () => (await lines.read()).value,
    finish: () => void writer.close().catch(() => {}),
    kill: () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    },
    ended: child.status.then(() => lines.cancel()).then(() => {}, () => {}),
  };
}
