/**
 * Directories and files of instances, with errors of this folder.
 *
 * @module
 */
import { KernelError } from "../ffi/errno.ts";

export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Deno's file errors as the one of this folder. */
export function asKernelError(call: string, error: unknown, path: string): unknown {
  if (!(error instanceof Error)) return error;
  const number = / \(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? error : new KernelError(call, Number(number), { path });
}

export function removeDirectory(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    throw asKernelError("rmdir", error, path);
  }
}
