/**
 * A stage for the server of tmalloc: the real server on sockets without a kernel, and clients that do
 * what a test says.
 *
 * @module
 */
import { BROKEN_REASONS, CounterIndex, HeaderWord, Role } from "../../pipeline/memory/layout.ts";
import { Doorbell } from "../../pipeline/memory/doorbell.ts";
import { attachCounters } from "../../pipeline/memory/memory.ts";
import { RingProducer } from "../../pipeline/memory/ring.ts";
import { ReportWriter } from "../../pipeline/messages/reports.ts";
import { Ledger, ledgerBytes } from "../../pipeline/promises/ledger.ts";
import { TmallocServer } from "../../pipeline/promises/tmalloc_server.ts";
import { Desk } from "./desk.ts";
import { FakeProc } from "./fake_proc.ts";
import { FakeClient, FakeSockets } from "./fake_sockets.ts";

export const ANN = 1000;
export const BOB = 1001;
export const PAGE_BYTES = 4096;
export const HARD_PAGES = 1000;
const LEDGER_ROWS = 64;

/** Clients, and the server on sockets without a kernel. ANN and BOB have limits. */
export class Stage {
  readonly sockets = new FakeSockets();
  readonly desk = new Desk();
  readonly proc = new FakeProc();
  readonly counters = attachCounters(this.desk.memory, Role.coordinator);
  private readonly ledger = new ArrayBuffer(ledgerBytes(LEDGER_ROWS));
  private nextPid = 100;
  server: TmallocServer;

  constructor() {
    this.desk.limit(ANN, HARD_PAGES).limit(BOB, HARD_PAGES);
    Atomics.store(this.desk.memory.header, HeaderWord.sweepDone, 1);
    this.server = this.start();
  }

  /** A server, on what its predecessor has left. */
  start(): TmallocServer {
    const { memory } = this.desk;
    const ring = new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!);
    this.server = new TmallocServer({
      memory,
      ledger: new Ledger(this.ledger, LEDGER_ROWS, PAGE_BYTES, new Uint8Array(16)),
      counters: this.counters,
      reports: new ReportWriter(ring, this.counters, new Doorbell(memory, Role.supervisor)),
      clock: { nowNs: () => this.sockets.nowNs += 100, suspendedNs: () => 0 },
      sockets: this.sockets,
      proc: this.proc,
      pageBytes: PAGE_BYTES,
      procErrorPages: 0,
    });
    return this.server;
  }

  /** A process that connects. */
  client(uid = ANN, isStream = false): FakeClient {
    const pid = this.nextPid++;
    this.proc.entries.set(pid, { uid });
    return this.sockets.connect(new FakeClient(pid, uid, isStream));
  }

  /** More connections of a process. */
  again(client: FakeClient): FakeClient {
    return this.sockets.connect(new FakeClient(client.pid, client.uid, client.isStream));
  }

  end(client: FakeClient): void {
    client.close();
    this.proc.entries.delete(client.pid);
    this.sockets.gonePids.add(client.pid);
  }

  /** So many turns that do not wait. */
  turns(count = 4): this {
    for (let i = 0; i < count; i++) this.server.turn(0);
    return this;
  }

  /** Turns until there is nothing to do. */
  settle(): this {
    for (let i = 0; i < 10_000; i++) if (!this.server.turn(0)) return this;
    throw new Error("it never rests");
  }

  /** Sleeps, as the worker does when there was nothing. */
  sleep(ms = 200): this {
    const untilNs = this.sockets.nowNs + ms * 1e6;
    while (this.sockets.nowNs < untilNs) this.server.turn(ms);
    return this;
  }

  broken(reason: typeof BROKEN_REASONS[number]): number {
    return this.counters[CounterIndex.broken + BROKEN_REASONS.indexOf(reason)]!;
  }

  get refused(): number {
    return this.counters[CounterIndex.connectionsRefused]!;
  }

  get connections(): number {
    return this.counters[CounterIndex.connections]!;
  }
}
