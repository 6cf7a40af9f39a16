import { assert, assertEquals } from "@std/assert";
import {
  Killer,
  type KillerOptions,
  type KillKernel,
  PATIENCE_NS,
  Refusal,
  Signal,
} from "../../pipeline/killer.ts";
import { PressureReason, RecordKind, Role, VICTIMS_MAX } from "../../pipeline/layout.ts";
import { readReport, type Report } from "../../pipeline/reports.ts";
import { RingConsumer } from "../../pipeline/ring.ts";
import { Desk } from "../_support/desk.ts";

const ANN = 1000;
const BOB = 1001;
const ESRCH = 3;
const EPERM = 1;

interface Person {
  uid: number;
  isProtected: boolean;
  isOver: boolean;
  /** Of signal 0, and of SIGKILL. */
  askResult: number;
  killResult: number;
}

/** Processes, handles, and a list of what was done. */
class Hands implements KillKernel {
  readonly people = new Map<number, Person>();
  readonly handles = new Map<number, number>();
  readonly done: string[] = [];
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
    if (person.isProtected) return Refusal.protected;
    return person.uid === uid ? Refusal.none : Refusal.otherUser;
  }

  kill(handle: number, pid: number, signal: number): number {
    assertEquals(this.pidOf(handle), pid);
    this.done.push(`${signal === Signal.none ? "ask" : "kill"} ${pid}`);
    return signal === Signal.none ? this.person(pid).askResult : this.person(pid).killResult;
  }

  reap(handle: number): void {
    this.done.push(`reap ${this.pidOf(handle)}`);
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

  get killed(): number[] {
    return this.done.filter((what) => what.startsWith("kill")).map((what) => Number(what.slice(5)));
  }
}

class Scene {
  readonly desk: Desk;
  readonly hands: Hands;
  killer: Killer;
  private readonly options: KillerOptions;
  private readonly reportRing: RingConsumer;

  constructor(options: Partial<KillerOptions> = {}, desk = new Desk()) {
    this.desk = desk;
    this.hands = new Hands(desk);
    this.options = { policy: "largest", dryRun: false, patienceNs: PATIENCE_NS, ...options };
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

  /** A process of a user that holds so many pages. */
  add(pid: number, uid: number, pages: number): this {
    this.hands.people.set(pid, {
      uid,
      isProtected: false,
      isOver: false,
      askResult: 0,
      killResult: 0,
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
    const reports: Report[] = [];
    for (;;) {
      const report = readReport(this.reportRing);
      if (report === undefined) return reports;
      if (report.name === name) reports.push(report);
    }
  }
}

/** Ann may have 1000 pages; her processes 10, 11, 12 have 500, 300 and 100. */
function makeScene(options: Partial<KillerOptions> = {}): Scene {
  const scene = new Scene(options);
  scene.desk.limit(ANN, 1000, 950);
  return scene.add(10, ANN, 500).add(11, ANN, 300).add(12, ANN, 100).add(20, BOB, 5000).run();
}

Deno.test("the largest process of the user goes, is reaped, and is told of", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
  assert(scene.hands.done.includes("reap 10"));
  const [kill] = scene.reports("kill");
  assertEquals(
    [kill?.values["uid"], kill?.values["pid"], kill?.values["usagePages"]],
    [ANN, 10, 1001],
  );
  assertEquals(
    [kill?.values["hardPages"], kill?.values["victimPages"], kill?.values["dryRun"]],
    [1000, 500, 0],
  );
  assertEquals(
    [kill?.values["other1Pid"], kill?.values["other1Pages"], kill?.values["other2Pid"]],
    [11, 300, 12],
  );
  assertEquals(new TextDecoder().decode(kill?.text), "name10");
  scene.die(10);
  assertEquals(scene.desk.usage(ANN), 501);
  assertEquals(scene.reports("killed").map(({ values }) => values["pid"]), [10]);
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("I1: who is another's, protected, or gone is passed over", () => {
  for (const why of ["other", "protected", "over", "absent"] as const) {
    const scene = makeScene();
    const person = scene.hands.person(10);
    if (why === "other") person.uid = BOB;
    else if (why === "protected") person.isProtected = true;
    else if (why === "over") person.isOver = true;
    else scene.hands.people.delete(10);
    scene.grow(12, 201).run();
    const isGone = why === "over" || why === "absent";
    // Without the dead one on the books, the user is not over.
    assertEquals(scene.hands.killed, isGone ? [] : [11], why);
    if (!isGone) continue;
    assertEquals(scene.desk.pages(10), -1, why);
    assertEquals(scene.desk.usage(ANN), 501);
    scene.grow(12, 701).run();
    assertEquals(scene.hands.killed, [12], why);
  }
});

Deno.test("candidates that are gone do not stop the killing of one, if they were not enough", () => {
  const scene = makeScene();
  scene.hands.person(10).isOver = true;
  scene.hands.person(11).isOver = true;
  scene.grow(10, 1500).grow(11, 1400).grow(12, 1300).run();
  assertEquals(scene.hands.killed, [12]);
  assertEquals(scene.desk.usage(ANN), 1300);
});

Deno.test("I1: what changes between arming and the kill is noticed when the check is old", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assert(scene.hands.done.includes("open 10"), "armed");
  scene.hands.person(10).isProtected = true;
  scene.pass(60e6);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("a child that its victim was forking is counted", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
  scene.desk.foreign(10, 0x7777, { anon: 400 }).step();
  scene.die(10);
  scene.desk.fork(10, 13).step();
  assertEquals([scene.desk.pages(10), scene.desk.pages(13)], [-1, 400]);
  assertEquals(scene.desk.usage(ANN), 901);
});

Deno.test("I2: no second victim before the first is gone", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run();
  assertEquals(scene.hands.killed, [12]);
  scene.grow(11, 1500).run();
  scene.pass(PATIENCE_NS / 2);
  assertEquals(scene.hands.killed, [12]);
  scene.die(12);
  assertEquals(scene.hands.killed, [12, 11]);
});

Deno.test("I2: after a second of waiting another one goes, if what is being freed is not enough", () => {
  const scene = makeScene();
  scene.grow(12, 2000).grow(11, 1500).run();
  assertEquals(scene.hands.killed, [12]);
  scene.pass(PATIENCE_NS + 1000);
  assertEquals(scene.hands.killed, [12, 11]);
  const enough = makeScene();
  enough.grow(12, 2000).run().pass(PATIENCE_NS + 1000).pass(PATIENCE_NS + 1000);
  assertEquals(enough.hands.killed, [12], "800 pages stay when it is gone");
  assert(enough.killer.busy);
});

Deno.test("who has shrunk by the time the killer looks is spared", () => {
  const scene = makeScene();
  scene.grow(12, 201).grow(12, 100).run();
  assertEquals(scene.hands.killed, []);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a dry run signals nobody, and tells so every ten seconds", () => {
  const scene = makeScene({ dryRun: true });
  scene.grow(12, 201).run();
  assertEquals(scene.hands.killed, []);
  assertEquals(scene.reports("kill").map(({ values }) => values["dryRun"]), [1]);
  scene.pass(PATIENCE_NS * 2);
  scene.grow(12, 300).run();
  assertEquals(scene.reports("kill"), []);
  scene.pass(9e9);
  assertEquals(scene.reports("kill").length, 1);
});

Deno.test("kill says ESRCH: it is gone; EPERM: told, and another one goes", () => {
  for (const errno of [ESRCH, EPERM]) {
    const scene = makeScene();
    scene.hands.person(10).killResult = -errno;
    scene.grow(11, 600).grow(12, 600).grow(10, 700).run();
    assertEquals(scene.hands.killed.slice(0, 2), [10, 11]);
    assertEquals(scene.desk.pages(10) === -1, errno === ESRCH);
    assertEquals(scene.reports("killFailed").map(({ values }) => values), [
      { uid: ANN, pid: 10, errno },
    ]);
  }
});

Deno.test("armed at soft, no handle has to be opened at hard", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assertEquals(scene.hands.done, ["open 10", "ask 10"]);
  scene.grow(12, 201).run();
  assertEquals(scene.hands.done.slice(2, 3), ["kill 10"]);
});

Deno.test("arming goes the way of a kill: who cannot be signalled, or is gone, is known by then", () => {
  for (const errno of [ESRCH, EPERM]) {
    const scene = makeScene();
    scene.hands.person(10).askResult = -errno;
    scene.grow(11, 400).grow(12, 60).run();
    assertEquals(scene.hands.done, ["open 10", "ask 10", "open 11", "ask 11"]);
    assertEquals([...scene.hands.handles.values()], [11]);
    const told = scene.reports("killFailed").map(({ values }) => values["errno"]);
    assertEquals(told, errno === EPERM ? [EPERM] : [], "who is gone is no failure");
    assertEquals(scene.desk.pages(10) === -1, errno === ESRCH);
    assertEquals(scene.reports("kill"), []);
  }
});

Deno.test("arming follows the ranking and keeps one handle a user", () => {
  const scene = makeScene();
  for (let i = 0; i < 60; i++) {
    scene.grow(i % 2 === 0 ? 11 : 10, 500 + 5 * (i % 5)).grow(12, 1).run();
    assert(scene.hands.handles.size <= 1);
  }
});

Deno.test("the largest that refuses does not keep the next from being armed, nor its handle open", () => {
  const scene = makeScene();
  scene.grow(12, 160).run();
  assertEquals([...scene.hands.handles.values()], [10]);
  // Now 11 is the largest and refuses, as do all others but 10.
  scene.hands.person(11).isProtected = true;
  scene.hands.person(12).isProtected = true;
  for (let i = 0; i < 20; i++) scene.grow(11, 460 + i).grow(10, 330).grow(12, 165).run();
  scene.grow(12, 700).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a restarted killer watches the victims of its predecessor and lets go of candidates", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  scene.grow(11, 951).run();
  assertEquals(scene.hands.killed, [10]);
  scene.start();
  assertEquals([...scene.hands.handles.values()], [10]);
  scene.run();
  scene.grow(11, 960).run();
  assertEquals(scene.hands.killed, [10], "the first is not gone yet");
  scene.die(10);
  assertEquals(scene.hands.killed, [10, 11]);
});

Deno.test("twenty processes of 4 MiB, room for half of them: exactly ten go", () => {
  for (const isSlow of [false, true]) {
    const scene = new Scene();
    for (let i = 0; i < 20; i++) scene.add(100 + i, ANN, 1024);
    scene.desk.limit(ANN, 10 * 1024);
    scene.run();
    for (let i = 0; i < 40; i++) {
      if (isSlow) scene.pass(PATIENCE_NS / 3);
      for (const pid of scene.hands.killed) scene.die(pid);
    }
    assertEquals(new Set(scene.hands.killed).size, 10);
    assertEquals(scene.hands.killed.length, 10);
    assertEquals(scene.desk.usage(ANN), 10 * 1024);
    assert(scene.hands.handles.size <= 1, "but for the next candidate, no handle is left open");
  }
});

Deno.test("nobody may be killed: told, and tried again", () => {
  const scene = makeScene();
  for (const pid of [10, 11, 12]) scene.hands.person(pid).isProtected = true;
  scene.grow(12, 201).run();
  assertEquals(scene.reports("noVictim").map(({ values }) => values), [
    { uid: ANN, usagePages: 1001, hardPages: 1000 },
  ]);
  scene.hands.person(11).isProtected = false;
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("under pressure somebody goes though nobody is over; one at a time", () => {
  const scene = makeScene();
  const pressure = (): void => {
    scene.desk.put(RecordKind.pressure, 0, PressureReason.psi);
    scene.run();
  };
  pressure();
  pressure();
  assertEquals(scene.hands.killed, [10]);
  scene.die(10);
  pressure();
  assertEquals(scene.hands.killed, [10, 11]);
});

Deno.test("more users than rows: candidates leave room for victims, and give it up to them", () => {
  const users = VICTIMS_MAX + 40;
  const desk = new Desk({
    capacity: { users: users + 2, processes: users + 2, tasks: users + 2, mms: users + 2 },
  });
  const scene = new Scene({}, desk);
  desk.limit(ANN, 100, 50).limit(2000, 100, 50, 2000 + users);
  for (let i = 0; i < users; i++) scene.add(100 + i, 2000 + i, 60);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 70).run();
  assert(scene.hands.handles.size <= VICTIMS_MAX);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 101).run();
  assertEquals(new Set(scene.hands.killed).size, VICTIMS_MAX);
  for (const pid of scene.hands.killed) scene.hands.person(pid).isOver = true;
  scene.run();
  scene.pass(NO_VICTIM_RETRY_NS);
  assertEquals(new Set(scene.hands.killed).size, users, "the others when there is room");
});

Deno.test("no row is free: a user's new candidate takes the place of its old one", () => {
  const users = VICTIMS_MAX;
  const capacity = users + 4;
  const desk = new Desk({
    capacity: { users: capacity, processes: capacity, tasks: capacity, mms: capacity },
  });
  const scene = new Scene({}, desk);
  desk.limit(2000, 100, 50, 2000 + users);
  for (let i = 0; i < users; i++) scene.add(100 + i, 2000 + i, 60);
  for (let i = 0; i < users; i++) scene.grow(100 + i, 70).run();
  const armed = (): number[] => [...scene.hands.handles.values()];
  const full = armed().length;
  assert(full < users && armed().includes(100), `${full} of ${users} are armed`);
  scene.add(99, 2000, 10);
  for (let i = 0; i < 40; i++) scene.grow(100, 10).grow(99, 71 + i % 10).pass(1e6);
  assertEquals([armed().length, armed().includes(99), armed().includes(100)], [full, true, false]);
});

const NO_VICTIM_RETRY_NS = 200e6;
