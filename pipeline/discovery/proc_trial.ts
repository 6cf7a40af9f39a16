/**
 * Readings of /proc that may fail for another reason than that a process is gone: no descriptor is
 * free, or no memory. Such a failure is counted, and says nothing of the process.
 *
 * @module
 */
import type { Proc } from "../ports.ts";

export class ProcTrial {
  private readonly proc: Pick<Proc, "isFailure">;
  private readonly onFailure: () => void;

  /** @param onFailure Told of each failure. */
  constructor(proc: Pick<Proc, "isFailure">, onFailure: () => void) {
    this.proc = proc;
    this.onFailure = onFailure;
  }

  /**
   * @param read Reads /proc.
   * @returns What it returns; undefined when /proc cannot be read at this moment.
   * @throws What it throws, if it is no failure of /proc.
   */
  run<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!this.proc.isFailure(error)) throw error;
      this.onFailure();
      return undefined;
    }
  }
}
