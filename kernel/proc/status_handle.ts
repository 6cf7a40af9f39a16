/**
 * A process's status, kept open for the check before a kill.
 *
 * @module
 */
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd, OpenFlag, preadFd, tryOpenBytes } from "../ffi/fd.ts";
import { isGone, PATH_BYTES_MAX, writePath } from "./proc_path.ts";
import { ascii, nextLine, numberAt, startsWith } from "./proc_text.ts";

const KEY_UID = ascii("Uid:");
/** Enough for the lines up to `Uid`: the escaped name and seven numbers. */
const STATUS_HEAD_BYTES = 512;
const FILE_STATUS = ascii("/status\0");

/**
 * A process's status kept open, for the last look before a kill. As a pidfd, it stays with one
 * process: when that is gone, reading fails, whoever has the number now.
 */
export class StatusHandle implements Disposable {
  #fd: number;
  readonly #head = new Uint8Array(STATUS_HEAD_BYTES);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @returns undefined when the process is gone.
   * @throws {KernelError} When its status cannot be opened for another reason.
   */
  static open(pid: number): StatusHandle | undefined {
    const path = new Uint8Array(PATH_BYTES_MAX);
    writePath(path, pid, FILE_STATUS);
    const fd = tryOpenBytes(path, OpenFlag.O_RDONLY);
    if (fd >= 0) return new StatusHandle(fd);
    if (isGone(fd)) return undefined;
    throw new KernelError("open", -fd, { path: `/proc/${pid}/status` });
  }

  /**
   * Its real uid at this moment. HOT.
   *
   * @returns 0 to 4294967295, or minus the error number: ESRCH when the process is gone.
   */
  realUid(): number {
    const length = preadFd(this.#fd, this.#head, 0);
    if (length <= 0) return length === 0 ? -Errno.ESRCH : length;
    for (
      let line = nextLine(this.#head, 0, length);
      line < length;
      line = nextLine(this.#head, line, length)
    ) {
      if (startsWith(this.#head, line, KEY_UID)) {
        return numberAt(this.#head, line + KEY_UID.length);
      }
    }
    return -Errno.ENODATA;
  }

  close(): void {
    if (this.#fd >= 0) closeFd(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
