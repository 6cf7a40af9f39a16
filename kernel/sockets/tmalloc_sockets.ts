/**
 * The sockets of tmalloc as the coordinator's port: unix(7), epoll(7), pidfd_open(2).
 *
 * @module
 */
import { type Listener, type ReadySet, SocketFailure, type Sockets } from "../../pipeline/ports.ts";
import { REQUEST_BYTES } from "../../pipeline/promises/tmalloc_message.ts";
import { Epoll, EPOLLIN, EPOLLRDHUP } from "../ffi/epoll.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd, EventFd } from "../ffi/fd.ts";
import { pidfdOpen } from "../kill/pidfd.ts";
import { acceptConnection, MessageReceiver, peerUid, sendMessage } from "./seqpacket.ts";

/** Sockets that listen, opened by the supervisor. Plain data, to be handed to a worker. */
export interface SocketsSpec {
  /** SOCK_SEQPACKET, and SOCK_STREAM for who has no other. */
  readonly listenFd: number;
  readonly streamListenFd: number;
  /** eventfd(2), rung when memory has come back or a limit has changed. */
  readonly wakeFd: number;
}

/** Readiness for {@link Sockets}: level-triggered, and ready too when the other end has closed. */
const EVENTS = EPOLLIN | EPOLLRDHUP;

/** A result of a call as the port gives it: the number, or a {@link SocketFailure}. HOT. */
function asPort(result: number): number {
  return result >= 0 ? result : failureOf(-result);
}

/** What an error number means to who serves clients. */
export function failureOf(errno: number): number {
  switch (errno) {
    case Errno.EAGAIN:
    case Errno.EINTR:
      return SocketFailure.again;
    case Errno.EMFILE:
    case Errno.ENFILE:
    case Errno.ENOMEM:
    case Errno.ENOBUFS:
    // max_user_watches of epoll(7)
    case Errno.ENOSPC:
      return SocketFailure.exhausted;
    case Errno.ESRCH:
      return SocketFailure.gone;
    default:
      return SocketFailure.refused;
  }
}

class EpollSet implements ReadySet {
  readonly handle: number;
  private readonly epoll: Epoll;

  constructor(epoll: Epoll) {
    this.epoll = epoll;
    this.handle = epoll.fd;
  }

  add(handle: number, key: number): number {
    return asPort(this.epoll.add(handle, EVENTS, key));
  }

  remove(handle: number): void {
    this.epoll.remove(handle);
  }

  wait(timeoutMs: number): number {
    return this.epoll.wait(timeoutMs);
  }

  key(index: number): number {
    return this.epoll.key(index);
  }
}

class TmallocSockets implements Sockets {
  readonly listeners: readonly Listener[];
  readonly wakeHandle: number;
  readonly message: Uint8Array<ArrayBuffer>;
  private readonly wake: EventFd;
  private readonly receiver = new MessageReceiver(REQUEST_BYTES);

  constructor({ listenFd, streamListenFd, wakeFd }: SocketsSpec) {
    this.listeners = [
      { handle: listenFd, isStream: false },
      { handle: streamListenFd, isStream: true },
    ];
    this.wakeHandle = wakeFd;
    this.wake = new EventFd(wakeFd);
    this.message = this.receiver.bytes;
  }

  get senderPid(): number {
    return this.receiver.pid;
  }

  get senderUid(): number {
    return this.receiver.uid;
  }

  drainWake(): boolean {
    return this.wake.drain();
  }

  openSet(readyMax: number): ReadySet | undefined {
    try {
      return new EpollSet(new Epoll(readyMax));
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }

  accept({ handle }: Listener): number {
    return asPort(acceptConnection(handle));
  }

  peerUid(handle: number): number {
    return peerUid(handle);
  }

  receive(handle: number, bytesMax: number): number {
    return asPort(this.receiver.receive(handle, bytesMax));
  }

  send(handle: number, message: Uint8Array<ArrayBuffer>): number {
    return asPort(sendMessage(handle, message));
  }

  openProcess(pid: number): number {
    return asPort(pidfdOpen(pid));
  }

  close(handle: number): void {
    closeFd(handle);
  }
}

export function openSockets(spec: SocketsSpec): Sockets {
  return new TmallocSockets(spec);
}
