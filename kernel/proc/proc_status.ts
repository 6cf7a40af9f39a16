/**
 * /proc/PID/status in numbers. proc_pid_status(5), fs/proc/array.c, fs/proc/task_mmu.c
 *
 * @module
 */
import type { ProcStatus } from "../../pipeline/ports.ts";
import { ascii, nextLine, numberAt, skipBlanks, skipWord, startsWith } from "./proc_text.ts";

/** Pid of kthreadd, the parent of all kernel threads. */
const KTHREADD_PID = 2;
const KEY_STATE = ascii("State:");
const KEY_TGID = ascii("Tgid:");
const KEY_PPID = ascii("PPid:");
const KEY_UID = ascii("Uid:");
const KEY_KTHREAD = ascii("Kthread:");
const KEY_VM_SIZE = ascii("VmSize:");
const KEY_RSS_ANON = ascii("RssAnon:");
const KEY_RSS_FILE = ascii("RssFile:");
const KEY_RSS_SHMEM = ascii("RssShmem:");
const KEY_VM_SWAP = ascii("VmSwap:");
const KEY_THREADS = ascii("Threads:");

/**
 * Parses the text of /proc/PID/status.
 *
 * The first line holds the name, which its owner chooses: it is skipped. The kernel escapes newlines
 * and backslashes in it (proc_task_name), so it cannot forge a line.
 *
 * Whether it is a kernel thread says the line `Kthread` (6.11 and later); before, a kernel thread is
 * known by its parent kthreadd and by having no `VmSize`.
 *
 * @param bytes The text, of which `length` bytes count; the byte after them must not be a digit.
 */
export function parseStatus(bytes: Uint8Array, length: number, out: ProcStatus): void {
  let kthread = -1;
  let hasMemory = false;
  out.tgid =
    out.ppid =
    out.realUid =
    out.effectiveUid =
    out.state =
    out.threads =
      0;
  out.rssAnonKib =
    out.rssFileKib =
    out.rssShmemKib =
    out.vmSwapKib =
      0;
  for (let line = nextLine(bytes, 0, length); line < length; line = nextLine(bytes, line, length)) {
    switch (bytes[line]) {
      case 0x53: // S
        if (startsWith(bytes, line, KEY_STATE)) {
          out.state = bytes[skipBlanks(bytes, line + KEY_STATE.length)]!;
        }
        break;
      case 0x54: // T
        if (startsWith(bytes, line, KEY_TGID)) out.tgid = numberAt(bytes, line + KEY_TGID.length);
        else if (startsWith(bytes, line, KEY_THREADS)) {
          out.threads = numberAt(bytes, line + KEY_THREADS.length);
          // Nothing that counts comes after it.
          line = length;
        }
        break;
      case 0x50: // P
        if (startsWith(bytes, line, KEY_PPID)) out.ppid = numberAt(bytes, line + KEY_PPID.length);
        break;
      case 0x55: // U
        if (startsWith(bytes, line, KEY_UID)) {
          out.realUid = numberAt(bytes, line + KEY_UID.length);
          out.effectiveUid = numberAt(bytes, skipWord(bytes, line + KEY_UID.length));
        }
        break;
      case 0x4b: // K
        if (startsWith(bytes, line, KEY_KTHREAD)) {
          kthread = numberAt(bytes, line + KEY_KTHREAD.length);
        }
        break;
      case 0x52: // R
        if (startsWith(bytes, line, KEY_RSS_ANON)) {
          out.rssAnonKib = numberAt(bytes, line + KEY_RSS_ANON.length);
        } else if (startsWith(bytes, line, KEY_RSS_FILE)) {
          out.rssFileKib = numberAt(bytes, line + KEY_RSS_FILE.length);
        } else if (startsWith(bytes, line, KEY_RSS_SHMEM)) {
          out.rssShmemKib = numberAt(bytes, line + KEY_RSS_SHMEM.length);
        }
        break;
      case 0x56: // V
        if (startsWith(bytes, line, KEY_VM_SIZE)) hasMemory = true;
        else if (startsWith(bytes, line, KEY_VM_SWAP)) {
          out.vmSwapKib = numberAt(bytes, line + KEY_VM_SWAP.length);
        }
        break;
    }
  }
  out.hasMemory = hasMemory;
  out.kthread = kthread === -1
    ? !hasMemory && (out.tgid === KTHREADD_PID || out.ppid === KTHREADD_PID)
    : kthread === 1;
}
