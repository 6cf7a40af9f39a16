/**
 * `toom demo-process UID`: a process of the demo, told what to do by lines on its standard input.
 *
 * It starts as root and becomes its user only when everything is loaded: the user may be unable to
 * read the program. It ends with its input, so it never outlives the demo.
 *
 *     in   use BYTES    out  uses BYTES     touches memory until it uses so much in all
 *          tell              uses BYTES
 *                       out  ready BYTES    once, at the start: what the program itself uses
 *
 * Imports as little as it can: what it loads counts for its user.
 *
 * @module
 */
import { becomeUser } from "../kernel/users/drop_user.ts";
import { type CommandIo, ExitCode, guard, UsageError } from "./errors.ts";

/**
 * `toom demo-process`.
 *
 * @param args The words behind `toom demo-process`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function demoProcessCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const [uid] = args;
    // Not root, whom nobody may limit.
    if (uid === undefined || !/^[1-9]\d{0,8}$/.test(uid)) {
      throw new UsageError("toom demo-process: expected a uid; it is only for toom demo to call");
    }
    becomeUser(Number(uid));
    io.out(`ready ${usedBytes()}`);
    await obey(io);
    return ExitCode.done;
  });
}

async function obey(io: CommandIo): Promise<void> {
  const held: Uint8Array[] = [];
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(256);
  let text = "";
  for (;;) {
    const count = await Deno.stdin.read(bytes);
    if (count === null) return;
    text += decoder.decode(bytes.subarray(0, count), { stream: true });
    const lines = text.split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      const [verb, number] = line.split(" ");
      const missing = verb === "use" ? Number(number) - usedBytes() : 0;
      // At full speed: one call fills it all. Not with zeros, which might not need memory.
      if (missing > 0) held.push(new Uint8Array(missing).fill(1));
      io.out(`uses ${usedBytes()}`);
    }
  }
}

/** What toom counts of this process. */
function usedBytes(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  let kib = 0;
  for (const [, digits] of status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/gm)) {
    kib += Number(digits);
  }
  return kib * 1024;
}
