/**
 * Where the program is that runs, to start it once more.
 *
 * @module
 */

/** What the kernel says behind the path of a file that was removed or replaced: proc(5), exe. */
const DELETED = " (deleted)";

/**
 * The path of the program. An upgrade replaces the file while it runs: what is started then is the new
 * version, because the old one has no path any more, and a compiled program reads its modules from its path.
 */
export function programPath(execPath = Deno.execPath()): string {
  return execPath.endsWith(DELETED) ? execPath.slice(0, -DELETED.length) : execPath;
}
