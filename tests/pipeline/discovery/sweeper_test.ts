import { assert, assertEquals, assertThrows } from "@std/assert";
import { machineGrowth } from "../../../pipeline/discovery/nearness.ts";
import { Sweeper, type SweeperOptions } from "../../../pipeline/discovery/sweeper.ts";
import { ChangesRead, Woken } from "../../../pipeline/discovery/sweeper_world.ts";
import { attachRole } from "../../../pipeline/memory/doorbell.ts";
import {
  CounterIndex,
  HeaderWord,
  PressureReason,
  RecordKind,
  Role,
  RoleWord,
  SweepFlag,
} from "../../../pipeline/memory/layout.ts";
import { InvariantError } from "../../../pipeline/memory/invariant.ts";
import { attachCounters } from "../../../pipeline/memory/memory.ts";
import { type Settings, SettingsPublisher } from "../../../pipeline/memory/settings.ts";
import { RingConsumer, RingProducer } from "../../../pipeline/memory/ring.ts";
import {
  PRESSURE,
  RESOLVE,
  RESYNC,
  SWEEP_BEGIN,
  VERIFY,
} from "../../../pipeline/messages/records.ts";
import { RecordWriter } from "../../../pipeline/messages/record_writer.ts";
import { Desk } from "../../_support/desk.ts";
import type { BrakeWorld } from "../../../pipeline/brake/brake_kernel.ts";
import { FakeBrake, fakeBrakeWorld, FakeRecord } from "../../_support/fake_brake.ts";
import { ProcRefused } from "../../_support/fake_proc.ts";
import { FakeSweeperWorld } from "../../_support/fake_sweeper_world.ts";

const ANN = 1000;
const STRANGER = 2000;
const TOOM = 5;
const INTERVAL_MS = 1000;

interface Told {
  readonly kind: number;
  /** The first two words of what it says: a pid, mostly. */
  readonly id: number;
  readonly a: number;
}

/** ANN has a limit and a process, 10; the desk is the accounting that hears of it. */
class Stage {
  readonly world = new FakeSweeperWorld();
  readonly desk: Desk;
  readonly words: Int32Array;
  readonly counters: Float64Array;
  readonly sweeper: Sweeper;
  private readonly ring: RingConsumer;
  private readonly queries: RecordWriter;

  constructor(
    options: Partial<SweeperOptions> = {},
    settings: Partial<Settings> = {},
    brake?: BrakeWorld,
  ) {
    this.world.brake = brake;
    this.desk = new Desk({ settings: { intervalMs: INTERVAL_MS, ...settings } });
    const { memory } = this.desk;
    this.words = attachRole(memory, Role.sweeper);
    this.counters = attachCounters(memory, Role.sweeper);
    const { buffer, plan } = memory;
    this.desk.limit(ANN, 1000);
    this.add(TOOM, 0).add(10, ANN);
    Atomics.store(this.words, RoleWord.epoch, 1);
    this.ring = new RingConsumer(buffer, plan.sweeperRing);
    this.queries = new RecordWriter(new RingProducer(buffer, plan.queryRing), () => {});
    this.sweeper = new Sweeper(memory, this.world, {
      epoch: 1,
      pageBytes: 4096,
      errorPages: 0,
      ownPid: TOOM,
      cpus: 2,
      growthBytesPerNs: machineGrowth(2, 0),
      realTime: true,
      isFirstStart: true,
      ...options,
    });
  }

  add(pid: number, uid: number, ppid = 1): this {
    this.world.proc.entries.set(pid, { uid, ppid });
    return this;
  }

  set(settings: Partial<Settings>): void {
    const { desk } = this;
    new SettingsPublisher(desk.memory.settings).publish({ ...desk.settings, ...settings });
  }

  /** Accounting asks. */
  ask(write: (writer: RecordWriter) => void): this {
    write(this.queries);
    this.queries.ring.publish();
    return this;
  }

  /** A turn. @returns What it told. */
  step(): Told[] {
    this.sweeper.step();
    const told: Told[] = [];
    for (let word = this.ring.next(); word >= 0; word = this.ring.next()) {
      const { words } = this.ring;
      told.push({ kind: words[word + 2]! & 0xff, id: words[word + 3]!, a: words[word + 4]! });
    }
    this.ring.release();
    return told;
  }

  /** Kinds of what the turns told until the sweeper has slept for so long. */
  run(ms: number): number[] {
    const kinds: number[] = [];
    const untilNs = this.world.nowNs + ms * 1e6;
    while (this.world.nowNs < untilNs) {
      kinds.push(...this.step().map(({ kind }) => kind));
      this.sweeper.sleep(200);
    }
    return kinds;
  }

  get sweeps(): number {
    return this.counters[CounterIndex.sweeps]!;
  }
}

const has = (told: readonly Told[], kind: number, id: number): boolean =>
  told.some((one) => one.kind === kind && one.id === id);

Deno.test("Sweeper finds who counts in its first turn, and then at every interval", () => {
  const stage = new Stage();
  const told = stage.step();
  assert(has(told, RecordKind.proc, 10));
  assert(!has(told, RecordKind.proc, TOOM));
  assertEquals([...stage.world.traced], [10]);
  assertEquals(Atomics.load(stage.desk.memory.header, HeaderWord.discovered), 1);
  stage.run(3500);
  assertEquals(stage.sweeps, 4);
  assert(Math.max(...stage.world.waitsMs) <= 200, "it shows life");
});

Deno.test("Sweeper brakes in its turns, and in the middle of reading all of /proc", () => {
  const kernel = new FakeBrake();
  const stage = new Stage({}, { brake: "growers" });
  const world = fakeBrakeWorld(kernel, new FakeRecord());
  const braking = new Stage({}, { brake: "growers" }, world);
  let steps = 0;
  const brake = braking.sweeper["brake"]!;
  const step = brake.step.bind(brake);
  brake.step = (nowNs) => {
    steps++;
    step(nowNs);
  };
  braking.step();
  assert(steps > 1, "also by each sign of life of the sweep");
  steps = 0;
  braking.run(1000);
  assert(steps > 3);
  assertEquals(stage.sweeper["brake"], undefined, "where there is nothing to brake with");
});

Deno.test("Sweeper is not before everybody else while it reads all of /proc", () => {
  const first = new Stage();
  first.step();
  assertEquals([first.world.deeds[0], first.world.deeds.at(-1)], ["ordinary", "urgent"]);
  const again = new Stage({ isFirstStart: false });
  again.step();
  assert(!again.world.deeds.includes("ordinary"), "nothing is enforced until it is done");
  again.run(INTERVAL_MS + 300);
  assertEquals(again.world.deeds.filter((deed) => deed !== "sweep"), ["ordinary", "urgent"]);
  const ordinary = new Stage({ realTime: false });
  ordinary.run(INTERVAL_MS + 300);
  assertEquals(new Set(ordinary.world.deeds), new Set(["sweep"]));
});

Deno.test("Sweeper sweeps at once after a loss, and says so", () => {
  const stage = new Stage();
  stage.run(300);
  stage.ask((writer) => {
    writer.open(RESYNC, 0);
    writer.close();
  });
  const told = stage.step();
  assert(told.some(({ kind }) => kind === RecordKind.sweepBegin));
  assertEquals(stage.sweeps, 2);
  assertEquals(stage.run(500).filter((kind) => kind === RecordKind.sweepBegin), []);
});

Deno.test("Sweeper answers what accounting asks", () => {
  const stage = new Stage();
  stage.step();
  // Accounting hears of the process too.
  stage.desk.step();
  stage.ask((writer) => {
    writer.open(VERIFY, 0).uid = ANN;
    writer.close();
    writer.open(RESOLVE, 0).tid = 77;
    writer.close();
  });
  const told = stage.step();
  assertEquals(
    told.map(({ kind, id }) => [kind, id]).filter(([kind]) =>
      kind === RecordKind.verifyBegin || kind === RecordKind.verifyEnd || kind === RecordKind.gone
    ),
    [[RecordKind.verifyBegin, ANN], [RecordKind.verifyEnd, ANN], [RecordKind.gone, 77]],
  );
});

Deno.test("Sweeper takes no record for a question that is none", () => {
  const stage = new Stage();
  stage.step();
  stage.ask((writer) => {
    writer.open(PRESSURE, 0);
    writer.close();
  });
  const expected = `a question of unknown kind ${RecordKind.pressure}`;
  assertThrows(() => stage.step(), InvariantError, expected);
});

Deno.test("Sweeper looks at who executes a program, and has a login traced", async () => {
  const stage = new Stage();
  stage.step();
  stage.add(30, ANN).add(31, STRANGER);
  stage.world.execs.push((writer) => writer.exec(1, 0, 30, 30, 30));
  stage.world.execs.push((writer) => writer.exec(1, 0, 31, 31, 31));
  const told = stage.step();
  assert(has(told, RecordKind.proc, 30));
  assert(!has(told, RecordKind.proc, 31));
  await stage.world.letGo();
  assertEquals([...stage.world.traced], [10, 30]);
});

Deno.test("Sweeper passes on whom the kernel kills, and sweeps when execs were lost", () => {
  const stage = new Stage();
  stage.run(300);
  stage.world.execs.push((writer) => writer.oomVictim(1, 0, 1, 10));
  assert(stage.step().some(({ kind, a }) => kind === RecordKind.oomVictim && a === 10));
  assertEquals(stage.sweeps, 1);
  stage.world.execs.push((writer) => writer.lost(1, 0, 9));
  const told = stage.step();
  assertEquals(stage.sweeps, 2);
  assert(!told.some(({ kind }) => kind === RecordKind.lost), "no loss of the books");
});

Deno.test("Sweeper takes more execs than its ring holds", () => {
  const stage = new Stage();
  stage.step();
  stage.world.execs.push((writer) => {
    for (let i = 0; i < 10_000; i++) writer.exec(1, 0, 5000, 5000, 5000);
  });
  stage.step();
  stage.run(300);
  assertEquals(stage.sweeps, 2, "those that could not be looked at are found by a sweep");
});

Deno.test("Sweeper looks at who changed its user, when it has had time to execute a program", () => {
  const stage = new Stage();
  stage.step();
  stage.add(40, ANN);
  stage.world.changes.push(40);
  assert(!has(stage.step(), RecordKind.proc, 40));
  stage.sweeper.sleep(200);
  const waitMs = stage.world.waitsMs.at(-1)!;
  assert(waitMs > 0 && waitMs <= 50, `${waitMs} ms`);
  assert(has(stage.step(), RecordKind.proc, 40));
});

Deno.test("Sweeper reads on while changes of user come, but not for ever, and sweeps when some were lost", () => {
  const stage = new Stage();
  stage.run(300);
  for (let i = 0; i < 256 * 20; i++) stage.world.changes.push(9000);
  stage.world.changeReads = 0;
  stage.step();
  assertEquals(stage.world.changeReads, 16);
  stage.step();
  assertEquals(stage.world.changes.length, 0);
  stage.world.changeReads = 0;
  stage.world.changeFailures.push(ChangesRead.lost);
  stage.step();
  assertEquals([stage.world.changeReads, stage.counters[CounterIndex.userChangesLost]], [2, 1]);
  stage.run(100);
  assertEquals(stage.sweeps, 2);
  stage.world.changeReads = 0;
  stage.world.changeFailures.push(ChangesRead.failed);
  stage.step();
  assertEquals([stage.world.changeReads, stage.counters[CounterIndex.userChangesLost]], [1, 2]);
});

Deno.test("Sweeper sweeps anew when limits change", () => {
  const stage = new Stage();
  stage.run(300);
  stage.add(50, STRANGER);
  stage.desk.limit(STRANGER, 1000);
  assert(has(stage.step(), RecordKind.proc, 50));
  assertEquals(stage.sweeps, 2);
});

Deno.test("Sweeper waits for a write to the list of traced tasks, and looks at no file meanwhile", async () => {
  const stage = new Stage();
  stage.run(300);
  stage.world.isSlow = true;
  stage.add(60, ANN);
  stage.world.execs.push((writer) => writer.exec(1, 0, 60, 60, 60));
  stage.step();
  assert(stage.sweeper.isWaiting);
  stage.world.found = '"0"';
  stage.ask((writer) => {
    writer.open(RESYNC, 0);
    writer.close();
  });
  stage.step();
  assertEquals([stage.sweeps, stage.world.found], [1, '"0"']);
  // What is wanted cannot be done yet: it sleeps, because the write may need its CPU.
  stage.sweeper.sleep(0);
  assert(stage.world.waitsMs.at(-1)! >= 1, `${stage.world.waitsMs.at(-1)} ms`);
  stage.run(250);
  assertEquals(stage.sweeps, 2, "but not for ever");
  await stage.world.letGo();
  assertEquals(stage.sweeper.isWaiting, false);
  stage.step();
  assertEquals(stage.world.found, undefined, "it is mended");
});

Deno.test("Sweeper puts its mark back when somebody else wrote the list", () => {
  const stage = new Stage();
  stage.world.hadSentinel = false;
  const told = stage.step();
  assertEquals(stage.world.restored, 1);
  assert(told.some(({ kind }) => kind === RecordKind.lost));
});

Deno.test("Sweeper tells of a shortage when the kernel does, at once", () => {
  const stage = new Stage();
  stage.step();
  stage.world.memory = { totalBytes: 100 * 2 ** 20, availableBytes: 2 ** 20 };
  stage.world.woken = Woken.byWork | Woken.byPressure;
  stage.sweeper.sleep(200);
  assertEquals(stage.counters[CounterIndex.wakeups], 1);
  const ring = new RingConsumer(stage.desk.memory.buffer, stage.desk.memory.plan.sweeperRing);
  const view = PRESSURE.view(ring.words);
  const { reason, missingPages } = view.at(ring.next());
  assertEquals([reason, missingPages], [PressureReason.psi, 9 * 256]);
});

Deno.test("Sweeper listens to pressure when that is wanted, and not to what comes when it is not", () => {
  const stage = new Stage({}, { psi: false });
  stage.step();
  assertEquals(stage.world.listens, false);
  stage.set({ psi: true });
  stage.step();
  assertEquals(stage.world.listens, true);
  stage.set({ psi: false });
  stage.step();
  stage.world.memory = { totalBytes: 100 * 2 ** 20, availableBytes: 0 };
  stage.world.woken = Woken.byWork | Woken.byPressure;
  stage.sweeper.sleep(200);
  assert(!stage.step().some(({ kind }) => kind === RecordKind.pressure));
});

Deno.test("Sweeper looks after each sweep whether enough memory is available", () => {
  const stage = new Stage({}, { minAvailableBytes: 2 ** 30 });
  stage.world.memory = { totalBytes: 10 * 2 ** 30, availableBytes: 2 ** 29 };
  assert(stage.step().some(({ kind }) => kind === RecordKind.pressure));
});

Deno.test("Sweeper measures nobody where shares are not credited", () => {
  for (const creditsShares of [true, false]) {
    const stage = new Stage({}, { creditsShares });
    stage.world.proc.entries.set(10, { uid: ANN, anonKib: 900 * 4 });
    stage.step();
    stage.desk.step();
    const kinds = stage.run(1000);
    assertEquals(kinds.includes(RecordKind.measureBegin), creditsShares);
  }
});

Deno.test("Sweeper's flags of a sweep", () => {
  const stage = new Stage();
  const ring = new RingConsumer(stage.desk.memory.buffer, stage.desk.memory.plan.sweeperRing);
  const flags = (): number => {
    for (let word = ring.next(); word >= 0; word = ring.next()) {
      if ((ring.words[word + 2]! & 0xff) !== RecordKind.sweepBegin) continue;
      return SWEEP_BEGIN.view(ring.words).at(word).flags;
    }
    return -1;
  };
  stage.sweeper.step();
  assertEquals(flags(), SweepFlag.full | SweepFlag.initial);
  stage.world.nowNs += 100e6;
  stage.ask((writer) => {
    writer.open(RESYNC, 0);
    writer.close();
  });
  stage.sweeper.step();
  assertEquals(flags(), SweepFlag.full | SweepFlag.afterLoss);
});

Deno.test("Sweeper counts readings of /proc that fail, and tries again at the next interval", () => {
  const stage = new Stage();
  stage.step();
  stage.world.proc.readsLeft = 3;
  stage.run(1500);
  assertEquals([stage.counters[CounterIndex.procFailures], stage.sweeps], [1, 2]);
  assert(stage.run(1000).includes(RecordKind.proc));
  assertEquals([stage.counters[CounterIndex.procFailures], stage.sweeps], [1, 3]);
});

Deno.test("Sweeper takes a shortage for none when the machine's memory cannot be read", () => {
  const stage = new Stage({}, { minAvailableBytes: 6 * 2 ** 30 });
  const { world } = stage;
  world.readMemory = () => {
    throw new ProcRefused("too many open files");
  };
  assert(!stage.step().some(({ kind }) => kind === RecordKind.pressure));
  world.woken = Woken.byWork | Woken.byPressure;
  stage.sweeper.sleep(0);
  assertEquals(stage.counters[CounterIndex.procFailures], 2);
});
