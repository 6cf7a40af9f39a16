/**
 * The file that remembers promises, as memory.
 *
 * @module
 */
import { Ledger, ledgerBytes } from "../../pipeline/promises/ledger.ts";
import { readTextFile } from "../ffi/fd.ts";
import { mapSharedFile } from "../ffi/shared_file.ts";

/** Processes that may hold promises. */
const LEDGER_ROWS = 4096;

/** @throws {KernelError} With the path. */
export function openLedger(path: string, pageBytes: number): Ledger {
  const memory = mapSharedFile(path, ledgerBytes(LEDGER_ROWS));
  return new Ledger(memory, LEDGER_ROWS, pageBytes, bootId());
}

/** The 16 bytes by which the kernel names this boot. random(4) */
function bootId(): Uint8Array {
  const hex = readTextFile("/proc/sys/kernel/random/boot_id").replace(/[^0-9a-f]/g, "");
  return Uint8Array.from(
    { length: 16 },
    (_, index) => parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}
