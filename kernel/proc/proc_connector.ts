/**
 * Hears of every change of uid on the machine, from the kernel's process events connector.
 * Documentation/driver-api/connector.rst, include/uapi/linux/cn_proc.h
 *
 * Only kernels that can filter (6.6 and later) are used: on older ones each fork and exit of the
 * machine would wake toom up.
 *
 * @module
 */
import { Errno, errno, errnoName, KernelError, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, closeFd, OpenFlag, sizeT } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const NETLINK_CONNECTOR = 11;
const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;
const NLMSG_DONE = 3;

const PROC_CN_MCAST_LISTEN = 1;
const PROC_EVENT_NONE = 0;
const PROC_EVENT_UID = 0x4;
/** All bits of enum proc_cn_event: the only filter that lets the acknowledgement pass. */
const PROC_EVENT_ALL = 0xe000_03c7;

// struct nlmsghdr, struct cn_msg, then struct proc_input in a request and struct proc_event in an
// event. Words of four bytes from the start of the datagram:
//
//   nlmsghdr    0 bytes | 1 type, flags | 2 sequence | 3 port
//   cn_msg      4 idx | 5 val | 6 sequence | 7 ack | 8 data bytes, flags
//   proc_input  9 operation | 10 event
//   proc_event  9 what | 10 cpu | 11, 12 time | 13 pid | 14 tgid | 15 real uid | 16 effective uid
const REQUEST_WORDS = 11;
const EVENT_WORDS = 17;
const CN_MSG_BYTES = 20;
const NLMSGHDR_BYTES = 16;
const RECEIVE_BYTES = 4096;
/** Datagrams of one {@link ProcConnector.read}, so that a storm cannot hold its caller. */
const READ_MAX = 256;
/** Datagrams looked through for the acknowledgement, among all events of a moment. */
const PROBE_READ_MAX = 4096;

/** An open subscription, or why there is none. */
export type ProcConnectorResult = { readonly ok: true; readonly connector: ProcConnector } | {
  readonly ok: false;
  /** For the operator. */
  readonly reason: string;
};

/** Told of each change: the process, its real uid and its effective uid, 0 to 4294967295. */
export type OnUid = (tgid: number, realUid: number, effectiveUid: number) => void;

function openSocket(): number {
  const libc = openLibc();
  primeErrno();
  const type = SOCK_DGRAM | OpenFlag.O_CLOEXEC | OpenFlag.O_NONBLOCK;
  const fd = orErrno(libc.socket(AF_NETLINK, type, NETLINK_CONNECTOR));
  if (fd < 0) return fd;
  // struct sockaddr_nl { u16 family; u16 pad; u32 port; u32 groups; }; port 0: the kernel picks one.
  const address = new Uint32Array([AF_NETLINK, 0, CN_IDX_PROC]);
  if (libc.bind(fd, asBuffer(address), address.byteLength) === 0) return fd;
  const error = errno();
  closeFd(fd);
  return -error;
}

function subscribe(fd: number, event: number): number {
  const request = new Uint32Array(REQUEST_WORDS);
  const bytes = request.byteLength;
  request.set([bytes, NLMSG_DONE, 0, 0], 0);
  request.set([CN_IDX_PROC, CN_VAL_PROC, 0, 0, bytes - NLMSGHDR_BYTES - CN_MSG_BYTES], 4);
  request.set([PROC_CN_MCAST_LISTEN, event], 9);
  return orErrno(openLibc().send(fd, asBuffer(request), sizeT(bytes), 0));
}

/** Receives datagrams, of the kernel only. */
class Receiver {
  readonly words = new Uint32Array(RECEIVE_BYTES / 4);
  readonly #from = new Uint32Array(3);
  readonly #fromBytes = new Uint32Array(1);

  /** @returns Bytes, 0 when it was not an event from the kernel, or minus the error number. */
  receive(fd: number): number {
    this.#fromBytes[0] = this.#from.byteLength;
    const bytes = orErrno(
      openLibc().recvfrom(
        fd,
        asBuffer(this.words),
        sizeT(RECEIVE_BYTES),
        0,
        asBuffer(this.#from),
        asBuffer(this.#fromBytes),
      ),
    );
    if (bytes < 0) return bytes;
    const kernel = this.#from[1] === 0;
    const whole = bytes >= EVENT_WORDS * 4;
    const ours = this.words[4] === CN_IDX_PROC && this.words[5] === CN_VAL_PROC;
    return kernel && whole && ours ? bytes : 0;
  }
}

/**
 * Whether the kernel filters, asked by asking for everything on a socket that is closed at once: a
 * kernel without filters ignores the request, as it is longer than it knows; one with them answers.
 */
function filterProblem(): string | undefined {
  const fd = openSocket();
  if (fd < 0) {
    const missing = fd === -Errno.EPROTONOSUPPORT || fd === -Errno.ENOENT;
    return missing
      ? "the kernel has no process events connector (CONFIG_PROC_EVENTS)"
      : `cannot open the process events connector: ${errnoName(-fd)}`;
  }
  try {
    const sent = subscribe(fd, PROC_EVENT_ALL);
    if (sent < 0) return `cannot subscribe to process events: ${errnoName(-sent)}`;
    const receiver = new Receiver();
    for (let count = 0; count < PROBE_READ_MAX; count++) {
      const bytes = receiver.receive(fd);
      // The answer is sent within the request, so it is there by now or never comes.
      if (bytes === -Errno.EAGAIN) break;
      if (bytes > 0 && receiver.words[9] === PROC_EVENT_NONE) {
        const error = receiver.words[13]!;
        return error === 0 ? undefined : `the kernel refused process events: ${errnoName(error)}`;
      }
    }
    return "the kernel cannot filter process events (6.6 and later can)";
  } finally {
    closeFd(fd);
  }
}

/** A subscription to changes of uid: poll {@link fd} for POLLIN, then {@link read}. */
export class ProcConnector implements Disposable {
  readonly fd: number;
  readonly #receiver = new Receiver();
  #hasMore = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Subscribes, where the kernel can and lets this process (CAP_NET_ADMIN).
   *
   * @throws {KernelError} When the second socket fails though the first, to probe, did not.
   */
  static open(): ProcConnectorResult {
    const problem = filterProblem();
    if (problem !== undefined) return { ok: false, reason: problem };
    const fd = openSocket();
    if (fd < 0) throw new KernelError("bind", -fd, { detail: "process events connector" });
    const sent = subscribe(fd, PROC_EVENT_UID);
    if (sent < 0) {
      closeFd(fd);
      throw new KernelError("send", -sent, { detail: "process events connector" });
    }
    return { ok: true, connector: new ProcConnector(fd) };
  }

  /**
   * Takes what has come, without waiting; at most 256 events, so ask again while {@link hasMore}.
   *
   * @param onUid Called for each; a process of several threads may change one thread at a time.
   * @returns How many; or minus the error number: ENOBUFS when events were lost, so look at /proc.
   *   Those that were not lost come with the next call.
   */
  read(onUid: OnUid): number {
    const words = this.#receiver.words;
    let count = 0;
    this.#hasMore = true;
    for (let datagrams = 0; datagrams < READ_MAX; datagrams++) {
      const bytes = this.#receiver.receive(this.fd);
      if (bytes === -Errno.EAGAIN) this.#hasMore = false;
      if (bytes === -Errno.EAGAIN || bytes === -Errno.EINTR) break;
      if (bytes < 0) return bytes;
      if (bytes === 0 || words[9] !== PROC_EVENT_UID) continue;
      count++;
      onUid(words[14]! | 0, words[15]!, words[16]!);
    }
    return count;
  }

  /** Whether the last {@link read} left something. */
  get hasMore(): boolean {
    return this.#hasMore;
  }

  close(): void {
    closeFd(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
