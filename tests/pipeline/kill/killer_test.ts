import { PRESSURE } from "../../../pipeline/messages/records.ts";
import { assert, assertEquals } from "@std/assert";
import {
  Killer,
  type KillerOptions,
  type KillKernel,
  PATIENCE_NS,
  Refusal,
  RELIEF_HOLDS_NS,
  Signal,
} from "../../../pipeline/kill/killer.ts";
import { PressureReason, ProcFlag, Role, VICTIMS_MAX } from "../../../pipeline/memory/layout.ts";
import { readReport, type Report } from "../../../pipeline/messages/reports.ts";
import { Fate } from "../../../pipeline/messages/reports.ts";
import { RingConsumer } from "../../../pipeline/memory/ring.ts";
import { type Settings, SettingsPublisher } from "../../../pipeline/memory/settings.ts";
import { Desk } from "../../_support/desk.ts";

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
  /** Of pidfd_open(2), if it fails. */
  openResult: number;
  /** Of the look at its identity, if it cannot be had. */
  isUnknown: boolean;
  oomScoreAdj: number;
}

/** Processes, handles, and a list of what was done. */
class Hands implements KillKernel {
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
    this.done.push(`${signal === Signal.none ? "ask" : "kill"} ${pid}`);
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
}

class Scene {
  readonly desk: Desk;
  readonly hands: Hands;
  killer: Killer;
  private readonly options: KillerOptions;
  private readonly reportRing: RingConsumer;

  constructor(
    settings: Partial<Settings> = {},
    desk = new Desk({ settings }),
    patienceNs = PATIENCE_NS,
  ) {
    this.desk = desk;
    this.hands = new Hands(desk);
    this.options = { patienceNs };
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
    const reports: Report[] = [];
    for (;;) {
      const report = readReport(this.reportRing);
      if (report === undefined) return reports;
      if (report.name === name) reports.push(report);
    }
  }
}

/** Ann may have 1000 pages; her processes 10, 11, 12 have 500, 300 and 100. */
function makeScene(settings: Partial<Settings> = {}): Scene {
  const scene = new Scene(settings);
  scene.desk.limit(ANN, 1000, 950);
  return scene.add(10, ANN, 500).add(11, ANN, 300).add(12, ANN, 100).add(20, BOB, 5000).run();
}

Deno.test("what is told of a victim is what it was before the signal", () => {
  const scene = makeScene();
  const { users, processes } = scene.desk.memory;
  scene.hands.whileKilled = (pid) => {
    // Accounting has heard of its end before the call returns.
    const slot = scene.desk.books.findProcess(pid);
    users.usagePages[scene.desk.books.findUser(ANN)]! -= processes.pages[slot]!;
    processes.pages[slot] = 0;
  };
  scene.grow(12, 201).killer.step();
  const [kill, ...more] = scene.reports("kill");
  assertEquals(more, []);
  assertEquals([kill?.values["usagePages"], kill?.values["victimPages"]], [1001, 500]);
});

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
    [kill?.rows[0]?.["pid"], kill?.rows[0]?.["pages"], kill?.rows[1]?.["pid"]],
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

Deno.test("I2: what remains without the dying is at or below hard: nobody else goes", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run();
  assertEquals(scene.hands.killed, [12]);
  // The dying one still gets pages: they go with it.
  scene.grow(12, 2400).grow(11, 500).run();
  scene.pass(PATIENCE_NS / 2);
  assertEquals(scene.hands.killed, [12], "1000 remain");
  scene.die(12);
  assertEquals(scene.hands.killed, [12]);
});

Deno.test("I2: what remains without the dying is over hard: the next goes at once", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run();
  assertEquals(scene.hands.killed, [12]);
  scene.grow(11, 501).run();
  assertEquals(scene.hands.killed, [12, 11], "1001 remain");
  scene.grow(10, 900).run();
  assertEquals(scene.hands.killed, [12, 11], "900 remain");
});

Deno.test("I2: several go within one order when one is not enough", () => {
  const scene = makeScene();
  scene.desk.limit(ANN, 250);
  scene.run();
  assertEquals(scene.hands.killed, [10, 11], "of 500, 300 and 100 the last may stay");
});

Deno.test("I2: a victim that gives nothing back for a second is not dying any more", () => {
  const scene = makeScene();
  scene.grow(12, 900).run();
  assertEquals(scene.hands.killed, [12]);
  scene.pass(PATIENCE_NS + 1000);
  // 900 stay, so 800 of the others must go.
  assertEquals(scene.hands.killed, [12, 10, 11]);
  assertEquals(scene.hands.handles.size, 3, "it is watched still");
  scene.die(12);
  assertEquals(scene.desk.pages(12), -1);
});

Deno.test("I2: a victim that gives memory back takes as long as it takes", () => {
  const scene = makeScene();
  scene.grow(12, 900).run();
  for (let pages = 890; pages > 800; pages -= 10) scene.pass(PATIENCE_NS / 2).grow(12, pages).run();
  assertEquals(scene.hands.killed, [12]);
});

Deno.test("I2: nobody goes for a stuck victim that is over the limit by itself", () => {
  const scene = makeScene();
  scene.grow(12, 2000).run().pass(PATIENCE_NS + 1000).pass(PATIENCE_NS + 1000);
  assertEquals(scene.hands.killed, [12], "the death of all others would not help");
  assertEquals(scene.reports("noVictim").map(({ values }) => values["stuckPages"]), [2000]);
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
  assertEquals(scene.hands.acts, ["open 10", "ask 10"]);
  const before = scene.hands.done.length;
  scene.grow(12, 201).run();
  assertEquals(
    scene.hands.done.slice(before, before + 2),
    ["kill 10", "reap 10"],
    "and no reading",
  );
});

Deno.test("arming goes the way of a kill: who cannot be signalled, or is gone, is known by then", () => {
  for (const errno of [ESRCH, EPERM]) {
    const scene = makeScene();
    scene.hands.person(10).askResult = -errno;
    scene.grow(11, 400).grow(12, 60).run();
    assertEquals(scene.hands.acts, ["open 10", "ask 10", "open 11", "ask 11"]);
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
  scene.pass(2e9).grow(10, 400).run();
  assertEquals(scene.hands.killed, [10]);
});

Deno.test("a restarted killer watches the victims of its predecessor and lets go of candidates", () => {
  const scene = makeScene();
  scene.grow(12, 201).run();
  scene.grow(11, 700).run();
  assertEquals(scene.hands.killed, [10]);
  scene.start();
  assertEquals([...scene.hands.handles.values()], [10]);
  scene.run();
  scene.grow(11, 799).run();
  assertEquals(scene.hands.killed, [10], "the first is dying still, and 1000 remain");
  scene.grow(11, 800).run();
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
    {
      uid: ANN,
      usagePages: 1001,
      hardPages: 1000,
      protectedCount: 3,
      protectedPages: 1001,
      stuckPages: 0,
      protected1Pid: 10,
      protected2Pid: 11,
      protected3Pid: 12,
    },
  ]);
  scene.hands.person(11).isProtected = false;
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("under pressure somebody goes though nobody is over; while memory comes back, nobody", () => {
  const scene = makeScene();
  scene.grow(11, 450).grow(12, 20).run();
  const pressure = (): void => {
    scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 });
    scene.run();
  };
  pressure();
  pressure();
  assertEquals(scene.hands.killed, [10]);
  scene.die(10);
  pressure();
  assertEquals(scene.hands.killed, [10], "who is below half of its limit loses nobody");
  scene.grow(11, 600).run();
  pressure();
  assertEquals(scene.hands.killed, [10, 11]);
});

Deno.test("under pressure a reading that is old by now costs nobody his life", () => {
  const scene = makeScene();
  scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 }).step();
  scene.desk.tick(RELIEF_HOLDS_NS + 1);
  scene.run();
  assertEquals(scene.hands.killed, []);
  scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 100 });
  scene.run();
  assertEquals(scene.hands.killed, [10], "the next reading counts");
});

Deno.test("under pressure who gives back too little is no victim, and the user is left out", () => {
  const scene = makeScene();
  scene.desk.limit(BOB, 8000, 7500);
  scene.run();
  scene.hands.person(20).isProtected = true;
  const pressure = (): void => {
    scene.desk.put(PRESSURE, { reason: PressureReason.psi, missingPages: 400 });
    scene.run();
  };
  scene.grow(20, 7400).run();
  pressure();
  assertEquals(scene.hands.killed, [], "20 gives back most, and is protected");
  pressure();
  assertEquals(scene.hands.killed, [10], "the other user's has 500 of the 400 that are missing");
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

// ------------------------------------------------------------------- what fails is not gone (2.5)

const EMFILE = 24;

Deno.test("a process that cannot be opened is not gone: told, left on the books, tried again", () => {
  for (const how of ["open", "check"] as const) {
    const scene = makeScene();
    if (how === "open") scene.hands.person(10).openResult = -EMFILE;
    else scene.hands.person(10).isUnknown = true;
    scene.grow(12, 201).run();
    assertEquals(scene.hands.killed, [11], `${how}: the next one goes`);
    assertEquals(scene.desk.pages(10), 500, `${how}: it is on the books`);
    assertEquals(scene.reports("killFailed").map(({ values }) => values["pid"]), [10]);
    scene.die(11);
    scene.hands.person(10).openResult = 0;
    scene.hands.person(10).isUnknown = false;
    scene.pass(2e9).grow(12, 501).run();
    assertEquals(scene.hands.killed, [11, 12], how);
    scene.die(12).grow(10, 1001).run();
    assertEquals(scene.hands.killed, [11, 12, 10], how);
  }
});

// -------------------------------------------------------------------------- who shares an mm (2.3)

/** A crowd on the mm of 10: borrowers that executed nothing. */
function makeCrowd(count: number): Scene {
  const scene = new Scene({}, new Desk({ capacity: { processes: 512, tasks: 1024 } }));
  scene.desk.limit(ANN, 1000, 950);
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  for (let i = 0; i < count; i++) {
    scene.hands.people.set(100 + i, { ...scene.hands.person(10) });
    scene.desk.vfork(10, 100 + i).step();
  }
  return scene.run();
}

Deno.test("who shares the mm of a victim goes with it: one kill, the owner last", () => {
  const scene = makeCrowd(200);
  scene.grow(10, 701).run();
  assertEquals(new Set(scene.hands.killed).size, 201);
  assertEquals(scene.hands.killed.length, 201);
  assertEquals(scene.hands.killed.at(-1), 10);
  const [kill, ...more] = scene.reports("kill");
  assertEquals([kill?.values["pid"], kill?.values["sharers"]], [10, 200]);
  assertEquals(more, []);
  const firstKill = scene.hands.done.findIndex((what) => what.startsWith("kill"));
  const lastCheck = scene.hands.done.findLastIndex((what) => what.startsWith("open 1"));
  assert(lastCheck < firstKill, "all are opened and checked before the first is signalled");
  // The mm grows on until the last of them has let go, and that is no reason for a second kill.
  scene.desk.own(105, 70, { anon: 900 });
  scene.pass(1e6).desk.own(106, 70, { anon: 950 });
  scene.pass(1e6);
  assertEquals(scene.hands.killed.length, 201);
  for (const pid of scene.hands.killed) scene.hands.person(pid).isOver = true;
  for (let i = 0; i < 300; i++) scene.pass(1e6);
  assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [300, 0]);
  assertEquals(scene.hands.killed.length, 201, "11 lives");
  assertEquals(scene.reports("killed").length, 1);
});

Deno.test("when the owner ends before those who share its mm, it is one victim still", () => {
  const scene = makeCrowd(3);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [100, 101, 102, 10]);
  scene.desk.exit(10).step();
  scene.die(10);
  assertEquals(scene.desk.pages(10), -1);
  assert(scene.desk.usage(ANN) >= 1001, "one of them holds the mm now");
  scene.desk.own(101, 70, { anon: 900 });
  scene.pass(1e6);
  assertEquals(scene.hands.killed.length, 4);
  for (const pid of [100, 101, 102]) scene.hands.person(pid).isOver = true;
  for (let i = 0; i < 10; i++) scene.pass(1e6);
  assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [300, 0]);
});

Deno.test("whatever /proc says of a signalled sharer meanwhile, it is of the same victim still", () => {
  for (const when of ["before the end of the owner", "after it, and no event told of it"]) {
    const scene = makeCrowd(1);
    scene.grow(10, 701).run();
    assertEquals(scene.hands.killed, [100, 10], when);
    const tsNs = scene.desk.tick();
    const pages = { anon: 701 };
    if (when === "before the end of the owner") {
      scene.desk.exit(10).step();
      scene.desk.proc(100, ANN, pages, { flags: ProcFlag.borrows, tsNs }).lender(100, 10, tsNs);
    } else {
      scene.desk.proc(100, ANN, pages, { tsNs: scene.desk.tick() }).step();
      scene.desk.exit(10, 1, tsNs);
    }
    scene.die(10);
    for (let i = 0; i < 3; i++) {
      scene.desk.tick(100e6);
      scene.desk.proc(100, ANN, pages);
      scene.grow(11, 310 + i).run();
    }
    assertEquals(scene.hands.killed, [100, 10], `${when}: 11 lives`);
    scene.desk.exit(100).foreign(100, 70, { anon: 0 }).step();
    scene.die(100);
    assertEquals([scene.desk.usage(ANN), scene.hands.handles.size], [312, 0], when);
  }
});

Deno.test("who comes to share the mm of a victim that is dying goes too", () => {
  const scene = makeCrowd(2);
  scene.grow(10, 701).run();
  scene.hands.people.set(300, { ...scene.hands.person(10) });
  scene.desk.vfork(10, 300).step();
  scene.pass(1e6);
  assertEquals(scene.hands.killed, [100, 101, 10, 300]);
  assertEquals(scene.reports("kill").length, 1);
});

Deno.test("one that must not be killed keeps the mm: the crowd is left alone, and it is named", () => {
  for (const why of ["protected", "other"] as const) {
    const scene = makeCrowd(20);
    if (why === "protected") scene.hands.person(110).isProtected = true;
    else scene.hands.person(110).uid = BOB;
    scene.pass(2e9).grow(11, 310).grow(10, 691).run();
    assertEquals(scene.hands.killed, [11], `${why}: 310 are enough, and can be freed`);
    scene.die(11);
    scene.pass(2e9).grow(10, 1001).run();
    assertEquals(scene.hands.killed, [11], why);
    assertEquals(
      scene.reports("noVictim").map(({ values }) => values["protected1Pid"]),
      [110],
      why,
    );
    const left = [...scene.hands.handles.values()].filter((pid) => pid >= 100);
    assertEquals(left, [], "no handle is left open");
  }
});

Deno.test("a vfork child that has executed a program is not killed with its parent", () => {
  const scene = makeCrowd(2);
  // The kernel knows already; the books are about to hear of it.
  scene.hands.apart.add(100);
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [101, 10]);
  scene.pass(1e6).pass(1e6);
  assertEquals(scene.hands.killed, [101, 10]);
});

// ------------------------------------------------------------------------------- protected (2.7)

Deno.test("a protected hog: nobody beside it dies, it is named, once a minute", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.pass(2e9).grow(10, 1200).run();
  for (let i = 0; i < 50; i++) scene.pass(100e6);
  assertEquals(scene.hands.killed, []);
  const told = scene.reports("noVictim");
  assertEquals(told.map(({ values }) => [values["protected1Pid"], values["protectedPages"]]), [
    [10, 1200],
  ]);
  assertEquals(new TextDecoder().decode(told[0]?.text), "name10");
  for (let i = 0; i < 600; i++) scene.pass(100e6);
  assertEquals(scene.reports("noVictim").length, 1, "again after a minute");
  assertEquals(scene.hands.killed, []);
  scene.hands.person(10).isProtected = false;
  scene.pass(2e9);
  assertEquals(scene.hands.killed, [10], "when it is protected no more, it goes");
});

Deno.test("a protected hog that has just grown would use up at once what others give back", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.grow(10, 200).pass(2e9);
  for (let pages = 200; pages <= 1000; pages += 50) scene.grow(10, pages).pass(5e6);
  assertEquals(scene.hands.killed, [], "at the crossing 400 could be had, and it gained as much");
});

Deno.test("a protected process that stands still does not protect the hog beside it", () => {
  const scene = makeScene();
  scene.hands.person(10).isProtected = true;
  scene.pass(2e9);
  for (let pages = 300; pages <= 450; pages += 25) scene.grow(11, pages).pass(5e6);
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("before the first of several is killed, the others are looked at", () => {
  const scene = makeScene();
  // 900 pages in three processes, and all of them must go.
  scene.hands.person(12).isProtected = true;
  scene.pass(2e9).desk.limit(ANN, 50);
  scene.run();
  assertEquals(scene.hands.killed, [], "100 would stay");
  scene.desk.limit(ANN, 150);
  scene.run().pass(200e6);
  assertEquals(scene.hands.killed, [10, 11]);
});

// ------------------------------------------------------------------------------ volunteers (2.8)

Deno.test("who raised its oom_score_adj to 500 goes first, if that suffices", () => {
  for (const scoreAdj of [499, 500, 1000]) {
    const scene = makeScene();
    scene.hands.person(12).oomScoreAdj = scoreAdj;
    scene.grow(12, 160).run();
    scene.grow(10, 541).run();
    assertEquals(scene.hands.killed, [scoreAdj >= 500 ? 12 : 10], `${scoreAdj}`);
  }
  const little = makeScene();
  little.hands.person(12).oomScoreAdj = 800;
  little.grow(10, 580).run();
  little.grow(10, 701).run();
  assertEquals(little.hands.killed, [10], "100 would not be enough");
});

Deno.test("a volunteer is known at the kill though nothing was armed", () => {
  const scene = new Scene();
  scene.desk.limit(ANN, 1000, 1000);
  scene.add(10, ANN, 500).add(11, ANN, 300).run();
  scene.hands.person(11).oomScoreAdj = 800;
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [11]);
});

Deno.test("of several volunteers the readiest goes, and all of them are found in time", () => {
  const scene = new Scene();
  scene.desk.limit(ANN, 2000, 1800);
  for (let i = 0; i < 20; i++) scene.add(10 + i, ANN, 90 - i);
  scene.hands.person(29).oomScoreAdj = 700;
  scene.hands.person(20).oomScoreAdj = 600;
  scene.run();
  for (let i = 0; i < 400; i++) scene.grow(10, 370 + i % 10).pass(11e6);
  assertEquals(scene.hands.killed, []);
  scene.grow(10, 490).run();
  assertEquals(scene.hands.killed, [29]);
});

// ------------------------------------------------------------------------------------- settings

Deno.test("the killer follows the victim policy that is published", () => {
  const scene = makeScene();
  scene.publish({ victimPolicy: "growing" });
  scene.grow(12, 350).run();
  assertEquals(scene.hands.killed, [12], "10 is larger");
});

Deno.test("a dry run ends when that is published, and whom it named is a victim in earnest", () => {
  const scene = makeScene({ dryRun: true });
  scene.grow(10, 700).run();
  assertEquals([scene.hands.killed, scene.reports("kill").length], [[], 1]);
  scene.publish({ dryRun: false });
  scene.grow(10, 701).run();
  assertEquals(scene.hands.killed, [10]);
});

// ------------------------------------------------------------------------------------- receipts

Deno.test("a kill's report tells who was weighed with which score, and who was left out and why", () => {
  const scene = makeScene();
  scene.desk.limit(ANN, 1500, 1490);
  scene.add(13, ANN, 560).add(14, ANN, 20).run();
  scene.pass(2e9);
  scene.hands.person(13).isProtected = true;
  scene.hands.person(11).oomScoreAdj = 300;
  scene.grow(12, 150).run();
  const [first] = scene.reports("kill");
  assertEquals(scene.hands.killed, [10]);
  assertEquals(first?.rows, [
    { pid: 11, pages: 300, givesBackPages: 300, score: 300, oomScoreAdj: 300, fate: Fate.weighed },
    { pid: 12, pages: 150, givesBackPages: 150, score: 150, oomScoreAdj: 0, fate: Fate.weighed },
    { pid: 14, pages: 20, givesBackPages: 20, score: 20, oomScoreAdj: 0, fate: Fate.weighed },
    { pid: 13, pages: 560, givesBackPages: 560, score: 0, oomScoreAdj: 0, fate: Fate.protected },
  ]);
  assertEquals([first?.values["dyingPages"], first?.values["isDegraded"]], [500, 0]);
  // What remains is over hard again while the first is dying.
  scene.grow(11, 800).run();
  assertEquals(scene.hands.killed, [10, 11]);
  const fates = scene.reports("kill")[0]?.rows.map((row) => [row["pid"], row["fate"]]);
  assertEquals(fates, [[12, Fate.weighed], [14, Fate.weighed], [13, Fate.protected], [
    10,
    Fate.dying,
  ]]);
});
