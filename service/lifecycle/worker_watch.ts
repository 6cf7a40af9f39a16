/**
 * The workers' lives: started, watched by their heartbeat, replaced when they throw, stopped.
 *
 * A worker that has thrown is replaced as soon as its thread is gone, on the same memory. One that
 * hangs may wake up at any time and go on where it stood: write, signal, use descriptors that belong
 * to somebody else by then. It cannot be ended from outside (worker.terminate() does not interrupt a
 * thread that waits or spins), so nobody takes its place: the whole process must start over.
 *
 * @module
 */
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { readTextFile } from "../../kernel/ffi/fd.ts";
import { Fault, Role, roleName, RoleState, RoleWord } from "../../pipeline/memory/layout.ts";
import { calm, calmThis, hurry } from "./start_priority.ts";
import type { WorkerConfig, WorkerInit } from "../../workers/protocol.ts";

/** No heartbeat for so long: it hangs. */
const HANGS_AFTER_MS = 500;
/**
 * Nor for so long, of one whose thread is ready to run: if it is of ordinary priority it may only have
 * had no CPU.
 */
const STARVES_AFTER_MS = 2000;
/** Nor for so long, of one that waits for a disk: starting over would have to wait for that too. */
const BLOCKS_AFTER_MS = 5000;
/**
 * Of the time between two looks no more counts as silence: if this thread itself did not run, or the
 * machine did not, the others' silence meanwhile proves nothing.
 */
const SILENCE_MS_MAX = HANGS_AFTER_MS / 2;
/** A thread that has thrown ends within this time, or it is taken for one that hangs. */
const ENDS_WITHIN_MS = 300;
/** Loading a worker's modules may take a while on a busy machine. */
const START_MS_MAX = 10_000;
/** A worker that dies at once, again and again, is not started more often than this. */
const RESTART_EVERY_MS = 1000;

/** Told when a worker has been replaced and works. */
export type OnRestart = (role: string, reason: string, downMs: number) => void;

/**
 * Told, again and again, that a worker hangs: nobody may take its place in this process.
 * @param silentMs Since when it does not work.
 */
export type OnHang = (role: string, reason: string, silentMs: number) => void;

/** How a worker is. */
export interface LifeReport {
  readonly role: number;
  readonly restarts: number;
  readonly heartbeatAgeMs: number;
  /** {@link RoleState}. */
  readonly state: number;
}

interface Life {
  readonly role: number;
  readonly words: Int32Array;
  worker: Worker | undefined;
  heartbeat: number;
  /** When the heartbeat was last seen to move. */
  movedMs: number;
  /** How long it has not moved since, as far as that counts. */
  silentMs: number;
  restartedMs: number;
  restarts: number;
  /** The thread of one that has thrown is being waited for. */
  isEnding: boolean;
  /** Why it is being replaced, and since when it does not work; undefined when all is well. */
  failure: { readonly reason: string; readonly sinceMs: number } | undefined;
}

/** Modules as literals, so that `deno compile` finds them. */
function moduleOf(role: number): URL {
  switch (role) {
    case Role.accounting:
      return new URL("../../workers/accounting.ts", import.meta.url);
    case Role.killer:
      return new URL("../../workers/killer.ts", import.meta.url);
    case Role.coordinator:
      return new URL("../../workers/coordinator.ts", import.meta.url);
    case Role.sweeper:
      return new URL("../../workers/sweeper.ts", import.meta.url);
    default:
      return new URL("../../workers/reader.ts", import.meta.url);
  }
}

export class WorkerWatch {
  private readonly memory: Memory;
  private readonly config: WorkerConfig;
  private readonly wakeFd: (role: number) => void;
  private readonly onRestart: OnRestart;
  private readonly onHang: OnHang;
  private readonly lives: Life[];
  private stopping = false;
  private checkedMs = 0;

  /**
   * @param wakeFd Wakes a role that sleeps in poll(2) rather than on its bell.
   * @param restarts Of each role before this process started over.
   */
  constructor(
    memory: Memory,
    config: WorkerConfig,
    wakeFd: (role: number) => void,
    onRestart: OnRestart,
    onHang: OnHang,
    restarts: Readonly<Record<string, number>> = {},
  ) {
    this.memory = memory;
    this.config = config;
    this.wakeFd = wakeFd;
    this.onRestart = onRestart;
    this.onHang = onHang;
    const roles = [Role.accounting, Role.killer, Role.coordinator, Role.sweeper] as number[];
    config.readers.forEach((_, index) => roles.push(Role.reader + index));
    this.lives = roles.map((role) => ({
      role,
      words: attachRole(memory, role),
      worker: undefined,
      heartbeat: 0,
      movedMs: 0,
      silentMs: 0,
      restartedMs: -Infinity,
      restarts: restarts[roleName(role)] ?? 0,
      isEnding: false,
      failure: undefined,
    }));
  }

  /** Starts all. @returns When every one of them runs. @throws {Error} When one does not in time. */
  async start(): Promise<void> {
    for (const life of this.lives) this.spawn(life);
    const deadlineMs = performance.now() + START_MS_MAX;
    for (const life of this.lives) {
      while (Atomics.load(life.words, RoleWord.state) !== RoleState.running) {
        if (life.failure !== undefined) {
          throw new Error(`Cannot start the worker ${roleName(life.role)}: ${life.failure.reason}`);
        }
        if (performance.now() > deadlineMs) {
          throw new Error(`Cannot start the worker ${roleName(life.role)}: no sign of life`);
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
  }

  private spawn(life: Life): void {
    const { role, words } = life;
    const nowMs = performance.now();
    life.movedMs = nowMs;
    life.silentMs = 0;
    life.heartbeat = Atomics.load(words, RoleWord.heartbeat);
    Atomics.store(words, RoleWord.fault, Fault.none);
    Atomics.store(words, RoleWord.state, RoleState.starting);
    Atomics.store(words, RoleWord.tid, 0);
    const epoch = Atomics.add(words, RoleWord.epoch, 1) + 1;
    const worker = new Worker(moduleOf(role), { type: "module", name: roleName(role) });
    life.worker = worker;
    const onThrow = (message: string): void => {
      if (life.worker === worker) void this.threw(life, `threw: ${message}`);
    };
    worker.onmessage = (event: MessageEvent<string>) => onThrow(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      onThrow(event.message);
    };
    const init: WorkerInit = {
      memory: this.memory.buffer,
      role,
      epoch,
      config: this.config,
    };
    worker.postMessage(init);
  }

  private async threw(life: Life, reason: string): Promise<void> {
    if (this.stopping) return;
    const sinceMs = life.failure?.sinceMs ?? performance.now();
    life.failure ??= { reason, sinceMs };
    life.worker?.terminate();
    life.worker = undefined;
    life.isEnding = true;
    // 0: it threw before it touched anything.
    const tid = Atomics.load(life.words, RoleWord.tid);
    const deadlineMs = performance.now() + ENDS_WITHIN_MS;
    while (tid !== 0 && isThread(tid) && !this.stopping) {
      if (performance.now() > deadlineMs) {
        const silentMs = performance.now() - sinceMs;
        this.onHang(roleName(life.role), `${reason}, and its thread does not end`, silentMs);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    life.isEnding = false;
    if (!this.stopping) this.respawn(life);
  }

  private respawn(life: Life): void {
    // At once; but one that keeps failing must not take the machine with it.
    const nowMs = performance.now();
    if (nowMs - life.restartedMs < RESTART_EVERY_MS) return;
    life.restartedMs = nowMs;
    life.restarts++;
    // What it was there for waits for it; it has a priority of its own when it works.
    hurry();
    this.spawn(life);
    calmThis();
  }

  /** Looks at the heartbeats; to be called a few times a second. */
  check(): void {
    if (this.stopping) return;
    const nowMs = performance.now();
    const sinceMs = Math.min(nowMs - this.checkedMs, SILENCE_MS_MAX);
    this.checkedMs = nowMs;
    for (const life of this.lives) {
      const { words } = life;
      const heartbeat = Atomics.load(words, RoleWord.heartbeat);
      const state = Atomics.load(words, RoleWord.state);
      if (heartbeat === life.heartbeat) life.silentMs += sinceMs;
      else {
        life.heartbeat = heartbeat;
        life.movedMs = nowMs;
        life.silentMs = 0;
      }
      if (life.worker === undefined) {
        if (!life.isEnding) this.respawn(life);
        continue;
      }
      if (life.failure !== undefined && state === RoleState.running) {
        calm();
        const { reason, sinceMs: failedMs } = life.failure;
        life.failure = undefined;
        this.onRestart(roleName(life.role), reason, Math.round(nowMs - failedMs));
      }
      if (life.silentMs <= HANGS_AFTER_MS) continue;
      const patienceMs = state === RoleState.starting ? START_MS_MAX : patienceWith(life);
      if (life.silentMs > patienceMs) {
        const silentMs = nowMs - life.movedMs;
        const reason = `hung: no heartbeat for ${Math.round(silentMs)} ms`;
        this.onHang(roleName(life.role), reason, silentMs);
      }
    }
  }

  /** Asks a worker for an answer through shared memory. @throws {Error} When none comes in time. */
  async ping(role: number, timeoutMs: number): Promise<void> {
    const life = this.lives.find((one) => one.role === role);
    if (life === undefined) throw new Error(`Cannot ping ${roleName(role)}: there is none`);
    const { words } = life;
    const ping = Atomics.add(words, RoleWord.ping, 1) + 1;
    this.wake(life);
    const deadlineMs = performance.now() + timeoutMs;
    while (Atomics.load(words, RoleWord.pong) !== ping) {
      if (performance.now() > deadlineMs) {
        throw new Error(`Cannot start: the worker ${roleName(role)} does not answer`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Has all workers rehearse. @returns When they have, or the time is over. */
  async rehearse(timeoutMs: number): Promise<void> {
    for (const life of this.lives) {
      Atomics.add(life.words, RoleWord.rehearse, 1);
      this.wake(life);
    }
    const deadlineMs = performance.now() + timeoutMs;
    const busy = ({ words }: Life): boolean =>
      Atomics.load(words, RoleWord.rehearsed) !== Atomics.load(words, RoleWord.rehearse);
    while (this.lives.some(busy) && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Provokes a fault in a worker. @returns false when there is none of that name. */
  provoke(role: string, fault: number): boolean {
    const life = this.lives.find((one) => roleName(one.role) === role);
    if (life === undefined) return false;
    Atomics.store(life.words, RoleWord.fault, fault);
    this.wake(life);
    return true;
  }

  /** Wakes a worker that sleeps in poll(2); one that sleeps on its bell looks soon. */
  private wake(life: Life): void {
    Atomics.add(life.words, RoleWord.bell, 1);
    this.wakeFd(life.role);
  }

  /** What `toom status` says of the workers. */
  reports(): LifeReport[] {
    const nowMs = performance.now();
    return this.lives.map((life) => ({
      role: life.role,
      restarts: life.restarts,
      heartbeatAgeMs: Math.max(0, Math.round(nowMs - life.movedMs)),
      state: Atomics.load(life.words, RoleWord.state),
    }));
  }

  /** Asks all to stop. @returns Whether all did in time; the others end with the process. */
  async stop(timeoutMs: number): Promise<boolean> {
    this.stopping = true;
    for (const life of this.lives) {
      Atomics.store(life.words, RoleWord.stop, 1);
      this.wake(life);
    }
    const deadlineMs = performance.now() + timeoutMs;
    const alive = (life: Life): boolean =>
      Atomics.load(life.words, RoleWord.state) !== RoleState.stopped;
    while (this.lives.some(alive)) {
      if (performance.now() > deadlineMs) return false;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return true;
  }
}

/** Whether this process still has a thread of that number. */
function isThread(tid: number): boolean {
  return threadState(tid) !== undefined;
}

/** One letter, as proc_pid_stat(5) has it; undefined: there is no such thread. */
function threadState(tid: number): string | undefined {
  try {
    const stat = readTextFile(`/proc/self/task/${tid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2)[0];
  } catch {
    return undefined;
  }
}

/** Roles that the way from an event to a kill leads through: they have a CPU whenever they want it. */
function isOnTheWay(role: number): boolean {
  return role === Role.accounting || role === Role.killer || role >= Role.reader;
}

function patienceWith({ words, role }: Life): number {
  const state = threadState(Atomics.load(words, RoleWord.tid));
  if (state === "D") return BLOCKS_AFTER_MS;
  return state === "R" && !isOnTheWay(role) ? STARVES_AFTER_MS : HANGS_AFTER_MS;
}
