/**
 * Unix sockets that say who sent each message: those that keep messages apart, and streams for
 * languages that know no others. unix(7)
 *
 * @module
 */
import { openLibc } from "../ffi/libc.ts";
import { Errno, errno, KernelError, orErrno, primeErrno } from "../ffi/errno.ts";
import { asBuffer, type Bytes, closeFd, OpenFlag, sizeT } from "../ffi/fd.ts";

const AF_UNIX = 1;
/** Types of sockets, asm-generic numbers. */
export const SocketType = { stream: 1, datagram: 2, seqpacket: 5 } as const;
export type SocketType = typeof SocketType[keyof typeof SocketType];
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SO_PEERCRED = 17;
const SCM_CREDENTIALS = 2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOCK_FLAGS = OpenFlag.O_CLOEXEC | OpenFlag.O_NONBLOCK;
/** `sun_path` with its closing zero. */
const PATH_BYTES_MAX = 108;
const BACKLOG = 512;

/** struct sockaddr_un { u16 family; char path[108]; } */
function addressOf(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length >= PATH_BYTES_MAX || name.includes(0)) {
    throw new TypeError(`Cannot make a socket of ${JSON.stringify(path)}: no path for a socket`);
  }
  const isAbstract = path.startsWith("@");
  // All bytes of an abstract name count, the zero in front of it too.
  const address = new Uint8Array(2 + (isAbstract ? name.length : PATH_BYTES_MAX));
  address[0] = AF_UNIX;
  address.set(name, 2);
  if (isAbstract) address[2] = 0;
  return address;
}

/**
 * Makes a socket and listens. Whatever file is at the path is replaced.
 *
 * @param mode Who may connect: write permission is what counts.
 * @returns The descriptor, non-blocking, with SO_PASSCRED on.
 * @throws {KernelError} With the path.
 */
export function listenUnix(path: string, mode: number, type: SocketType): number {
  const libc = openLibc();
  const address = addressOf(path);
  primeErrno();
  const fd = libc.socket(AF_UNIX, type | SOCK_FLAGS, 0);
  if (fd === -1) throw new KernelError("socket", errno());
  const failed = (call: string): KernelError => {
    const error = errno();
    closeFd(fd);
    return new KernelError(call, error, { path });
  };
  passCredentials(fd);
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      closeFd(fd);
      throw error;
    }
  }
  if (libc.bind(fd, asBuffer(address), address.length) !== 0) throw failed("bind");
  try {
    Deno.chmodSync(path, mode);
    if (libc.listen(fd, BACKLOG) !== 0) throw failed("listen");
    return fd;
  } catch (error) {
    if (!(error instanceof KernelError)) closeFd(fd);
    Deno.removeSync(path);
    throw error;
  }
}

/**
 * Connects to a socket. Blocks as long as the server's queue is full.
 *
 * @returns The descriptor, blocking; or minus the error number: ENOENT and ECONNREFUSED when
 *   nobody listens there.
 */
export function connectSeqpacket(path: string): number {
  const libc = openLibc();
  const address = addressOf(path);
  primeErrno();
  const fd = orErrno(libc.socket(AF_UNIX, SocketType.seqpacket | OpenFlag.O_CLOEXEC, 0));
  if (fd < 0) return fd;
  const result = orErrno(libc.connect(fd, asBuffer(address), address.length));
  if (result === 0) return fd;
  closeFd(fd);
  return result;
}

/**
 * Connects to a socket that takes datagrams; a name that begins with `@` has no place in the file system,
 * see "abstract" in unix(7). Sending never waits, as {@link sendMessage} has it.
 *
 * @returns The descriptor, non-blocking; or minus the error number: ENOENT and ECONNREFUSED when nobody
 *   takes them.
 */
export function connectDatagram(path: string): number {
  const libc = openLibc();
  const address = addressOf(path);
  primeErrno();
  const fd = orErrno(libc.socket(AF_UNIX, SocketType.datagram | SOCK_FLAGS, 0));
  if (fd < 0) return fd;
  const result = orErrno(libc.connect(fd, asBuffer(address), address.length));
  if (result === 0) return fd;
  closeFd(fd);
  return result;
}

/** Has the kernel say who sent each message. */
function passCredentials(fd: number): void {
  openLibc().setsockopt(fd, SOL_SOCKET, SO_PASSCRED, asBuffer(new Int32Array([1])), 4);
}

/** Takes a connection. @returns Its descriptor, non-blocking; or minus the error number. */
export function acceptConnection(listenFd: number): number {
  const fd = orErrno(openLibc().accept4(listenFd, null, null, SOCK_FLAGS));
  if (fd >= 0) passCredentials(fd); // Not every kernel has it inherited.
  return fd;
}

// struct ucred { i32 pid; u32 uid; u32 gid; }
const UCRED_WORDS = 3;

/** Real uid of who connected, unsigned; -1 when it is not to be had. */
export function peerUid(fd: number): number {
  const ucred = new Uint32Array(UCRED_WORDS);
  const bytes = new Uint32Array([UCRED_WORDS * 4]);
  const result = openLibc().getsockopt(
    fd,
    SOL_SOCKET,
    SO_PEERCRED,
    asBuffer(ucred),
    asBuffer(bytes),
  );
  return result === 0 ? ucred[1]! : -1;
}

/** Sends a message without waiting. HOT. @returns Its bytes, or minus the error number. */
export function sendMessage(fd: number, message: Bytes): number {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  return orErrno(openLibc().send(fd, asBuffer(message), sizeT(message.length), flags));
}

// struct msghdr on 64-bit Linux: name, name bytes, iov, iov count, control, control bytes, flags.
// Kernel and libc agree where both are little endian.
const MSGHDR_WORDS = 14;
const MsgWord = { iov: 4, iovCount: 6, control: 8, controlBytes: 10, flags: 12 } as const;
/** The message did not fit. */
const MSG_TRUNC = 0x20;
// struct cmsghdr: u64 bytes, i32 level, i32 type; then the ucred. Room for nothing else: descriptors
// that a client passes along are closed by the kernel.
const CONTROL_WORDS = 8;
const CmsgWord = { bytes: 0, level: 2, type: 3, pid: 4, uid: 5 } as const;
const UCRED_CMSG_BYTES = 28;

/** Receives messages with the credentials of their senders, into one buffer. */
export class MessageReceiver {
  /** The message of the last {@link receive}. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its sender; 0 when the kernel did not say. */
  pid = 0;
  /** The sender's real uid, unsigned. */
  uid = 0;
  private readonly header = new Uint32Array(MSGHDR_WORDS);
  private readonly iov: BigUint64Array<ArrayBuffer>;
  private readonly control: Uint32Array<ArrayBuffer>;

  /** @param bytesMax A longer message is cut, and its length given as one more than was taken. */
  constructor(bytesMax: number) {
    // Over 64 bytes, or the array would lie in V8's heap and could move.
    this.bytes = new Uint8Array(new ArrayBuffer(Math.max(bytesMax, 128)), 0, bytesMax);
    this.control = new Uint32Array(new ArrayBuffer(128), 0, CONTROL_WORDS);
    this.iov = new BigUint64Array(new ArrayBuffer(128), 0, 2);
    this.iov[0] = addressIn(this.bytes);
    this.point(MsgWord.iov, this.iov);
    this.point(MsgWord.control, this.control);
    this.header[MsgWord.iovCount] = 1;
    primeErrno();
  }

  private point(word: number, target: ArrayBufferView<ArrayBuffer>): void {
    const address = addressIn(target);
    this.header[word] = Number(address & 0xffffffffn);
    this.header[word + 1] = Number(address >> 32n);
  }

  /**
   * Receives without waiting. HOT.
   *
   * @param bytes Take no more than so many: of a stream, the rest stays for the next time.
   * @returns Bytes of the message; 0 when the other end has closed (or sent nothing, which is the
   *   same to us); or minus the error number.
   */
  receive(fd: number, bytes: number): number {
    const { header, control } = this;
    this.iov[1] = sizeT(bytes);
    header[MsgWord.controlBytes] = CONTROL_WORDS * 4;
    header[MsgWord.flags] = 0;
    control[CmsgWord.bytes] = 0;
    const length = orErrno(openLibc().recvmsg(fd, asBuffer(header), MSG_DONTWAIT));
    if (length < 0) return length;
    const isUcred = control[CmsgWord.bytes] === UCRED_CMSG_BYTES &&
      control[CmsgWord.level] === SOL_SOCKET && control[CmsgWord.type] === SCM_CREDENTIALS;
    this.pid = isUcred ? control[CmsgWord.pid]! : 0;
    this.uid = isUcred ? control[CmsgWord.uid]! : 0;
    return (header[MsgWord.flags]! & MSG_TRUNC) !== 0 ? bytes + 1 : length;
  }
}

function addressIn(view: ArrayBufferView<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(view)));
}

/** Whether an error of a socket means that there is nothing to do now. */
export function isAgain(result: number): boolean {
  return result === -Errno.EAGAIN || result === -Errno.EINTR;
}
