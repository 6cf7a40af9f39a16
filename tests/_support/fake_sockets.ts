/**
 * Sockets without a kernel: clients are objects, handles are numbers that come back as soon as they
 * are closed, as on Linux, and what may fail can be made to.
 *
 * @module
 */
import { assert } from "@std/assert";
import { type Listener, type ReadySet, SocketFailure, type Sockets } from "../../pipeline/ports.ts";
import {
  readReply,
  REPLY_BYTES,
  type ReplyBytes,
  REQUEST_BYTES,
  type RequestType,
  writeRequest,
} from "../../pipeline/promises/tmalloc_message.ts";

/** A program at the other end. */
export class FakeClient {
  readonly pid: number;
  readonly uid: number;
  readonly isStream: boolean;
  /** On its way to the server: messages, or pieces of a stream. */
  readonly sent: Uint8Array[] = [];
  readonly replies: ReplyBytes[] = [];
  /** Replies that its socket has room for until it reads them. */
  room = Infinity;
  /** The kernel says who it is. */
  hasCredentials = true;
  hasClosed = false;
  /** The server has closed its end. */
  isCutOff = false;

  constructor(pid: number, uid: number, isStream = false) {
    this.pid = pid;
    this.uid = uid;
    this.isStream = isStream;
  }

  send(bytes: Uint8Array): this {
    this.sent.push(bytes.slice());
    return this;
  }

  ask(type: RequestType, bytes: number, id = 1): this {
    const message = new Uint8Array(REQUEST_BYTES);
    writeRequest(new DataView(message.buffer), { type, id, bytes });
    return this.send(message);
  }

  close(): void {
    this.hasClosed = true;
  }
}

type Item =
  | { readonly kind: "listener"; readonly isStream: boolean; readonly queue: FakeClient[] }
  | { readonly kind: "connection"; readonly client: FakeClient }
  | { readonly kind: "set"; readonly set: FakeSet }
  | { readonly kind: "wake" }
  | { readonly kind: "process"; readonly pid: number };

class FakeSet implements ReadySet {
  readonly handle: number;
  readonly members = new Map<number, number>();
  private readonly sockets: FakeSockets;
  private readonly readyMax: number;
  private ready: number[] = [];

  constructor(sockets: FakeSockets, handle: number, readyMax: number) {
    this.sockets = sockets;
    this.handle = handle;
    this.readyMax = readyMax;
  }

  add(handle: number, key: number): number {
    assert(!this.members.has(handle), `handle ${handle} is in the set already`);
    assert(this.sockets.items.has(handle), `handle ${handle} is not open`);
    if (this.sockets.failsToAdd(handle)) return SocketFailure.exhausted;
    this.members.set(handle, key);
    return 0;
  }

  remove(handle: number): void {
    assert(this.members.delete(handle), `handle ${handle} is not in the set`);
  }

  wait(timeoutMs: number): number {
    this.sockets.spend();
    this.ready = [];
    for (const [handle, key] of [...this.members]) {
      if (this.ready.length === this.readyMax || !this.sockets.isReady(handle)) continue;
      this.ready.push(key);
      // Who was told of comes last the next time, as in the kernel.
      this.members.delete(handle);
      this.members.set(handle, key);
    }
    if (this.ready.length === 0) this.sockets.nowNs += timeoutMs * 1e6;
    return this.ready.length;
  }

  key(index: number): number {
    return this.ready[index]!;
  }

  hasReady(): boolean {
    return [...this.members.keys()].some((handle) => this.sockets.isReady(handle));
  }
}

export class FakeSockets implements Sockets {
  readonly items = new Map<number, Item>();
  readonly listeners: readonly Listener[];
  readonly wakeHandle: number;
  readonly message = new Uint8Array(REQUEST_BYTES);
  senderPid = 0;
  senderUid = 0;
  /** Each call costs so much. */
  callNs = 1000;
  nowNs = 1e9;
  hasRung = false;
  readonly gonePids = new Set<number>();
  /** No more handles than that. */
  handlesMax = Infinity;
  /** Whether a handle cannot be added to a set. */
  failsToAdd: (handle: number) => boolean = () => false;

  constructor() {
    const listener = (isStream: boolean): Listener => ({
      handle: this.open({ kind: "listener", isStream, queue: [] }),
      isStream,
    });
    this.listeners = [listener(false), listener(true)];
    this.wakeHandle = this.open({ kind: "wake" });
  }

  /** A client connects. */
  connect(client: FakeClient): FakeClient {
    this.queueOf(this.listeners[client.isStream ? 1 : 0]!.handle).push(client);
    return client;
  }

  spend(): void {
    this.nowNs += this.callNs;
  }

  isReady(handle: number): boolean {
    const item = this.items.get(handle);
    switch (item?.kind) {
      case "listener":
        return item.queue.length > 0;
      case "connection":
        return item.client.sent.length > 0 || item.client.hasClosed;
      case "set":
        return item.set.hasReady();
      case "wake":
        return this.hasRung;
      case "process":
        return this.gonePids.has(item.pid);
      default:
        return false;
    }
  }

  /** Handles of a kind. */
  count(kind: Item["kind"]): number {
    return [...this.items.values()].filter((item) => item.kind === kind).length;
  }

  private open(item: Item): number {
    let handle = 0;
    while (this.items.has(handle)) handle++;
    this.items.set(handle, item);
    return handle;
  }

  private get isExhausted(): boolean {
    return this.items.size >= this.handlesMax;
  }

  drainWake(): boolean {
    const { hasRung } = this;
    this.hasRung = false;
    return hasRung;
  }

  openSet(readyMax: number): ReadySet | undefined {
    if (this.isExhausted) return undefined;
    let handle = 0;
    while (this.items.has(handle)) handle++;
    const set = new FakeSet(this, handle, readyMax);
    this.items.set(handle, { kind: "set", set });
    return set;
  }

  accept({ handle }: Listener): number {
    this.spend();
    const queue = this.queueOf(handle);
    if (queue.length === 0) return SocketFailure.again;
    if (this.isExhausted) return SocketFailure.exhausted;
    return this.open({ kind: "connection", client: queue.shift()! });
  }

  peerUid(handle: number): number {
    return this.clientOf(handle).uid;
  }

  receive(handle: number, bytesMax: number): number {
    this.spend();
    const client = this.clientOf(handle);
    const bytes = client.sent.shift();
    if (bytes === undefined) return client.hasClosed ? 0 : SocketFailure.again;
    this.message.fill(0xee);
    this.message.set(bytes.subarray(0, bytesMax));
    this.senderPid = client.hasCredentials ? client.pid : 0;
    this.senderUid = client.hasCredentials ? client.uid : 0;
    if (bytes.length <= bytesMax) return bytes.length;
    if (!client.isStream) return bytesMax + 1;
    client.sent.unshift(bytes.slice(bytesMax));
    return bytesMax;
  }

  send(handle: number, message: Uint8Array<ArrayBuffer>): number {
    this.spend();
    const client = this.clientOf(handle);
    if (client.hasClosed) return SocketFailure.refused;
    if (client.replies.length >= client.room) return SocketFailure.again;
    const view = new DataView(message.buffer, message.byteOffset, REPLY_BYTES);
    client.replies.push(readReply(view, message.length)!);
    return message.length;
  }

  openProcess(pid: number): number {
    if (this.gonePids.has(pid)) return SocketFailure.gone;
    if (this.isExhausted) return SocketFailure.exhausted;
    return this.open({ kind: "process", pid });
  }

  close(handle: number): void {
    const item = this.items.get(handle);
    if (item === undefined) throw new Error(`handle ${handle} is closed twice`);
    if (item.kind === "connection") item.client.isCutOff = true;
    this.items.delete(handle);
    for (const other of this.items.values()) {
      if (other.kind === "set") other.set.members.delete(handle);
    }
  }

  protected clientOf(handle: number): FakeClient {
    const item = this.items.get(handle);
    if (item?.kind !== "connection") throw new Error(`handle ${handle} is no connection`);
    return item.client;
  }

  private queueOf(handle: number): FakeClient[] {
    const item = this.items.get(handle);
    if (item?.kind !== "listener") throw new Error(`handle ${handle} does not listen`);
    return item.queue;
  }
}
