/**
 * V8's compiler threads, which hold locks that workers wait for. See {@link FIFO_PRIORITY}.
 *
 * @module
 */
import { ProcReader } from "../../kernel/proc/proc.ts";
import { type Protection, setFifo } from "../../kernel/process/self_protection.ts";
import { FIFO_PRIORITY } from "../../workers/priorities.ts";

/** As the kernel shows it, cut after 15 bytes: `V8 DefaultWorker`. */
const THREAD_NAME = "V8 DefaultWorke";

/**
 * Makes them real-time. Some versions of Deno have no threads of that name.
 * @param tell Told whether that works.
 */
export function raiseCompilers(tell: (wish: string, result: Protection) => void): void {
  const proc = new ProcReader();
  for (const tid of proc.listTids(Deno.pid)) {
    if (!proc.readComm(tid)?.startsWith(THREAD_NAME)) continue;
    const result = setFifo(FIFO_PRIORITY.compiler, tid);
    tell("real-time compilation", result);
    if (!result.ok) break;
  }
}
