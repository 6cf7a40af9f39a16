/**
 * Descriptors held for the moment when there are no more: the process may have as many open as it
 * is allowed to (EMFILE), or the machine (ENFILE), exactly when somebody must be killed.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { closeFd, cString, OpenFlag, openWithoutSpare, type SpareDescriptors } from "./fd.ts";

const ANY_FILE = cString("/dev/null");

/** Whether a call failed because there is no descriptor left. open(2) */
export function lacksDescriptor(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE;
}

export class FdReserve implements Disposable, SpareDescriptors {
  private readonly fds: Int32Array;
  private held = 0;

  /** @param count Descriptors to hold, at least 1; fewer when there are not so many now. */
  constructor(count: number) {
    this.fds = new Int32Array(count);
    this.refill();
  }

  /** Descriptors that are held. */
  get size(): number {
    return this.held;
  }

  /** Gives one up, so that one call can succeed. @returns false when none is left. */
  giveUp(): boolean {
    if (this.held === 0) return false;
    closeFd(this.fds[--this.held]!);
    return true;
  }

  /** Takes back what was given up, as far as there is room. Costs nothing when nothing is missing. */
  refill(): void {
    while (this.held < this.fds.length) {
      const fd = openWithoutSpare(ANY_FILE, OpenFlag.O_RDONLY, 0);
      if (fd < 0) return;
      this.fds[this.held++] = fd;
    }
  }

  [Symbol.dispose](): void {
    while (this.giveUp()) { /* one after the other */ }
  }
}
