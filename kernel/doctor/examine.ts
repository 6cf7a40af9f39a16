/**
 * Tries out, on this machine and now, everything that toom needs of it. Each try is harmless, and
 * what it changes of this process is put back.
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";
import { checkKernelBooks } from "./bpf_checks.ts";
import { type Examination, Examiner } from "./examiner.ts";
import { checkBrake, checkKilling, checkProtection, checkTriggers } from "./machine_checks.ts";
import { checkProcess } from "./process_checks.ts";
import { checkEvents } from "./tracing_checks.ts";

export type { Examination, Finding } from "./examiner.ts";

/**
 * Tries everything out. Takes about a second, leaves nothing behind, and never throws.
 *
 * @param lockPath The lock file of a toom that runs.
 */
export async function examine(lockPath: string): Promise<Examination> {
  const examiner = new Examiner();
  const notes: string[] = [];
  await checkProcess(examiner);
  await checkEvents(examiner, notes);
  await checkKernelBooks(examiner, notes);
  await checkKilling(examiner);
  await checkProtection(examiner);
  await checkTriggers(examiner);
  await checkBrake(examiner);
  try {
    const holder = lockHolder(lockPath);
    if (holder !== undefined) notes.push(`a toom is running: pid ${holder} holds ${lockPath}`);
  } catch {
    // Only a note.
  }
  return { findings: examiner.findings, notes };
}

/** Pid that holds a lock of flock(2) on a file, by /proc/locks; asking does not disturb it. */
function lockHolder(path: string): number | undefined {
  let file: Deno.FileInfo;
  try {
    file = Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  for (const line of readTextFile("/proc/locks").split("\n")) {
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF
    const [, kind, , , pid, place] = line.split(/\s+/);
    const inode = place?.split(":")[2];
    if (kind === "FLOCK" && inode === String(file.ino)) return Number(pid);
  }
  return undefined;
}
