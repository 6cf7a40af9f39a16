import { assertEquals } from "@std/assert";
import { Sweep } from "../../../pipeline/discovery/sweep.ts";
import { LimitRules } from "../../../pipeline/limits/limits.ts";
import { RulesPublisher, RulesView } from "../../../pipeline/limits/published_rules.ts";
import { OwnersView } from "../../../pipeline/limits/owners.ts";
import { RecordKind, SweepFlag } from "../../../pipeline/memory/layout.ts";
import type { TraceList } from "../../../pipeline/ports.ts";
import { Desk } from "../../_support/desk.ts";
import { type Entry, FakeProc, type Telling, Tellings } from "../../_support/fake_proc.ts";

const ANN = 1000;
const BOB = 1001;
const STRANGER = 2000;
const TOOM = 5;
const ROOT = 0;

/** The kernel's list, on which a task comes at once, while who writes waits until it is let go. */
class FakeList implements TraceList {
  tids = new Set<number>();
  /** Calls that had the sweeper wait. */
  waits = 0;
  private end: (() => void) | undefined;

  readPids(): number[] {
    return [...this.tids];
  }

  writePids(tids: Iterable<number>): void {
    this.tids = new Set(tids);
    this.waits++;
  }

  appendPids(tids: Iterable<number>): void {
    for (const tid of tids) this.tids.add(tid);
    this.waits++;
  }

  appendPidsAsync(tids: Iterable<number>): Promise<void> {
    for (const tid of tids) this.tids.add(tid);
    return new Promise((resolve) => this.end = resolve);
  }

  /** The write that is under way ends. */
  async letGo(): Promise<void> {
    this.end?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

/** A sweep over a /proc of entries; ANN has a limit. The desk is the accounting that it talks to. */
class Stage {
  readonly proc = new FakeProc();
  readonly list = new FakeList();
  readonly sweep: Sweep;
  readonly desk = new Desk();
  nowNs = 1e9;
  failures = 0;
  private readonly rules = new LimitRules();
  private readonly view: RulesView;
  private readonly tellings = new Tellings();

  constructor() {
    const { memory } = this.desk;
    this.view = new RulesView(memory.settings);
    this.sweep = new Sweep({
      memory,
      writer: this.tellings.writer,
      rules: this.view,
      owners: new OwnersView(memory.owners),
      list: this.list,
      proc: this.proc,
      clock: { nowNs: () => this.nowNs += 1000, suspendedNs: () => 0 },
      pageBytes: 4096,
      errorPages: 0,
      ownPid: TOOM,
      publish: () => {},
      alive: () => {},
      onProcFailure: () => this.failures++,
    });
    this.limit(ANN);
    this.add(1, { uid: ROOT }).add(TOOM, {});
  }

  limit(uid: number): this {
    this.rules.set({ uidFirst: uid, uidLast: uid, hardPages: 1000, softPages: 900 });
    return this.publishRules();
  }

  unlimit(uid: number): this {
    this.rules.clear(uid, uid);
    return this.publishRules();
  }

  private publishRules(): this {
    new RulesPublisher(this.desk.memory.settings).publish(this.rules);
    this.view.refresh();
    this.sweep.rulesChanged();
    return this;
  }

  add(pid: number, entry: Entry): this {
    this.proc.entries.set(pid, entry);
    return this;
  }

  /** Kinds of the records since before the last {@link told}, and what the end of a sweep says. */
  kinds: readonly number[] = [];
  endFlags = -1;

  /** Pids told of since the last time, in order, and those that are gone as negative numbers. */
  told(): number[] {
    const isOf = ({ kind }: Telling): boolean =>
      kind === RecordKind.proc || kind === RecordKind.gone;
    const tellings = this.tellings.take();
    this.kinds = tellings.map(({ kind }) => kind);
    this.endFlags = tellings.find(({ kind }) => kind === RecordKind.sweepEnd)?.a ?? -1;
    return tellings.filter(isOf)
      .map(({ kind, tid }) => kind === RecordKind.gone ? -tid : tid);
  }

  full(): number[] {
    this.sweep.full(false);
    return this.told();
  }
}

Deno.test("Sweep tells of those who count, has them traced first, and of nobody else", () => {
  const stage = new Stage().add(10, {}).add(11, { tids: [11, 12] }).add(20, { uid: STRANGER });
  // Before they are traced, so that their events find them known; and when they are.
  assertEquals(stage.full(), [10, 11, 10, 11]);
  assertEquals([...stage.list.tids], [10, 11, 12]);
  assertEquals(stage.full(), [10, 11]);
  assertEquals(stage.list.waits, 1);
});

Deno.test("Sweep follows who is traced and has changed its user", () => {
  const stage = new Stage().add(10, {});
  stage.full();
  stage.add(10, { uid: STRANGER });
  assertEquals(stage.full(), [10]);
});

Deno.test("Sweep lets a newcomer execute its program first, and finds it when it has", async () => {
  const stage = new Stage();
  stage.full();
  stage.add(10, { anonKib: 4 });
  assertEquals(stage.full(), [], "perhaps still a copy of its parent");
  stage.sweep.readNoted();
  assertEquals(stage.told(), []);
  stage.nowNs += 50e6;
  stage.sweep.readNoted();
  assertEquals([...new Set(stage.told())], [10]);
  assertEquals([...stage.list.tids], [10]);
  await stage.list.letGo();
  assertEquals(stage.told(), [10], "and when it is traced for sure");
  assertEquals(stage.list.waits, 0);
});

for (
  const [how, find] of Object.entries({
    "its change of user is told of": (stage: Stage): void => stage.sweep.noteUserChange(11),
    "a sweep meets it": (stage: Stage): void => void stage.full(),
  })
) {
  Deno.test(`Sweep finds a process that was not traced though its parent is, when ${how}`, async () => {
    const stage = new Stage().add(10, {}).add(11, { ppid: 10, uid: STRANGER });
    stage.full();
    stage.desk.limit(ANN, 1000).proc(10, ANN, {}).step();
    stage.add(11, { ppid: 10 });
    find(stage);
    stage.nowNs += 50e6;
    stage.told();
    stage.sweep.readNoted();
    assertEquals([...new Set(stage.told())], [11]);
    await stage.list.letGo();
    assertEquals(stage.list.tids.has(11), true);
  });
}

Deno.test("Sweep reads logins again and again until they are traced, and their children", async () => {
  const stage = new Stage();
  stage.full();
  stage.add(10, {});
  stage.sweep.look(10);
  stage.sweep.readNoted();
  assertEquals([...new Set(stage.told())], [10]);
  assertEquals(stage.sweep.isWaiting, true);
  stage.add(11, { ppid: 10 }).add(12, { ppid: 10, uid: STRANGER });
  stage.sweep.readNoted();
  assertEquals([...new Set(stage.told())], [10, 11]);
  stage.proc.entries.delete(10);
  stage.sweep.readNoted();
  assertEquals([...new Set(stage.told())], [-10, 11]);
  await stage.list.letGo();
  stage.sweep.readNoted();
  await stage.list.letGo();
  assertEquals(stage.list.tids.has(11), true);
  assertEquals(stage.sweep.isWaiting, false);
});

Deno.test("Sweep does not have logins wait for a thread that nobody announced", async () => {
  const stage = new Stage().add(10, {});
  stage.full();
  assertEquals(stage.list.waits, 1, "the first time, nobody is served until all are traced");
  stage.add(10, { tids: [10, 13] });
  assertEquals(new Set(stage.full()), new Set([10]));
  assertEquals([stage.list.waits, stage.sweep.isWaiting], [1, true]);
  assertEquals(stage.list.tids.has(13), true);
  await stage.list.letGo();
  assertEquals(stage.sweep.isWaiting, false);
});

Deno.test("Sweep waits for the list when many are missing, and when limits are new", () => {
  const stage = new Stage();
  stage.full();
  for (let pid = 100; pid < 140; pid++) stage.add(pid, { uid: BOB });
  stage.limit(BOB);
  stage.full();
  assertEquals([stage.list.waits, stage.list.tids.size], [1, 40]);
  for (let pid = 100; pid < 140; pid++) stage.add(pid, { uid: BOB, tids: [pid, pid + 100] });
  stage.full();
  assertEquals([stage.list.waits, stage.list.tids.size], [2, 80]);
});

Deno.test("Sweep takes those off the list who lost their limit", () => {
  const stage = new Stage().add(10, {}).add(20, { uid: BOB }).limit(BOB);
  stage.full();
  assertEquals([...stage.list.tids], [10, 20]);
  stage.unlimit(BOB);
  stage.full();
  assertEquals([...stage.list.tids], [10]);
  assertEquals(stage.full(), [10]);
});

Deno.test("Sweep.verify() reads whom the books have of a user, and nobody else", () => {
  const stage = new Stage();
  stage.desk.limit(ANN, 1000).proc(10, ANN, {}).proc(11, ANN, {}).proc(20, BOB, {}).step();
  stage.add(10, {}).add(20, { uid: BOB }).add(30, {});
  stage.sweep.verify(ANN);
  assertEquals(stage.told(), [10, -11]);
});

Deno.test("Sweep.resolve() tells whose thread a task is, or that it is gone", () => {
  const stage = new Stage().add(10, { tids: [10, 12] });
  stage.sweep.resolve(10);
  assertEquals(stage.told(), [10]);
  stage.sweep.resolve(12);
  assertEquals(stage.told(), [10, -12], "the process of that number was a guess");
  stage.sweep.resolve(77);
  assertEquals(stage.told(), [-77]);
});

// ------------------------------------------------------------------ /proc that cannot be read

Deno.test("Sweep that cannot read /proc is no full one, whatever fails, and the next is", () => {
  let failures = 0;
  for (let reads = 0; failures === reads; reads++) {
    const stage = new Stage().add(10, {}).add(11, { tids: [11, 12] }).add(20, { uid: STRANGER });
    stage.full();
    stage.proc.readsLeft = reads;
    const told = stage.full();
    stage.proc.readsLeft = Infinity;
    const isFull = (stage.endFlags & SweepFlag.full) !== 0;
    assertEquals([told.every((pid) => pid > 0), isFull], [true, stage.failures === 0]);
    failures += stage.failures;
    assertEquals(stage.full(), [10, 11], `reads ${reads}`);
    assertEquals([stage.endFlags & SweepFlag.full, [...stage.list.tids]], [SweepFlag.full, [
      10,
      11,
      12,
    ]]);
  }
  assertEquals(failures > 10, true, "each of its readings was refused once");
});

Deno.test("Sweep that cannot read /proc at first has those traced next who were there before", () => {
  const stage = new Stage().add(10, {});
  stage.proc.readsLeft = 0;
  assertEquals(stage.full(), []);
  assertEquals([stage.endFlags & SweepFlag.full, stage.failures], [0, 1]);
  assertEquals(stage.full(), [10, 10]);
  assertEquals([[...stage.list.tids], stage.list.waits], [[10], 1]);
});

Deno.test("Sweep does not take the list from those whom it cannot read when a limit goes", () => {
  const stage = new Stage().limit(BOB).add(10, {}).add(20, { uid: BOB });
  stage.full();
  stage.unlimit(BOB);
  stage.proc.readsLeft = 1;
  stage.full();
  assertEquals([...stage.list.tids], [10, 20]);
  stage.full();
  assertEquals([...stage.list.tids], [10]);
});

Deno.test("Sweep.verify() and resolve() say nothing of whom they cannot read", () => {
  const stage = new Stage().add(10, { tids: [10, 12] }).add(11, {});
  stage.desk.limit(ANN, 1000).proc(10, ANN, {}).proc(11, ANN, {}).step();
  stage.proc.readsLeft = 0;
  stage.sweep.verify(ANN);
  assertEquals([stage.told(), stage.kinds.includes(RecordKind.verifyEnd)], [[11], false]);
  stage.sweep.verify(ANN);
  assertEquals([stage.told(), stage.kinds.includes(RecordKind.verifyEnd)], [[10, 11], true]);
  stage.proc.readsLeft = 0;
  stage.sweep.resolve(12);
  assertEquals([stage.told(), stage.failures], [[], 2]);
});

Deno.test("Sweep reads a login again that it could not read, and does not say that it is gone", async () => {
  const stage = new Stage();
  stage.full();
  stage.add(30, {});
  stage.sweep.look(30);
  stage.sweep.readNoted();
  stage.proc.readsLeft = 0;
  stage.sweep.readNoted();
  assertEquals(stage.told(), [30, 30]);
  stage.sweep.readNoted();
  await stage.list.letGo();
  assertEquals([stage.told(), stage.failures], [[30, 30], 1]);
});
