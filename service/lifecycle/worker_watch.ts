/**
 * The workers' lives: started, watched, replaced when they throw, stopped. What is decided about them
 * is in pipeline/lifecycle/role_watch.ts; here are the threads.
 *
 * @module
 */
import { FIRST_START_MS_MAX, START_MS_MAX } from "../../pipeline/memory/timing.ts";
import { attachRole } from "../../pipeline/memory/doorbell.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { readTextFile } from "../../kernel/ffi/fd.ts";
import { Role, roleName, RoleState, RoleWord } from "../../pipeline/memory/layout.ts";
import { type LifeReport, RoleWatch, type WatchPort } from "../../pipeline/lifecycle/role_watch.ts";
import { calm, calmThis, hurry } from "./start_priority.ts";
import type { WorkerConfig, WorkerInit } from "../../workers/protocol.ts";

/** Told when a worker has been replaced and works. */
export type OnRestart = (role: string, reason: string, downMs: number) => void;

/**
 * Told, again and again, that a worker hangs: nobody may take its place in this process.
 * @param silentMs Since when it does not work.
 */
export type OnHang = (role: string, reason: string, silentMs: number) => void;

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

export class WorkerWatch implements WatchPort {
  private readonly memory: Memory;
  private readonly config: WorkerConfig;
  private readonly wakeFd: (role: number) => void;
  private readonly onRestart: OnRestart;
  private readonly onHang: OnHang;
  /** The words of each role. */
  private readonly roles: ReadonlyMap<number, Int32Array>;
  private readonly workers = new Map<number, Worker>();
  private readonly watch: RoleWatch;
  private stopping = false;

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
    this.roles = new Map(roles.map((role) => [role, attachRole(memory, role)]));
    this.watch = new RoleWatch(memory, roles, this, restarts);
  }

  /**
   * Starts all, within {@link FIRST_START_MS_MAX} at toom's own start, else {@link START_MS_MAX}.
   * @returns When every one of them runs.
   * @throws {Error} When one does not in time.
   */
  async startAll(): Promise<void> {
    this.watch.start(performance.now());
    const { isFirstStart } = this.config;
    const deadlineMs = performance.now() + (isFirstStart ? FIRST_START_MS_MAX : START_MS_MAX);
    for (const [role, words] of this.roles) {
      while (Atomics.load(words, RoleWord.state) !== RoleState.running) {
        const failure = this.watch.failureOf(role);
        if (failure !== undefined) {
          throw new Error(`Cannot start the worker ${roleName(role)}: ${failure}`);
        }
        if (performance.now() > deadlineMs) {
          throw new Error(`Cannot start the worker ${roleName(role)}: no sign of life`);
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
  }

  // ------------------------------------------------------------------------ what the watch needs

  start(role: number, epoch: number, isReplacement: boolean): void {
    // What it was there for waits for it; it has a priority of its own when it works.
    if (isReplacement) hurry();
    this.spawn(role, epoch);
    if (isReplacement) calmThis();
  }

  threadState(tid: number): string | undefined {
    try {
      const stat = readTextFile(`/proc/self/task/${tid}/stat`);
      return stat.slice(stat.lastIndexOf(")") + 2)[0];
    } catch {
      return undefined;
    }
  }

  restarted(role: number, reason: string, downMs: number): void {
    calm();
    this.onRestart(roleName(role), reason, downMs);
  }

  hangs(role: number, reason: string, silentMs: number): void {
    this.onHang(roleName(role), reason, silentMs);
  }

  // ------------------------------------------------------------------------------------ threads

  private spawn(role: number, epoch: number): void {
    const worker = new Worker(moduleOf(role), { type: "module", name: roleName(role) });
    this.workers.set(role, worker);
    const onThrow = (message: string): void => {
      if (this.workers.get(role) === worker) void this.threw(role, `threw: ${message}`);
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

  private async threw(role: number, reason: string): Promise<void> {
    if (this.stopping) return;
    this.workers.get(role)?.terminate();
    this.workers.delete(role);
    this.watch.threw(role, reason, performance.now());
    while (this.watch.awaitsEnd(role, performance.now())) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Looks at the heartbeats; to be called a few times a second. */
  check(): void {
    this.watch.step(performance.now());
  }

  /** Asks a worker for an answer through shared memory. @throws {Error} When none comes in time. */
  async ping(role: number, timeoutMs: number): Promise<void> {
    const words = this.roles.get(role);
    if (words === undefined) throw new Error(`Cannot ping ${roleName(role)}: there is none`);
    const ping = Atomics.add(words, RoleWord.ping, 1) + 1;
    this.wake(role, words);
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
    for (const [role, words] of this.roles) {
      Atomics.add(words, RoleWord.rehearse, 1);
      this.wake(role, words);
    }
    const deadlineMs = performance.now() + timeoutMs;
    const busy = (words: Int32Array): boolean =>
      Atomics.load(words, RoleWord.rehearsed) !== Atomics.load(words, RoleWord.rehearse);
    while ([...this.roles.values()].some(busy) && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Provokes a fault in a worker. @returns false when there is none of that name. */
  provoke(role: string, fault: number): boolean {
    for (const [number, words] of this.roles) {
      if (roleName(number) !== role) continue;
      Atomics.store(words, RoleWord.fault, fault);
      this.wake(number, words);
      return true;
    }
    return false;
  }

  /** Wakes a worker that sleeps in poll(2); one that sleeps on its bell looks soon. */
  private wake(role: number, words: Int32Array): void {
    Atomics.add(words, RoleWord.bell, 1);
    this.wakeFd(role);
  }

  /** What `toom status` says of the workers. */
  reports(): LifeReport[] {
    return this.watch.reports(performance.now());
  }

  /** Asks all to stop. @returns Whether all did in time; the others end with the process. */
  async stop(timeoutMs: number): Promise<boolean> {
    this.stopping = true;
    this.watch.stop();
    for (const [role, words] of this.roles) {
      Atomics.store(words, RoleWord.stop, 1);
      this.wake(role, words);
    }
    const deadlineMs = performance.now() + timeoutMs;
    const alive = (words: Int32Array): boolean =>
      Atomics.load(words, RoleWord.state) !== RoleState.stopped;
    while ([...this.roles.values()].some(alive)) {
      if (performance.now() > deadlineMs) return false;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return true;
  }
}
