/**
 * The socket on which each user is told its own: what it uses, and what was killed of it. Everybody may
 * connect; who it is, the kernel says. The answer is sent at once and the connection closed: nothing is
 * read, nothing waits, and no connection is kept (I7).
 *
 * @module
 */
import { closeFd } from "../../kernel/ffi/fd.ts";
import {
  acceptConnection,
  listenUnix,
  peerUid,
  sendMessage,
  SocketType,
} from "../../kernel/sockets/seqpacket.ts";

/** Who wants to know its own may connect; root alone may say anything. */
const SOCKET_MODE = 0o666;
/** Answers in one turn; who waits behind them gets one in the next. */
const ANSWERS_MAX = 32;
/** Below what a socket holds that nobody reads. */
const ANSWER_BYTES_MAX = 64 * 1024;

export class OwnSocket {
  private readonly fd: number;
  private readonly path: string;
  private readonly answerOf: (uid: number) => string;

  /**
   * @param answerOf What a user is told; a JSON text of at most {@link ANSWER_BYTES_MAX}.
   * @throws {KernelError} When there is no socket to be had.
   */
  constructor(path: string, answerOf: (uid: number) => string) {
    this.path = path;
    this.answerOf = answerOf;
    this.fd = listenUnix(path, SOCKET_MODE, SocketType.stream);
  }

  /** Answers whoever has connected since. Never waits. @returns How many. */
  turn(): number {
    for (let count = 0; count < ANSWERS_MAX; count++) {
      const fd = acceptConnection(this.fd);
      if (fd < 0) return count;
      try {
        const uid = peerUid(fd);
        if (uid < 0) continue;
        const bytes = new TextEncoder().encode(`${this.answerOf(uid)}\n`);
        if (bytes.length <= ANSWER_BYTES_MAX) sendMessage(fd, bytes);
      } finally {
        closeFd(fd);
      }
    }
    return ANSWERS_MAX;
  }

  close(): void {
    closeFd(this.fd);
    try {
      Deno.removeSync(this.path);
    } catch {
      // Somebody else has removed it.
    }
  }
}
