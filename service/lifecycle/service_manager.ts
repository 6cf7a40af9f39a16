/**
 * What the service manager is told: that limits are enforced, how things stand, and that toom is alive.
 * sd_notify(3)
 *
 * @module
 */
import { closeFd } from "../../kernel/ffi/fd.ts";
import { connectDatagram, sendMessage } from "../../kernel/sockets/seqpacket.ts";

/** Of the time after which the manager takes toom for dead, it is told so often that it is not. */
const WATCHDOG_SHARE = 1 / 4;

/** Bytes of a socket's path, unix(7). */
const PATH_MAX = 107;

/** Who has started toom and watches it. */
export interface ServiceManager {
  /** How often it wants to hear that toom is alive, milliseconds; Infinity: never. */
  readonly aliveEveryMs: number;
  /** Limits are enforced; again after each {@link reloading}. */
  ready(status: string): void;
  /** The configuration is being read again. @param nowNs CLOCK_MONOTONIC */
  reloading(nowNs: number): void;
  /** A line for people. */
  status(text: string): void;
  alive(): void;
  stopping(): void;
}

/** Nobody asks. */
export const NO_MANAGER: ServiceManager = {
  aliveEveryMs: Infinity,
  ready: () => {},
  reloading: () => {},
  status: () => {},
  alive: () => {},
  stopping: () => {},
};

/** systemd, or who speaks as it does. Nothing waits, and nothing throws: a message is taken or lost. */
class NotifySocket implements ServiceManager {
  readonly aliveEveryMs: number;
  private readonly path: string;
  private told = "";

  constructor(path: string, aliveEveryMs: number) {
    this.path = path;
    this.aliveEveryMs = aliveEveryMs;
  }

  ready(status: string): void {
    this.told = status;
    this.send(`READY=1\nSTATUS=${status}`);
  }

  reloading(nowNs: number): void {
    this.send(`RELOADING=1\nMONOTONIC_USEC=${Math.floor(nowNs / 1000)}`);
  }

  status(text: string): void {
    if (text === this.told) return;
    this.told = text;
    this.send(`STATUS=${text}`);
  }

  alive(): void {
    this.send("WATCHDOG=1");
  }

  stopping(): void {
    this.send("STOPPING=1");
  }

  private send(message: string): void {
    // Not kept open: messages are rare, and a descriptor less is handed over at a start-over.
    const fd = connectDatagram(this.path);
    if (fd < 0) return;
    sendMessage(fd, new TextEncoder().encode(message));
    closeFd(fd);
  }
}

/**
 * The manager that the environment names.
 *
 * @param environment NOTIFY_SOCKET; and of sd_watchdog_enabled(3) WATCHDOG_USEC and WATCHDOG_PID.
 * @param pid Of this process.
 */
export function serviceManager(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): ServiceManager {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: usec, WATCHDOG_PID: watchedPid } = environment;
  // unix(7), or one without a place in the file system; others, such as vsock(7), are not served.
  if (path === undefined || !/^[/@]./.test(path) || path.length > PATH_MAX) return NO_MANAGER;
  const isWatched = usec !== undefined && /^[1-9]\d*$/.test(usec) &&
    (watchedPid === undefined || watchedPid === String(pid));
  return new NotifySocket(path, isWatched ? Number(usec) / 1000 * WATCHDOG_SHARE : Infinity);
}
