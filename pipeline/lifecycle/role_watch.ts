/**
 * What the supervisor decides about the workers: which is replaced, and when the whole process must
 * start over.
 *
 * A worker that has thrown is replaced as soon as its thread is gone, on the same memory. One that
 * hangs may wake up at any time and go on where it stood: write, signal, use descriptors that belong
 * to somebody else by then. It cannot be ended from outside, so nobody takes its place: the whole
 * process must start over. A heartbeat that does not rise is the sign; how long it may stand still
 * depends on what the thread does meanwhile.
 *
 * It has no thread and no clock: the supervisor and the simulator step the same class.
 *
 * @module
 */
import {
  BLOCKS_AFTER_MS,
  ENDS_WITHIN_MS,
  HANGS_AFTER_MS,
  RESTART_EVERY_MS,
  SILENCE_MS_MAX,
  START_MS_MAX,
  STARVES_AFTER_MS,
} from "../memory/timing.ts";
import { attachRole } from "../memory/doorbell.ts";
import { Fault, Role, roleName, RoleState, RoleWord } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

/** What the watch needs of the world. */
export interface WatchPort {
  /**
   * Starts a thread for a role.
   * @param epoch Its incarnation: an older one that wakes up late must leave.
   * @param isReplacement Another was there before it, and what it did waits.
   */
  start(role: number, epoch: number, isReplacement: boolean): void;
  /** One letter, as proc_pid_stat(5) has it; undefined: there is no such thread. */
  threadState(tid: number): string | undefined;
  /** A worker has been replaced and works. */
  restarted(role: number, reason: string, downMs: number): void;
  /**
   * A worker hangs: nobody may take its place in this process. Told again at every step.
   * @param silentMs Since when it does not work.
   */
  hangs(role: number, reason: string, silentMs: number): void;
}

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
  /** A thread was started for it, and has not thrown. */
  hasThread: boolean;
  heartbeat: number;
  /** When the heartbeat was last seen to move. */
  movedMs: number;
  /** How long it has not moved since, as far as that counts. */
  silentMs: number;
  restartedMs: number;
  restarts: number;
  /** The thread of one that has thrown is being waited for, until this time; undefined: it is not. */
  endsByMs: number | undefined;
  /** Why it is being replaced, and since when it does not work; undefined when all is well. */
  failure: { readonly reason: string; readonly sinceMs: number } | undefined;
}

export class RoleWatch {
  private readonly port: WatchPort;
  private readonly lives: ReadonlyMap<number, Life>;
  private steppedMs = 0;
  private isStopping = false;

  /** @param restarts Of each role, by its name, before this process started over. */
  constructor(
    memory: Memory,
    roles: readonly number[],
    port: WatchPort,
    restarts: Readonly<Record<string, number>> = {},
  ) {
    this.port = port;
    this.lives = new Map(roles.map((role) => [role, {
      role,
      words: attachRole(memory, role),
      hasThread: false,
      heartbeat: 0,
      movedMs: 0,
      silentMs: 0,
      restartedMs: -Infinity,
      restarts: restarts[roleName(role)] ?? 0,
      endsByMs: undefined,
      failure: undefined,
    }]));
  }

  /** Starts all roles. @param nowMs Of a clock that only goes forward, as in all methods. */
  start(nowMs: number): void {
    this.steppedMs = nowMs;
    for (const life of this.lives.values()) this.spawn(life, nowMs, false);
  }

  /** Nobody is replaced any more. */
  stop(): void {
    this.isStopping = true;
  }

  /** Why a role is being replaced; undefined: it is not. */
  failureOf(role: number): string | undefined {
    return this.lives.get(role)?.failure?.reason;
  }

  private spawn(life: Life, nowMs: number, isReplacement: boolean): void {
    const { role, words } = life;
    life.movedMs = nowMs;
    life.silentMs = 0;
    life.heartbeat = Atomics.load(words, RoleWord.heartbeat);
    life.hasThread = true;
    Atomics.store(words, RoleWord.fault, Fault.none);
    Atomics.store(words, RoleWord.state, RoleState.starting);
    Atomics.store(words, RoleWord.tid, 0);
    const epoch = Atomics.add(words, RoleWord.epoch, 1) + 1;
    this.port.start(role, epoch, isReplacement);
  }

  /** A role's thread has thrown, and is about to end; {@link awaitsEnd} follows. */
  threw(role: number, reason: string, nowMs: number): void {
    const life = this.lives.get(role);
    if (life === undefined || this.isStopping) return;
    life.failure ??= { reason, sinceMs: nowMs };
    life.hasThread = false;
    life.endsByMs = nowMs + ENDS_WITHIN_MS;
  }

  /**
   * Replaces a role that has thrown once its thread is gone, which takes a moment: to be called often.
   * @returns Whether its thread is still there.
   */
  awaitsEnd(role: number, nowMs: number): boolean {
    const life = this.lives.get(role);
    if (life?.endsByMs === undefined || this.isStopping) return false;
    // 0: it threw before it touched anything.
    const tid = Atomics.load(life.words, RoleWord.tid);
    if (tid !== 0 && this.port.threadState(tid) !== undefined) {
      if (nowMs > life.endsByMs && life.failure !== undefined) {
        const { reason, sinceMs } = life.failure;
        this.port.hangs(role, `${reason}, and its thread does not end`, nowMs - sinceMs);
      }
      return true;
    }
    life.endsByMs = undefined;
    this.respawn(life, nowMs);
    return false;
  }

  private respawn(life: Life, nowMs: number): void {
    // At once; but one that keeps failing must not take the machine with it.
    if (nowMs - life.restartedMs < RESTART_EVERY_MS) return;
    life.restartedMs = nowMs;
    life.restarts++;
    this.spawn(life, nowMs, true);
  }

  /** Compares the heartbeats with those before; to be called a few times a second. */
  step(nowMs: number): void {
    if (this.isStopping) return;
    const sinceMs = Math.min(nowMs - this.steppedMs, SILENCE_MS_MAX);
    this.steppedMs = nowMs;
    for (const life of this.lives.values()) this.stepOne(life, nowMs, sinceMs);
  }

  private stepOne(life: Life, nowMs: number, sinceMs: number): void {
    const { role, words, failure } = life;
    const heartbeat = Atomics.load(words, RoleWord.heartbeat);
    const state = Atomics.load(words, RoleWord.state);
    // What was before a successor began is no silence of its.
    if (heartbeat === life.heartbeat) life.silentMs += Math.min(sinceMs, nowMs - life.movedMs);
    else {
      life.heartbeat = heartbeat;
      life.movedMs = nowMs;
      life.silentMs = 0;
    }
    if (!life.hasThread) {
      if (life.endsByMs === undefined) this.respawn(life, nowMs);
      return;
    }
    if (failure !== undefined && state === RoleState.running) {
      life.failure = undefined;
      this.port.restarted(role, failure.reason, Math.round(nowMs - failure.sinceMs));
    }
    if (life.silentMs <= HANGS_AFTER_MS) return;
    if (life.silentMs <= (state === RoleState.starting ? START_MS_MAX : this.patienceMs(life))) {
      return;
    }
    const silentMs = nowMs - life.movedMs;
    this.port.hangs(role, `hung: no heartbeat for ${Math.round(silentMs)} ms`, silentMs);
  }

  private patienceMs({ words, role }: Life): number {
    const state = this.port.threadState(Atomics.load(words, RoleWord.tid));
    if (state === "D") return BLOCKS_AFTER_MS;
    return state === "R" && !isOnEventPath(role) ? STARVES_AFTER_MS : HANGS_AFTER_MS;
  }

  /** What `toom status` says of the workers. */
  reports(nowMs: number): LifeReport[] {
    return [...this.lives.values()].map(({ role, restarts, movedMs, words }) => ({
      role,
      restarts,
      heartbeatAgeMs: Math.max(0, Math.round(nowMs - movedMs)),
      state: Atomics.load(words, RoleWord.state),
    }));
  }
}

/** Roles that an event passes on its way to a kill: they have a CPU whenever they want it. */
function isOnEventPath(role: number): boolean {
  return role === Role.accounting || role === Role.killer || role >= Role.reader;
}
