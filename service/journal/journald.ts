/**
 * systemd's journal, spoken to by its native protocol. A datagram is sent or not, and nothing waits: a
 * line that the journal does not take goes to standard output, where systemd takes it as text.
 *
 * @module
 */
import { closeFd } from "../../kernel/ffi/fd.ts";
import { connectDatagram, sendMessage } from "../../kernel/sockets/seqpacket.ts";
import type { JournalEvent } from "./events.ts";
import { encodeJournald, journaldFields } from "./journald_fields.ts";

const SOCKET_PATH = "/run/systemd/journal/socket";
/** After a failure it is connected to anew, but not more often. */
const RETRY_MS = 1000;

export class Journald {
  /** Lines that it took. */
  sent = 0;
  private readonly path: string;
  private readonly nowMs: () => number;
  /** Negative: not connected. */
  private fd = -1;
  private nextTryMs = -Infinity;

  /** @param nowMs Any clock that only goes on. */
  constructor(nowMs: () => number, path: string = SOCKET_PATH) {
    this.nowMs = nowMs;
    this.path = path;
  }

  /** Never waits, never throws. @returns Whether the journal has it. */
  send(event: JournalEvent, line: string): boolean {
    if (this.fd < 0 && !this.connect()) return false;
    if (sendMessage(this.fd, encodeJournald(journaldFields(event, line))) >= 0) {
      this.sent++;
      return true;
    }
    // It was restarted, or is full.
    this.close();
    this.nextTryMs = this.nowMs() + RETRY_MS;
    return false;
  }

  private connect(): boolean {
    if (this.nowMs() < this.nextTryMs) return false;
    this.fd = connectDatagram(this.path);
    if (this.fd < 0) this.nextTryMs = this.nowMs() + RETRY_MS;
    return this.fd >= 0;
  }

  close(): void {
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = -1;
  }
}

/**
 * Whether what this process prints goes to systemd's journal: then it can be told with fields instead.
 * JOURNAL_STREAM names device and inode of that stream. systemd.exec(5)
 *
 * @param stream Device and inode of standard output.
 */
export function isJournalStream(
  environment: Readonly<Record<string, string>>,
  stream: { readonly dev: number; readonly ino: number | null },
): boolean {
  return environment["INVOCATION_ID"] !== undefined &&
    environment["JOURNAL_STREAM"] === `${stream.dev}:${stream.ino}`;
}
