/**
 * The roles of toom, all on one memory: started, ended in the middle of a step, replaced, and all of
 * them made anew.
 *
 * @module
 */
import type { Books } from "../../pipeline/books/books.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import { Role, RoleWord } from "../../pipeline/memory/layout.ts";
import { gracesOf, putGraces } from "../../pipeline/kill/carried_graces.ts";
import { loweringsOf, putLowerings } from "../../pipeline/limits/carried_lowerings.ts";
import { attachMemory, createMemory, type Memory } from "../../pipeline/memory/memory.ts";
import type { Report } from "../../pipeline/messages/reports.ts";
import { Ledger, ledgerBytes } from "../../pipeline/promises/ledger.ts";
import type { SimContext } from "./context.ts";
import { KillJudge } from "./invariants/kills.ts";
import { ReliefJudge } from "./invariants/relief.ts";
import { inFlightPages, oldestInFlightNs } from "./invariants/in_flight.ts";
import { SimRecord } from "./kernel/sim_brake.ts";
import { SimKillKernel } from "./kernel/sim_kill.ts";
import { Written } from "./kernel/sim_trace_source.ts";
import type { SimOptions } from "./options.ts";
import type { Programs } from "./programs/programs.ts";
import { AccountingRole } from "./roles/books.ts";
import { CoordinatorRole } from "./roles/coordinator.ts";
import { KillerRole } from "./roles/killer.ts";
import { ReaderRole } from "./roles/reader.ts";
import { SupervisorRole, type Threads } from "./roles/supervisor.ts";
import { SweeperRole } from "./roles/sweeper.ts";
import { SimSettings } from "./settings.ts";

const PAGE_BYTES = 4096;
const LEDGER_ROWS = 64;
const PROCESSES = 128;
const BOOT = new Uint8Array(16);

export interface SimRole {
  step(): unknown;
  /** What the worker's shell closes when the role throws. */
  close?(): void;
}

function makeMemory(options: SimOptions, settings: SimSettings): Memory {
  const memory = attachMemory(createMemory({
    readers: options.readers,
    ringRecords: options.ringRecords,
    users: 16,
    processes: PROCESSES,
    tasks: 512,
    mms: 256,
    rules: 8,
    pageBytes: PAGE_BYTES,
  }));
  settings.publish(memory);
  return memory;
}

export class Machine {
  memory: Memory;
  readonly roles = new Map<number, SimRole>();
  readonly readers = new Map<number, ReaderRole>();
  /** The last one, whether it lives or not. */
  private accounting!: AccountingRole;
  readonly settings: SimSettings;
  coordinator: CoordinatorRole | undefined;
  supervisor!: SupervisorRole;
  readonly written: Written;
  readonly judge: KillJudge;
  readonly relief: ReliefJudge;
  readonly reports: Report[] = [];
  /** Predecessors that somebody has taken the place of while they hung. */
  readonly late: SimRole[] = [];
  /** Outlives the process. */
  readonly brakeRecord = new SimRecord();
  /** Of all incarnations. */
  sweeps = 0;
  private readonly sim: SimContext;
  private readonly threads: Threads;
  private readonly programs: Programs;
  private readonly killKernel: SimKillKernel;
  private readonly ledgerMemory = new ArrayBuffer(ledgerBytes(LEDGER_ROWS));

  constructor(sim: SimContext, threads: Threads, programs: Programs) {
    this.sim = sim;
    this.threads = threads;
    this.programs = programs;
    this.settings = new SimSettings(sim, PAGE_BYTES, PROCESSES);
    this.memory = makeMemory(sim.options, this.settings);
    this.written = new Written(sim.options.readers);
    this.judge = new KillJudge(sim, (uid) => this.inFlightPages(uid));
    this.relief = new ReliefJudge(sim, this.judge);
    this.killKernel = new SimKillKernel(sim, this.judge);
  }

  get books(): Books {
    return this.accounting.accounting.books;
  }

  /** All roles that are watched. */
  get roleNumbers(): number[] {
    const roles: number[] = [Role.accounting, Role.killer, Role.sweeper];
    if (this.sim.options.asks || this.sim.options.lies) roles.push(Role.coordinator);
    for (let index = 0; index < this.sim.options.readers; index++) roles.push(Role.reader + index);
    return roles;
  }

  begin(): void {
    this.supervisor = new SupervisorRole(this.sim, this.threads, this.roleNumbers, this.reports);
    this.supervisor.begin();
  }

  /** The process executes itself: what it had in memory, and its descriptors, are gone. */
  startOver(): void {
    this.supervisor.readReports();
    const graces = gracesOf(this.memory);
    const lowerings = loweringsOf(this.memory);
    this.memory = makeMemory(this.sim.options, this.settings);
    putGraces(this.memory, graces, this.sim.kernel.nowNs);
    putLowerings(this.memory, lowerings);
    this.sim.kernel.tracing.remake();
    this.roles.clear();
    this.readers.clear();
    this.late.length = 0;
    this.written.clear();
    this.killKernel.closeAllBut(graces.map(({ pidfd }) => pidfd));
    this.programs.startOver();
    this.judge.forgetAllBut(graces.map(({ pid }) => pid));
    this.begin();
  }

  /** A new incarnation of a role. */
  make(role: number, epoch: number, isSuccessor: boolean): void {
    const { sim } = this;
    let made: SimRole;
    if (role === Role.accounting) {
      if (isSuccessor) this.judge.forgetSharers();
      made = this.accounting = new AccountingRole(sim, {
        wakeCoordinator: () => {
          this.programs.sockets.hasRung = true;
        },
        onAnew: () => this.judge.forgetSharers(),
      });
    } else if (role === Role.killer) {
      if (isSuccessor) this.judge.forgetSharers();
      made = new KillerRole(sim, this.killKernel, this.judge);
    } else if (role === Role.sweeper) made = new SweeperRole(sim, epoch, this, this.brakeRecord);
    else if (role === Role.coordinator) {
      const ledger = new Ledger(this.ledgerMemory, LEDGER_ROWS, PAGE_BYTES, BOOT);
      made = this.coordinator = new CoordinatorRole(sim, ledger, this.programs.sockets);
    } else {
      const index = role - Role.reader;
      const reader = new ReaderRole(sim, index, epoch, this.written);
      this.readers.set(role, reader);
      made = reader;
    }
    this.roles.set(role, made);
  }

  /** A role's thread has thrown. */
  died(role: number, reason: string): void {
    this.roles.get(role)?.close?.();
    this.roles.delete(role);
    this.supervisor.threw(role, reason);
  }

  heartbeat(role: number): void {
    Atomics.add(attachRole(this.memory, role), RoleWord.heartbeat, 1);
  }

  inFlightPages(uid: number): number {
    const { kernel } = this.sim;
    return inFlightPages(kernel, uid, oldestInFlightNs(kernel, this.readers.values()));
  }

  /** Whether the kernel has events that nobody has read. */
  get hasUnread(): boolean {
    return this.sim.kernel.tracing.buffers.some(({ events }) => events.length > 0);
  }
}
