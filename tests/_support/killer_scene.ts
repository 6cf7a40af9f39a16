/**
 * A scene for the killer: the real killer and the real accounting on one memory, and processes that
 * do what a test says when they are opened, checked and signalled.
 *
 * @module
 */
import { PATIENCE_NS } from "../../pipeline/memory/timing.ts";
import { assert, assertEquals } from "@std/assert";
import {
  Killer,
  type KillerOptions,
  type KillKernel,
  Refusal,
  Signal,
} from "../../pipeline/kill/killer.ts";
import { Sharer, type UnitKernel } from "../../pipeline/kill/unit_kernel.ts";
import { Unit } from "../../pipeline/memory/kill_plan.ts";
import type { KernelCandidates } from "../../pipeline/kill/kernel_trigger.ts";
import { Role } from "../../pipeline/memory/layout.ts";
import { readReport, type Report } from "../../pipeline/messages/reports.ts";
import { RingConsumer } from "../../pipeline/memory/ring.ts";
import { type Settings, SettingsPublisher } from "../../pipeline/memory/settings.ts";
import { Desk } from "./desk.ts";

export const ANN = 1000;
export const BOB = 1001;
export const ESRCH = 3;
export const EPERM = 1;

export interface Person {
  uid: number;
  isProtected: boolean;
  isOver: boolean;
  /** Of signal 0, and of SIGKILL. */
  askResult: number;
  killResult: number;
  /** Of pidfd_open(2), if it fails. */
  openResult: number;
  /** Of the look at its identity, if it cannot be had. */
  isUnknown: boolean;
  oomScoreAdj: number;
}

/** Processes, handles, and a list of what was done. */
export class Hands implements KillKernel {
  readonly people = new Map<number, Person>();
  readonly handles = new Map<number, number>();
  readonly done: string[] = [];
  /** Who does not share any mm, whatever the books say. */
  readonly apart = new Set<number>();
  /** What comes to pass while the signal is sent. */
  whileKilled: (pid: number) => void = () => {};
  private next = 100;
  private readonly desk: Desk;

  constructor(desk: Desk) {
    this.desk = desk;
  }

  person(pid: number): Person {
    const person = this.people.get(pid);
    if (person === undefined) throw new Error(`no process ${pid}`);
    return person;
  }

  open(pid: number): number {
    if (!this.people.has(pid)) return -ESRCH;
    if (this.person(pid).openResult < 0) return this.person(pid).openResult;
    this.done.push(`open ${pid}`);
    this.handles.set(++this.next, pid);
    return this.next;
  }

  private pidOf(handle: number): number {
    const pid = this.handles.get(handle);
    if (pid === undefined) throw new Error(`handle ${handle} is not open`);
    return pid;
  }

  check(handle: number, pid: number, uid: number): number {
    assertEquals(this.pidOf(handle), pid);
    const person = this.person(pid);
    if (person.isOver) return Refusal.gone;
    if (person.isUnknown) return Refusal.unknown;
    if (person.isProtected) return Refusal.protected;
    return person.uid === uid ? Refusal.none : Refusal.otherUser;
  }

  kill(handle: number, pid: number, signal: number): number {
    assertEquals(this.pidOf(handle), pid);
    const what = signal === Signal.none
      ? "ask"
      : signal === Signal.kill
      ? "kill"
      : `signal${signal}`;
    this.done.push(`${what} ${pid}`);
    if (signal === Signal.kill) this.whileKilled(pid);
    return signal === Signal.none ? this.person(pid).askResult : this.person(pid).killResult;
  }

  reap(handle: number): void {
    this.done.push(`reap ${this.pidOf(handle)}`);
  }

  hurry(pid: number): void {
    this.done.push(`hurry ${pid}`);
  }

  sharesMm(pid: number, otherPid: number): boolean {
    return !this.apart.has(otherPid) && this.people.has(pid);
  }

  oomScoreAdj(pid: number): number {
    this.done.push(`score ${pid}`);
    return this.people.get(pid)?.oomScoreAdj ?? 0;
  }

  exited(handle: number): boolean {
    return this.person(this.pidOf(handle)).isOver;
  }

  close(handle: number): void {
    assert(this.handles.delete(handle), `handle ${handle} is closed twice`);
  }

  comm(pid: number): Uint8Array {
    return new TextEncoder().encode(`name${pid}`);
  }

  nowNs(): number {
    return this.desk.nowNs;
  }

  /** What was done, without readings. */
  get acts(): string[] {
    return this.done.filter((what) => !what.startsWith("score"));
  }

  get killed(): number[] {
    return this.done.filter((what) => what.startsWith("kill")).map((what) => Number(what.slice(5)));
  }

  /** Who was sent another signal than SIGKILL. */
  get asked(): string[] {
    return this.done.filter((what) => what.startsWith("signal"));
  }
}

/** Who belongs together: by pid, what a test says. */
export class Families implements UnitKernel {
  readonly parents = new Map<number, number>();
  /** Numbers of groups, sessions and cgroups. */
  readonly units = new Map<number, Partial<Record<number, number>>>();
  /** Real uids of those who share an account, by pid. */
  readonly sharers = new Map<number, number>();
  /** The kernel ends a cgroup at once. */
  killsScopes = false;
  readonly scopesKilled: number[] = [];

  parentOf(pid: number): number {
    return this.parents.get(pid) ?? 0;
  }

  unitOf(pid: number, unit: number): number {
    return this.units.get(pid)?.[unit] ?? 0;
  }

  isIn(pid: number, unit: number, key: number): boolean {
    return this.unitOf(pid, unit) === key;
  }

  sharerOf(pid: number): number {
    return this.sharers.get(pid) ?? Sharer.none;
  }

  killScope(key: number, mayKill: (pid: number) => boolean): boolean {
    if (!this.killsScopes) return false;
    const pids = [...this.units].filter(([, units]) => units[Unit.scope] === key);
    if (!pids.every(([pid]) => mayKill(pid))) return false;
    this.scopesKilled.push(key);
    return true;
  }
}

export class Scene {
  readonly desk: Desk;
  readonly hands: Hands;
  readonly families = new Families();
  killer: Killer;
  private readonly options: KillerOptions;
  private readonly reportRing: RingConsumer;

  constructor(
    settings: Partial<Settings> = {},
    desk = new Desk({ settings }),
    patienceNs = PATIENCE_NS,
    kernelCandidates?: KernelCandidates,
  ) {
    this.desk = desk;
    this.hands = new Hands(desk);
    this.options = { patienceNs, kernelCandidates, unitKernel: this.families };
    this.killer = this.start();
    this.reportRing = new RingConsumer(
      desk.memory.buffer,
      desk.memory.plan.reportRings[Role.killer]!,
    );
  }

  start(): Killer {
    this.killer = new Killer(this.desk.memory, this.hands, this.options);
    this.killer.start();
    return this.killer;
  }

  publish(change: Partial<Settings>): void {
    this.desk.settings = { ...this.desk.settings, ...change };
    new SettingsPublisher(this.desk.memory.settings).publish(this.desk.settings);
  }

  /** A process of a user that holds so many pages. */
  add(pid: number, uid: number, pages: number): this {
    this.hands.people.set(pid, {
      uid,
      isProtected: false,
      isOver: false,
      askResult: 0,
      killResult: 0,
      openResult: 0,
      isUnknown: false,
      oomScoreAdj: 0,
    });
    this.desk.proc(pid, uid, { anon: pages }).step();
    this.desk.own(pid, pid * 7, { anon: pages }).step();
    return this;
  }

  grow(pid: number, pages: number): this {
    this.desk.own(pid, pid * 7, { anon: pages }).step();
    return this;
  }

  /** Lets killer and accounting talk until nothing is left to say. */
  run(): this {
    for (let rounds = 0; rounds < 10_000; rounds++) {
      this.desk.step();
      if (this.killer.step() === 0 && !this.killer.ready) return this;
    }
    throw new Error("they never come to rest");
  }

  die(pid: number): this {
    this.hands.person(pid).isOver = true;
    return this.run();
  }

  pass(ns: number): this {
    this.desk.tick(ns);
    return this.run();
  }

  reports(name: string): Report[] {
    return this.allReports().filter((report) => report.name === name);
  }

  /** All that was told since the last time. */
  allReports(): Report[] {
    const reports: Report[] = [];
    for (;;) {
      const report = readReport(this.reportRing);
      if (report === undefined) return reports;
      reports.push(report);
    }
  }
}

/** Ann may have 1000 pages; her processes 10, 11, 12 have 500, 300 and 100. */
export function makeScene(settings: Partial<Settings> = {}): Scene {
  const scene = new Scene(settings);
  scene.desk.limit(ANN, 1000, 950);
  return scene.add(10, ANN, 500).add(11, ANN, 300).add(12, ANN, 100).add(20, BOB, 5000).run();
}

/** A crowd on the mm of 10: borrowers that executed nothing. */
export function makeCrowd(count: number): Scene {
  const scene = new Scene({}, new Desk({ capacity: { processes: 512, tasks: 1024 } }));
  scene.desk.limit(ANN, 1000, 950);
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  for (let i = 0; i < count; i++) {
    scene.hands.people.set(100 + i, { ...scene.hands.person(10) });
    scene.desk.vfork(10, 100 + i).step();
  }
  return scene.run();
}
