/**
 * Programs that ask the coordinator, and do as they were told or do not, and the sockets between them:
 * messages that wait, connections that end, processes whose end is told late.
 *
 * @module
 */
import { Member } from "../../../pipeline/memory/layout.ts";
import {
  type Reply,
  type Request,
  RequestType,
} from "../../../pipeline/promises/tmalloc_message.ts";
import type { SimContext } from "../context.ts";
import type { FakeProcess } from "../kernel/tasks.ts";
import { ASKING_UID, LYING_UID } from "../options.ts";
import { Program } from "./program.ts";

/** What waits for the coordinator. */
export type Message =
  | {
    readonly kind: "request";
    readonly program: Program;
    readonly request: Request;
    readonly connection: number;
  }
  | { readonly kind: "closed"; readonly connection: number };

const PROGRAMS_MAX = 8;
const START = 3;

export class Programs {
  readonly all = new Map<FakeProcess, Program>();
  readonly messages: Message[] = [];
  private readonly sim: SimContext;
  private lastConnection = 0;

  constructor(sim: SimContext) {
    this.sim = sim;
    const { options, kernel, random } = sim;
    for (const uid of [ASKING_UID, LYING_UID]) {
      if (uid === ASKING_UID ? !options.asks : !options.lies) continue;
      for (let i = 0; i < START; i++) {
        const process = kernel.spawn(uid);
        kernel.grow(process, Member.anon, random.between(1, 20));
        this.add(process).startsAnew();
      }
    }
  }

  private add(process: FakeProcess): Program {
    const program = new Program(process, ++this.lastConnection);
    this.all.set(process, program);
    return program;
  }

  /** The programs that run. */
  alive(): Program[] {
    for (const process of this.all.keys()) {
      if (process.state !== "alive") this.all.delete(process);
    }
    return [...this.all.values()];
  }

  private send(program: Program, request: Request): void {
    const { connection } = program;
    this.messages.push({ kind: "request", program, request, connection });
  }

  answered(connection: number, reply: Reply): void {
    for (const program of this.all.values()) {
      if (program.connection === connection) program.answered(reply, this.sim.kernel.nowNs);
    }
  }

  /** Its predecessor is gone, and all connections and what waited on them with it. */
  coordinatorStarted(): void {
    this.messages.length = 0;
    for (const program of this.alive()) program.reconnects(++this.lastConnection);
  }

  /** A program does something. */
  step(): void {
    const { random } = this.sim;
    const programs = this.alive().filter(({ process }) => !process.suspended);
    if (programs.length === 0) return;
    const program = random.pick(programs);
    if (program.process.uid === LYING_UID) this.lie(program);
    else this.act(program);
  }

  // ---------------------------------------------------------------------------------- as agreed

  private act(program: Program): void {
    const { random, kernel } = this.sim;
    const { process } = program;
    if (program.isAsking) return;
    if (!program.isDeclared) {
      this.send(program, program.declaration());
      return;
    }
    if (program.forksUntilNs > kernel.nowNs) {
      this.fork(program);
      return;
    }
    const what = random.below(100);
    if (what < 30) {
      const pages = random.between(1, 60);
      const type = random.oneIn(3) ? RequestType.wait : RequestType.reserve;
      const minPages = random.oneIn(3) ? random.between(1, pages) : pages;
      this.send(program, program.ask({ type, pages, minPages, timeoutMs: random.below(100) }));
    } else if (what < 60) {
      const pages = Math.min(program.untouchedPages, random.between(1, 40));
      if (pages === 0) return;
      program.untouchedPages -= pages;
      kernel.grow(process, Member.anon, pages);
    } else if (what < 82) this.giveBack(program, random.between(1, 60));
    else if (what < 86) {
      const pages = random.pick([0, random.between(1, 300)]);
      this.send(program, program.ask({ type: RequestType.claim, pages }));
    } else if (what < 89) this.send(program, program.ask({ type: RequestType.query }));
    else if (what < 93) {
      if (this.all.size < PROGRAMS_MAX) {
        this.send(program, program.ask({ type: RequestType.fork, pages: 0 }));
      }
    } else if (what < 95) kernel.copy(process, random.between(1, 20));
    else if (what < 97) this.close(program);
    else if (what < 98 && this.all.size > START) this.exec(program);
    else if (this.all.size > START) this.end(program);
  }

  /** Gives pages back: first to the kernel, then to the coordinator. */
  private giveBack(program: Program, pages: number): void {
    const count = Math.min(
      pages,
      program.reservedPages,
      program.untouchedPages + program.anonPages,
    );
    if (count === 0) return;
    const touched = Math.max(0, count - program.untouchedPages);
    program.untouchedPages -= count - touched;
    program.reservedPages -= count;
    if (touched > 0) this.sim.kernel.grow(program.process, Member.anon, -touched);
    this.send(program, program.ask({ type: RequestType.release, pages: count }));
  }

  private fork(program: Program): void {
    program.forksUntilNs = -Infinity;
    const child = this.sim.kernel.fork(program.process);
    if (child === undefined) return;
    const made = this.add(child);
    made.levelPages = made.residentPages;
    this.send(made, made.declaration());
  }

  private exec(program: Program): void {
    this.sim.kernel.exec(program.process);
    this.close(program);
    program.startsAnew();
  }

  private close(program: Program): void {
    this.messages.push({ kind: "closed", connection: program.connection });
    program.reconnects(++this.lastConnection);
  }

  /** Nobody says good-bye. */
  private end(program: Program): void {
    this.messages.push({ kind: "closed", connection: program.connection });
    this.sim.kernel.exit(program.process);
    this.all.delete(program.process);
  }

  // -------------------------------------------------------------------------------------- lies

  /** Levels that it does not have, releases of what it has not, memory that it never asked for. */
  private lie(program: Program): void {
    const { random, kernel } = this.sim;
    const { process } = program;
    const pages = random.pick([0, 1, random.between(1, 500), random.next() >>> 1]);
    const what = random.below(100);
    if (what < 60) {
      const type = random.pick([
        RequestType.reserve,
        RequestType.release,
        RequestType.query,
        RequestType.claim,
        RequestType.wait,
        RequestType.declare,
        RequestType.fork,
      ]);
      const minPages = random.pick([0, pages, random.between(0, pages)]);
      const noReply = random.oneIn(5);
      this.send(program, program.ask({ type, pages, minPages, noReply, timeoutMs: 60_000 }));
    } else if (what < 75) kernel.grow(process, Member.anon, random.between(1, 60));
    else if (what < 80) {
      if (program.anonPages > 0) {
        kernel.grow(process, Member.anon, -random.between(1, program.anonPages));
      }
    } else if (what < 86) this.close(program);
    else if (what < 90) this.exec(program);
    else if (this.all.size < PROGRAMS_MAX) {
      const child = kernel.fork(process);
      if (child !== undefined) this.add(child);
    } else this.end(program);
  }
}
