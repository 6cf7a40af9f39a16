/**
 * A coordinator with many clients, and nothing else: what an answer costs without a socket.
 *
 * @module
 */
import {
  Coordinator,
  type CoordinatorHost,
  type ProcessIdentity,
} from "../../pipeline/promises/coordinator.ts";
import { Doorbell } from "../../pipeline/memory/doorbell.ts";
import {
  HeaderWord,
  ProcessState,
  Role,
  TABLE_HEADER_BYTES,
  TableWord,
  UserState,
} from "../../pipeline/memory/layout.ts";
import { Ledger, ledgerBytes } from "../../pipeline/promises/ledger.ts";
import { LimitRules } from "../../pipeline/limits/limits.ts";
import { RulesPublisher } from "../../pipeline/limits/published_rules.ts";
import {
  attachCounters,
  attachMemory,
  createMemory,
  DEFAULT_CAPACITY,
} from "../../pipeline/memory/memory.ts";
import { ReportWriter } from "../../pipeline/messages/reports.ts";
import { RingProducer } from "../../pipeline/memory/ring.ts";
import {
  makeRequest,
  type Reply,
  RequestType,
  Status,
} from "../../pipeline/promises/tmalloc_message.ts";

const UID = 1000;
const HARD_PAGES = 1 << 20;
const RESIDENT_PAGES = 100;
const FIRST_PID = 1000;

export interface AdmissionOptions {
  /** Processes of the user, all of which ask. */
  readonly clients: number;
  /** Whether each of them has made a claim. */
  readonly claims: boolean;
}

export class AdmissionRun implements CoordinatorHost {
  granted = 0;
  private readonly clients: number;
  private readonly coordinator: Coordinator;
  private readonly request = makeRequest();
  private turn = 0;

  constructor({ clients, claims }: AdmissionOptions) {
    this.clients = clients;
    const memory = attachMemory(createMemory(DEFAULT_CAPACITY));
    const rules = new LimitRules();
    const softPages = HARD_PAGES / 2;
    rules.set({ uidFirst: UID, uidLast: UID, hardPages: HARD_PAGES, softPages });
    new RulesPublisher(memory.settings).publish(rules);
    const { users, processes, plan, buffer } = memory;
    Atomics.store(memory.header, HeaderWord.sweepDone, 1);
    users.uid[0] = UID;
    users.state[0] = UserState.ok;
    users.usagePages[0] = clients * RESIDENT_PAGES;
    new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4)[TableWord.highWater] = 1;
    for (let slot = 0; slot < clients; slot++) {
      processes.tgid[slot] = FIRST_PID + slot;
      processes.state[slot] = ProcessState.alive;
      processes.userSlot[slot] = 0;
      processes.pages[slot] = RESIDENT_PAGES;
    }
    new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4)[TableWord.highWater] = clients;
    const counters = attachCounters(memory, Role.coordinator);
    this.coordinator = new Coordinator(
      memory,
      new Ledger(
        new ArrayBuffer(ledgerBytes(clients)),
        clients,
        DEFAULT_CAPACITY.pageBytes,
        new Uint8Array(16),
      ),
      this,
      counters,
      new ReportWriter(
        new RingProducer(buffer, plan.reportRings[Role.coordinator]!),
        counters,
        new Doorbell(memory, Role.supervisor),
      ),
    );
    this.pass(clients);
    if (!claims) return;
    for (let client = 0; client < clients; client++) {
      this.ask(client, RequestType.claim, RESIDENT_PAGES * 2);
    }
  }

  identify(pid: number): ProcessIdentity | undefined {
    return { startTicks: pid, imageId: 1, parentPid: 1, residentPages: RESIDENT_PAGES };
  }

  reply(_connection: number, reply: Reply): void {
    if (reply.status === Status.ok) this.granted++;
  }

  watch(): boolean {
    return true;
  }

  unwatch(): void {}

  /** One client after the other reserves ten pages, and gives them back in the next round. */
  pass(requests: number): void {
    for (let i = 0; i < requests; i++, this.turn++) {
      const isFirst = Math.floor(this.turn / this.clients) % 2 === 0;
      this.ask(this.turn % this.clients, isFirst ? RequestType.reserve : RequestType.release, 10);
    }
  }

  private ask(client: number, type: RequestType, pages: number): void {
    const { request } = this;
    request.type = type;
    request.pages = request.minPages = pages;
    this.coordinator.request(this.turn * 1000, client, FIRST_PID + client, UID, request);
  }
}
