/**
 * The coordinator's sockets on the fake kernel: clients are processes of it, and a process that was
 * opened is that process, whoever gets its number next.
 *
 * @module
 */
import { Role } from "../../../pipeline/memory/layout.ts";
import { type Listener, type ReadySet, SocketFailure } from "../../../pipeline/ports.ts";
import type { ReplyBytes } from "../../../pipeline/promises/tmalloc_message.ts";
import { type FakeClient, FakeSockets } from "../../_support/fake_sockets.ts";
import type { SimContext } from "../context.ts";
import type { FakeProcess } from "./tasks.ts";

const CALL_NS = 5000;

/** What becomes of clients. */
export interface ClientEvents {
  /** The kernel closes what those who have ended had open. */
  closeEnded(): void;
  /** A reply has come. */
  replied(client: FakeClient, reply: ReplyBytes): void;
  /** The other end of its connection is closed. */
  cutOff(client: FakeClient): void;
}

export class SimSockets extends FakeSockets {
  /** Nothing fails: who cannot even begin is no coordinator. */
  isBeginning = false;
  private readonly sim: SimContext;
  private readonly clients: ClientEvents;
  private readonly processes = new Map<number, FakeProcess>();

  constructor(sim: SimContext, clients: ClientEvents) {
    super();
    this.sim = sim;
    this.clients = clients;
    this.failsToAdd = () => this.fails;
  }

  private get fails(): boolean {
    return !this.isBeginning && this.sim.failsNow();
  }

  override spend(): void {
    this.sim.call(Role.coordinator, CALL_NS);
    this.clients.closeEnded();
  }

  override isReady(handle: number): boolean {
    const process = this.processes.get(handle);
    return process === undefined ? super.isReady(handle) : process.state !== "alive";
  }

  override openSet(readyMax: number): ReadySet | undefined {
    this.spend();
    return this.fails ? undefined : super.openSet(readyMax);
  }

  override accept(listener: Listener): number {
    this.spend();
    return this.fails ? SocketFailure.exhausted : super.accept(listener);
  }

  override peerUid(handle: number): number {
    this.spend();
    return super.peerUid(handle);
  }

  override send(handle: number, message: Uint8Array<ArrayBuffer>): number {
    const sent = super.send(handle, message);
    const client = this.clientOf(handle);
    const reply = client.replies.at(-1);
    if (sent > 0 && reply !== undefined) this.clients.replied(client, reply);
    return sent;
  }

  override openProcess(pid: number): number {
    this.spend();
    const process = this.sim.kernel.processes.get(pid);
    if (process === undefined) return SocketFailure.gone;
    if (this.fails) return SocketFailure.exhausted;
    const handle = super.openProcess(pid);
    if (handle >= 0) this.processes.set(handle, process);
    return handle;
  }

  override close(handle: number): void {
    const item = this.items.get(handle);
    super.close(handle);
    this.processes.delete(handle);
    if (item?.kind === "connection") this.clients.cutOff(item.client);
  }

  /** The process executes itself: all of its descriptors are closed. */
  closeAll(): void {
    for (const item of [...this.items.values()]) {
      if (item.kind === "connection") this.clients.cutOff(item.client);
      if (item.kind !== "listener") continue;
      for (const client of item.queue.splice(0)) this.clients.cutOff(client);
    }
  }
}
