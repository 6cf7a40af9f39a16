/**
 * Programs that ask the coordinator, and do as they were told or do not, and the sockets between them:
 * messages that wait, connections that end, processes whose end is told late.
 *
 * @module
 */
import { Member } from "../../../pipeline/memory/layout.ts";
import {
  type ReplyBytes,
  type Request,
  REQUEST_BYTES,
  RequestType,
  Status,
} from "../../../pipeline/promises/tmalloc_message.ts";
import { FakeClient } from "../../_support/fake_sockets.ts";
import { Broken, type SimContext } from "../context.ts";
import { type ClientEvents, SimSockets } from "../kernel/sim_sockets.ts";
import type { FakeProcess } from "../kernel/tasks.ts";
import { ASKING_UID, LYING_UID } from "../options.ts";
import { bytesOf, Program } from "./program.ts";

const PROGRAMS_MAX = 8;
const START = 3;
const EXEC_PAGES = 2;

export class Programs implements ClientEvents {
  readonly all = new Map<FakeProcess, Program>();
  sockets: SimSockets;
  granted = 0;
  private readonly sim: SimContext;

  constructor(sim: SimContext) {
    this.sim = sim;
    this.sockets = new SimSockets(sim, this);
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
    const program = new Program(process);
    this.all.set(process, program);
    return program;
  }

  /** The programs that run. */
  alive(): Program[] {
    this.closeEnded();
    return [...this.all.values()];
  }

  closeEnded(): void {
    for (const [process, program] of this.all) {
      if (process.state === "alive") continue;
      program.client?.close();
      this.all.delete(process);
    }
  }

  private connect(program: Program): FakeClient {
    const { pid, uid } = program.process;
    program.client ??= this.sockets.connect(
      new FakeClient(pid, uid, this.sim.random.oneIn(3)),
    );
    return program.client;
  }

  /** Sends a request; of a stream perhaps in two pieces, of which the second comes later. */
  private send(program: Program, request: Request): void {
    const client = this.connect(program);
    const message = bytesOf(request);
    const cut = this.sim.random.oneIn(3) ? this.sim.random.below(REQUEST_BYTES) : 0;
    if (!client.isStream || cut === 0) client.send(message);
    else {
      client.send(message.subarray(0, cut));
      program.rest = message.subarray(cut);
    }
  }

  private find(client: FakeClient): Program | undefined {
    return [...this.all.values()].find((program) => program.client === client);
  }

  replied(client: FakeClient, reply: ReplyBytes): void {
    const { type, status, committedBytes, hardBytes } = reply;
    const isGrant = type === RequestType.reserve || type === RequestType.wait ||
      type === RequestType.fork;
    if (isGrant && status === Status.ok) {
      this.granted++;
      if (committedBytes > hardBytes && this.sim.options.mistake === "") {
        throw new Broken(`I5: granted with ${committedBytes} bytes committed of ${hardBytes}`);
      }
    }
    this.find(client)?.answered(reply, this.sim.kernel.nowNs);
    // Whoever does not read has no room for more.
    if (client.room === Infinity) client.replies.length = 0;
  }

  cutOff(client: FakeClient): void {
    this.find(client)?.disconnected();
  }

  /** The process has executed itself. */
  startOver(): void {
    this.sockets.closeAll();
    this.sockets = new SimSockets(this.sim, this);
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
    if (program.rest !== undefined) {
      this.connect(program).send(program.rest);
      program.rest = undefined;
      return;
    }
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

  /** What is built of the new program meanwhile nobody asks for: only who has room left does so. */
  private exec(program: Program): void {
    if (program.process.uid === ASKING_UID && program.untouchedPages < EXEC_PAGES) return;
    this.sim.kernel.exec(program.process);
    this.close(program);
    program.startsAnew();
  }

  private close(program: Program): void {
    program.client?.close();
    program.disconnected();
  }

  /** Nobody says good-bye. */
  private end(program: Program): void {
    this.sim.kernel.exit(program.process);
    this.closeEnded();
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
    } else if (what < 68) this.babble(program);
    else if (what < 78) kernel.grow(process, Member.anon, random.between(1, 60));
    else if (what < 82) {
      if (program.anonPages > 0) {
        kernel.grow(process, Member.anon, -random.between(1, program.anonPages));
      }
    } else if (what < 87) this.close(program);
    else if (what < 90) this.exec(program);
    else if (this.all.size < PROGRAMS_MAX) {
      const child = kernel.fork(process);
      if (child !== undefined) this.add(child);
    } else this.end(program);
  }

  /** What is no request, who does not say who it is, and who does not read. */
  private babble(program: Program): void {
    const { random } = this.sim;
    const client = this.connect(program);
    const what = random.below(5);
    if (what === 0) {
      const bytes = new Uint8Array(random.below(2 * REQUEST_BYTES));
      for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256);
      client.send(bytes);
    } else if (what === 1) client.send(bytesOf(program.ask({})).subarray(0, random.below(32)));
    else if (what === 2) client.hasCredentials = !client.hasCredentials;
    else if (what === 3) client.room = random.below(3);
    else for (let left = 20; left > 0; left--) client.ask(RequestType.query, 0);
  }
}
