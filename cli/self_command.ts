/**
 * How toom starts itself: the compiled program is toom, Deno must be told which module is.
 *
 * @module
 */

import { programPath } from "../kernel/process/program_path.ts";

/** @param words Behind the program's name. */
export function selfCommand(words: readonly string[]): { program: string; args: string[] } {
  const program = programPath();
  if (Deno.build.standalone) return { program, args: [...words] };
  return { program, args: ["run", "-A", new URL("../mod.ts", import.meta.url).href, ...words] };
}
