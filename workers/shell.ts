/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The shell around every worker: takes the first message, runs its agent until it is told to stop
 * or has been replaced, and shows signs of life. Longer than the workers themselves, because it holds
 * what all of them have in common.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import { HEARTBEAT_MS } from "../pipeline/memory/timing.ts";
import { turnEventLoop } from "./event_loop_turn.ts";
import { attachMemory, type Memory } from "../pipeline/memory/memory.ts";
import { attachRole } from "../pipeline/memory/doorbell.ts";
import { Fault, Role, roleName, RoleState, RoleWord } from "../pipeline/memory/layout.ts";
import { EventFd } from "../kernel/ffi/fd.ts";
import { gettid, openLibc } from "../kernel/ffi/libc.ts";
import { pinThread } from "../kernel/process/affinity.ts";
import { collectGarbage } from "../kernel/process/heap.ts";
import { setFifo, setThreadName } from "../kernel/process/self_protection.ts";
import type { WorkerInit } from "./protocol.ts";

/** What a worker does. */
export interface WorkerAgent {
  /** @returns Whether there was anything to do. */
  step(): boolean;
  /** Waits for work, at most so long. */
  sleep(timeoutMs: number): void;
  /** Goes through what must be quick, upon nobody, to have code and data at hand. */
  rehearse?(): void;
  /** Closes what no successor takes over, when it throws. */
  close?(): void;
  /** Whether the event loop must turn once, for calls that ended on other threads. */
  readonly wantsEventLoop?: boolean;
}

export interface WorkerContext {
  readonly memory: Memory;
  readonly init: WorkerInit;
  /** A sign of life, for long work. */
  readonly alive: () => void;
}

export interface ShellOptions {
  /** SCHED_FIFO priority, 0 for none. */
  readonly fifoPriority: number;
  /** Which of the config's CPUs is its own; any, when left out. */
  readonly cpu?: "pathCpu" | "readerCpu";
}

/** Runs a worker: called at the end of each worker's module. */
export function runWorker(
  options: ShellOptions,
  makeAgent: (context: WorkerContext) => WorkerAgent,
): void {
  self.onmessage = (message: MessageEvent<WorkerInit>): void => {
    self.onmessage = null;
    serve(message.data, options, makeAgent).catch((error: unknown) => {
      // The supervisor starts another; an uncaught error would spill its stack on stderr.
      self.postMessage(messageOf(error));
      self.close();
    });
  };
}

async function serve(
  init: WorkerInit,
  options: ShellOptions,
  makeAgent: (context: WorkerContext) => WorkerAgent,
): Promise<void> {
  const memory = attachMemory(init.memory);
  const words = attachRole(memory, init.role);
  openLibc();
  setThreadName(`toom-${roleName(init.role)}`);
  Atomics.store(words, RoleWord.tid, gettid());
  const alive = (): void => void Atomics.add(words, RoleWord.heartbeat, 1);
  const agent = makeAgent({ memory, init, alive });
  // Where somebody waits for enforcement to go on, that comes first.
  if (init.config.isFirstStart && init.epoch === 1) collectGarbage();
  // After the rehearsals: compiling is not urgent.
  const { realTime } = init.config;
  if (options.fifoPriority > 0 && realTime) setFifo(options.fifoPriority);
  const cpu = options.cpu === undefined ? -1 : init.config[options.cpu];
  const cpus = cpu >= 0 ? [cpu] : init.config.otherCpus;
  if (cpus.length > 0) pinThread(cpus);
  Atomics.store(words, RoleWord.epochSeen, init.epoch);
  Atomics.store(words, RoleWord.state, RoleState.running);
  try {
    await work(init, memory, words, agent);
  } catch (error) {
    agent.close?.();
    throw error;
  }
}

/**
 * Wakes the supervisor when reports were put since the last time. Not by its bell: the supervisor must
 * not wait for a lock that a worker may hold, see service/lifecycle/worker_wakes.ts.
 */
class SupervisorWake {
  private readonly words: Int32Array;
  private readonly eventFd: EventFd;
  private seen = 0;

  constructor(memory: Memory, fd: number) {
    this.words = attachRole(memory, Role.supervisor);
    this.eventFd = new EventFd(fd);
  }

  /** HOT: one load when there is nothing new. */
  wake(): void {
    const rung = Atomics.load(this.words, RoleWord.bell);
    if (rung === this.seen) return;
    this.seen = rung;
    this.eventFd.ring();
  }
}

async function work(
  init: WorkerInit,
  memory: Memory,
  words: Int32Array,
  agent: WorkerAgent,
): Promise<void> {
  const supervisor = new SupervisorWake(memory, init.config.wakeFds.supervisor);
  const alive = (): void => void Atomics.add(words, RoleWord.heartbeat, 1);
  const replaced = (): boolean => Atomics.load(words, RoleWord.epoch) !== init.epoch;
  while (Atomics.load(words, RoleWord.stop) === 0) {
    if (replaced()) return self.close();
    const fault = Atomics.load(words, RoleWord.fault);
    if (fault === Fault.throw) throw new Error("fault provoked: throw");
    if (fault === Fault.hang) {
      while (!replaced()) {
        Atomics.wait(words, RoleWord.bell, Atomics.load(words, RoleWord.bell), 50);
      }
      continue;
    }
    alive();
    const rehearse = Atomics.load(words, RoleWord.rehearse);
    if (rehearse !== words[RoleWord.rehearsed]) {
      agent.rehearse?.();
      Atomics.store(words, RoleWord.rehearsed, rehearse);
    }
    Atomics.store(words, RoleWord.pong, Atomics.load(words, RoleWord.ping));
    const isBusy = agent.step();
    supervisor.wake();
    if (isBusy) continue;
    if (agent.wantsEventLoop === true) await turnEventLoop(agent);
    else agent.sleep(HEARTBEAT_MS);
    supervisor.wake();
  }
  if (!replaced()) Atomics.store(words, RoleWord.state, RoleState.stopped);
  self.close();
}
