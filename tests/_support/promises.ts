/**
 * A world of programs that ask: the real coordinator and the real accounting on one memory, and
 * programs that do as they were allowed, in any order, with tables that lag behind.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  Coordinator,
  type CoordinatorHost,
  type ProcessIdentity,
} from "../../pipeline/promises/coordinator.ts";
import { CounterIndex, HeaderWord, Role } from "../../pipeline/memory/layout.ts";
import { Ledger, ledgerBytes } from "../../pipeline/promises/ledger.ts";
import { attachCounters } from "../../pipeline/memory/memory.ts";
import { Doorbell } from "../../pipeline/memory/doorbell.ts";
import { ReportWriter } from "../../pipeline/messages/reports.ts";
import { RingProducer } from "../../pipeline/memory/ring.ts";
import {
  makeRequest,
  type Reply,
  type Request,
  RequestType,
  Status,
} from "../../pipeline/promises/tmalloc_message.ts";
import { Desk } from "./desk.ts";

const PAGE_BYTES = 4096;
const LEDGER_ROWS = 64;
const BOOT = new Uint8Array(16);

/** Pages that several processes share since a fork, until one of them is left. */
interface SharedBlock {
  readonly pages: number;
  readonly holders: Set<Program>;
}

/** What the world knows of a program, beyond what it told anybody. */
export interface Program {
  readonly pid: number;
  mmId: number;
  /** Truly there. */
  residentPages: number;
  /** Granted, and not touched yet. */
  untouchedPages: number;
  /** Granted, and not given back. */
  reservedPages: number;
  levelPages: number;
  execs: number;
  connection: number;
  /** It waits for an answer. */
  isAsking: boolean;
  readonly parentPid: number;
  readonly blocks: Set<SharedBlock>;
}

export class PromiseWorld implements CoordinatorHost {
  readonly desk = new Desk();
  readonly programs = new Map<number, Program>();
  readonly uid: number;
  readonly hardPages: number;
  coordinator: Coordinator;
  /** Replies so far, newest last. */
  readonly replies: { connection: number; reply: Reply }[] = [];
  mostPages = 0;
  mostCountedPages = 0;
  private readonly ledgerMemory = new ArrayBuffer(ledgerBytes(LEDGER_ROWS));
  private nextMmId = 1000;
  private nextConnection = 1;
  /** Numbers come back soon, as they do. */
  private nextPid = 0;

  constructor(uid: number, hardPages: number) {
    this.uid = uid;
    this.hardPages = hardPages;
    this.desk.limit(uid, hardPages);
    Atomics.store(this.desk.memory.header, HeaderWord.sweepDone, 1);
    this.coordinator = this.startCoordinator();
  }

  /** A new coordinator on the same ledger: all connections are gone. */
  startCoordinator(): Coordinator {
    const { memory } = this.desk;
    const counters = attachCounters(memory, Role.coordinator);
    const ring = new RingProducer(memory.buffer, memory.plan.reportRings[Role.coordinator]!);
    const reports = new ReportWriter(ring, counters, new Doorbell(memory, Role.supervisor));
    const ledger = new Ledger(this.ledgerMemory, LEDGER_ROWS, PAGE_BYTES, BOOT);
    this.coordinator = new Coordinator(memory, ledger, this, counters, reports);
    this.coordinator.start();
    for (const program of this.programs.values()) {
      program.isAsking = false;
      program.connection = this.nextConnection++;
    }
    return this.coordinator;
  }

  get nowNs(): number {
    return this.desk.nowNs;
  }

  // ------------------------------------------------------------------------------------- host

  identify(pid: number): ProcessIdentity | undefined {
    const program = this.programs.get(pid);
    if (program === undefined) return undefined;
    return {
      startTicks: program.mmId % 7,
      imageId: program.execs,
      parentPid: program.parentPid,
      residentPages: program.residentPages,
    };
  }

  reply(connection: number, reply: Reply): void {
    this.replies.push({ connection, reply: { ...reply } });
    const program = [...this.programs.values()].find((one) => one.connection === connection);
    if (program === undefined) return;
    program.isAsking = false;
    program.levelPages = reply.levelPages;
    if (reply.status !== Status.ok) return;
    if (reply.type === RequestType.reserve || reply.type === RequestType.wait) {
      program.untouchedPages += reply.pages;
      program.reservedPages += reply.pages;
    }
  }

  watch(pid: number): boolean {
    return this.programs.has(pid);
  }

  unwatch(): void {}

  // --------------------------------------------------------------------------------- programs

  /** A program that was there before anybody asked. */
  spawn(pages: number): Program {
    const program = this.make(pages, 1);
    this.desk.proc(program.pid, this.uid, { anon: 0 });
    this.tell(program);
    this.sync();
    return program;
  }

  /** A program of which no table knows yet. */
  login(pages: number): Program {
    return this.make(pages, 1);
  }

  private make(pages: number, parentPid: number): Program {
    do this.nextPid = this.nextPid % 40 + 1; while (this.programs.has(100 + this.nextPid));
    const program: Program = {
      pid: 100 + this.nextPid,
      mmId: this.nextMmId++,
      residentPages: pages,
      untouchedPages: 0,
      reservedPages: 0,
      levelPages: 0,
      execs: 0,
      connection: this.nextConnection++,
      isAsking: false,
      parentPid,
      blocks: new Set(),
    };
    this.programs.set(program.pid, program);
    return program;
  }

  private tell(program: Program): void {
    this.desk.own(program.pid, program.mmId, { anon: program.residentPages });
    const pages = this.truePages();
    this.mostPages = Math.max(this.mostPages, pages);
    this.mostCountedPages = Math.max(this.mostCountedPages, this.countedPages());
    assert(pages <= this.hardPages, `I5: ${pages} pages are used of ${this.hardPages}`);
  }

  /** What is truly there: shared pages once. */
  truePages(): number {
    return this.countedPages() - this.creditPages();
  }

  /** The same, shared pages once for each process. */
  countedPages(): number {
    let pages = 0;
    for (const { residentPages } of this.programs.values()) pages += residentPages;
    return pages;
  }

  private creditPages(): number {
    const blocks = new Set([...this.programs.values()].flatMap((one) => [...one.blocks]));
    let pages = 0;
    for (const block of blocks) pages += block.pages * (block.holders.size - 1);
    return pages;
  }

  /** What accounting says that is counted more than once. */
  credit(pages: number): void {
    const row = this.desk.books.findUser(this.uid);
    if (row >= 0) this.desk.memory.users.creditPages[row] = pages;
  }

  /** Pages that are this program's alone. */
  privatePages(program: Program): number {
    let pages = program.residentPages;
    for (const block of program.blocks) pages -= block.pages;
    return pages;
  }

  private leaveBlocks(program: Program): void {
    for (const block of program.blocks) {
      block.holders.delete(program);
      for (const holder of block.holders) if (block.holders.size === 1) holder.blocks.delete(block);
    }
    program.blocks.clear();
  }

  ask(program: Program, fields: Partial<Request>): void {
    const request = { ...makeRequest(), id: 1, minPages: fields.pages ?? 0, ...fields };
    program.isAsking = true;
    const { connection, pid } = program;
    this.coordinator.request(this.desk.tick(), connection, pid, this.uid, request);
  }

  touch(program: Program, pages: number): void {
    const count = Math.min(pages, program.untouchedPages);
    program.untouchedPages -= count;
    program.residentPages += count;
    this.tell(program);
  }

  /** Gives pages back: first to the kernel, then to the coordinator. */
  giveBack(program: Program, pages: number): void {
    const most = program.untouchedPages + this.privatePages(program);
    const count = Math.min(pages, program.reservedPages, most);
    const touched = Math.max(0, count - program.untouchedPages);
    program.untouchedPages -= count - touched;
    program.residentPages -= touched;
    program.reservedPages -= count;
    this.tell(program);
    this.ask(program, { type: RequestType.release, pages: count });
  }

  /** Room must have been granted. The child declares what it has. */
  fork(parent: Program): Program {
    const child = this.make(parent.residentPages, parent.pid);
    child.execs = parent.execs;
    this.desk.foreign(parent.pid, child.mmId, { anon: child.residentPages });
    this.desk.fork(parent.pid, child.pid);
    this.tell(child);
    this.ask(child, { type: RequestType.declare, pages: child.residentPages });
    return child;
  }

  /**
   * What the child inherits is shared with its parent, and neither writes to it. The child says
   * that it may have what its parent was granted.
   */
  forkSharing(parent: Program): Program {
    const pages = this.privatePages(parent);
    const child = this.make(parent.residentPages, parent.pid);
    child.execs = parent.execs;
    if (pages > 0) parent.blocks.add({ pages, holders: new Set([parent]) });
    for (const block of parent.blocks) {
      block.holders.add(child);
      child.blocks.add(block);
    }
    this.desk.foreign(parent.pid, child.mmId, { anon: child.residentPages });
    this.desk.fork(parent.pid, child.pid);
    this.tell(child);
    return child;
  }

  /** A child's first word. */
  declare(child: Program, pages: number): void {
    this.ask(child, { type: RequestType.declare, pages });
  }

  exec(program: Program): void {
    this.leaveBlocks(program);
    this.desk.foreign(program.pid, program.mmId, { anon: 0 });
    program.mmId = this.nextMmId++;
    program.execs++;
    program.residentPages = Math.min(program.residentPages, 3);
    program.untouchedPages = program.reservedPages = program.levelPages = 0;
    program.isAsking = false;
    this.desk.exec(program.pid);
    this.tell(program);
    this.coordinator.disconnected(this.desk.tick(), program.connection);
    program.connection = this.nextConnection++;
  }

  /** By its own will or another's: nobody says good-bye. */
  end(program: Program): void {
    this.leaveBlocks(program);
    this.programs.delete(program.pid);
    this.desk.exit(program.pid).foreign(program.pid, program.mmId, { anon: 0 });
    const nowNs = this.desk.tick();
    this.coordinator.disconnected(nowNs, program.connection);
    this.coordinator.exited(nowNs, program.pid);
  }

  reconnect(program: Program): void {
    this.coordinator.disconnected(this.desk.tick(), program.connection);
    program.isAsking = false;
    program.connection = this.nextConnection++;
    const pages = Math.max(program.residentPages + program.untouchedPages, program.levelPages);
    this.ask(program, { type: RequestType.declare, pages, minPages: program.reservedPages });
  }

  // -------------------------------------------------------------------------------------- time

  /** The tables catch up. */
  sync(): void {
    this.desk.step();
    assertEquals(this.desk.usage(this.uid), this.countedPages());
  }

  /** Time passes for the coordinator. */
  turn(ns: number): void {
    this.coordinator.step(this.desk.tick(ns));
    this.coordinator.nextNs(this.desk.nowNs);
  }

  counter(index: number): number {
    return attachCounters(this.desk.memory, Role.coordinator)[index]!;
  }

  get granted(): number {
    return this.counter(CounterIndex.granted);
  }

  get denied(): number {
    return this.counter(CounterIndex.denied);
  }
}

/** The answer that came last. */
export function lastReply(world: PromiseWorld): Reply {
  return world.replies.at(-1)!.reply;
}

/** Asks. @returns What came of it, if anything did. */
export function ask(
  world: PromiseWorld,
  program: Program,
  type: RequestType,
  pages = 0,
  more: { minPages?: number; timeoutMs?: number } = {},
): Reply | undefined {
  const before = world.replies.length;
  world.ask(program, { type, pages, ...more });
  return world.replies.length > before ? lastReply(world) : undefined;
}
