import { assertEquals } from "@std/assert";
import { Teller } from "../../../pipeline/discovery/teller.ts";
import { bornNsOf, ProcFlag, RecordKind } from "../../../pipeline/memory/layout.ts";
import { type Entry, FakeProc, type Telling, Tellings } from "../../_support/fake_proc.ts";

const ANN = 1000;
const SUB_UID = 100_000;

class Stage {
  readonly proc = new FakeProc();
  readonly teller: Teller;
  nowNs = 1e9;
  private readonly tellings = new Tellings();

  constructor() {
    this.teller = new Teller({
      proc: this.proc,
      clock: { nowNs: () => this.nowNs, suspendedNs: () => 0 },
      writer: this.tellings.writer,
      pageBytes: 4096,
      ownerOf: (uid) => uid === SUB_UID ? ANN : uid,
    });
    this.teller.sweep = 1;
  }

  add(pid: number, entry: Entry): this {
    this.proc.entries.set(pid, entry);
    return this;
  }

  /** Tells of a process. @returns The records that say so; undefined when it is gone. */
  tell(pid: number, withTasks = false): Telling[] | undefined {
    return this.teller.tell(pid, withTasks) ? this.tellings.take() : undefined;
  }

  /** As {@link tell}: flags, and the lender if one is told of. */
  kin(pid: number): [flags: number, lender: number | undefined] {
    const records = this.tell(pid)!;
    const flags = records.find(({ kind }) => kind === RecordKind.proc)!.d & 0xff;
    return [flags, records.find(({ kind }) => kind === RecordKind.lender)?.a];
  }
}

Deno.test("Teller tells a process, its pages and its threads", () => {
  const stage = new Stage().add(10, { anonKib: 400, startTicks: 700, tids: [10, 12] });
  stage.teller.suspendedMs = 2000;
  const [process, pages, ...tasks] = stage.tell(10, true)!;
  assertEquals([process!.kind, process!.tid, process!.a, process!.b], [
    RecordKind.proc,
    10,
    ANN,
    700,
  ]);
  assertEquals(bornNsOf(process!.c, process!.d), 5e9, "without the time in suspend");
  assertEquals([pages!.kind, pages!.tid, pages!.b], [RecordKind.procPages, 10, 100]);
  assertEquals(tasks.map(({ kind, tid, a }) => [kind, tid, a]), [
    [RecordKind.task, 10, 10],
    [RecordKind.task, 12, 10],
  ]);
  assertEquals(stage.tell(11), undefined, "nobody");
});

Deno.test("Teller tells a subordinate uid as its owner, and a dead leader by a living thread", () => {
  const stage = new Stage().add(10, {
    uid: SUB_UID,
    anonKib: 8,
    tids: [10, 12],
    isLeaderDead: true,
  });
  const [process, pages] = stage.tell(10)!;
  assertEquals([process!.a, pages!.b], [ANN, 2]);
  assertEquals(new Stage().add(10, { isLeaderDead: true }).tell(10), undefined);
});

Deno.test("Teller reads a process again that executes a program while it is read", () => {
  const stage = new Stage().add(10, { anonKib: 4000, stackStart: 0x1000 });
  stage.proc.afterRead = () => void stage.add(10, { anonKib: 40, stackStart: 0x2000 });
  const pages = stage.tell(10)!.find(({ kind }) => kind === RecordKind.procPages);
  assertEquals(pages!.b, 10);
});

Deno.test("Teller tells of a process as of when it was known what it runs, not as of before", () => {
  const stage = new Stage().add(10, { anonKib: 40, stackStart: 0x2000 });
  const readIdentity = stage.proc.readIdentity.bind(stage.proc);
  // Its exec, and what that gives back, come after Teller was called and before it looks.
  stage.proc.readIdentity = (pid, out) => {
    if (stage.nowNs === 1e9) stage.nowNs = 2e9;
    return readIdentity(pid, out);
  };
  assertEquals([...new Set(stage.tell(10)!.map(({ tsNs }) => tsNs))], [2e9]);
});

Deno.test("Teller tells nothing of one that never stops executing programs, which is alive", () => {
  const stage = new Stage().add(10, { anonKib: 4000, stackStart: 0x1000 });
  let stackStart = 0x1000;
  stage.proc.afterRead = () => void stage.add(10, { stackStart: stackStart += 0x1000 });
  assertEquals(stage.tell(10), []);
});

Deno.test("Teller asks a living thread whose memory it is, as zombies have none and share that", () => {
  const [parent, child] = [10, 20].map((pid) => ({ tids: [pid, pid + 1], isLeaderDead: true }));
  const stage = new Stage();
  // Each with a program of its own: all of its pages count.
  stage.add(10, { ...parent, stackStart: 0x7000 }).add(20, { ...child, ppid: 10 });
  assertEquals([stage.kin(10), stage.kin(20)], [[0, undefined], [0, undefined]]);
  // Forked, and executed nothing: it may have nothing but its parent's.
  stage.add(20, { ...child, ppid: 10, stackStart: 0x7000 });
  assertEquals([stage.kin(10), stage.kin(20)], [[0, undefined], [ProcFlag.mayShare, undefined]]);
  // And one that runs on its parent's.
  stage.add(20, { ...child, ppid: 10, stackStart: 0x7000, mm: 10 });
  stage.teller.forget();
  const [flags, lender] = stage.kin(20);
  assertEquals([flags & ProcFlag.borrows, lender], [ProcFlag.borrows, 10]);
});

Deno.test("Teller says who was forked: its stack is where another's is", () => {
  const stage = new Stage().add(10, { stackStart: 0x7000 }).add(11, {
    stackStart: 0x7000,
    ppid: 10,
  });
  assertEquals(stage.kin(10), [0, undefined]);
  assertEquals(stage.kin(11), [ProcFlag.mayShare, undefined]);
  stage.add(11, { stackStart: 0x9000, ppid: 10 });
  assertEquals(stage.kin(11), [0, undefined], "it has executed a program");
});

Deno.test("Teller says who was forked when the child is told of first", () => {
  const stage = new Stage().add(20, { stackStart: 0x7000, startTicks: 500 });
  // Its number is lower, as numbers come round.
  stage.add(11, { stackStart: 0x7000, startTicks: 900, ppid: 20 });
  assertEquals(stage.kin(11), [ProcFlag.mayShare, undefined]);
  assertEquals(stage.kin(20), [0, undefined]);
});

Deno.test("Teller says of two of one stack whose parent is gone that one may share, in either order", () => {
  const family = { stackStart: 0x1000, ppid: 1 };
  for (const order of [[10, 300], [300, 10]] as const) {
    // Numbers have come round: 10 is the younger.
    const stage = new Stage().add(10, { ...family, startTicks: 900 })
      .add(300, { ...family, startTicks: 700 });
    assertEquals(order.map((pid) => stage.kin(pid)[0]), [0, ProcFlag.mayShare]);
    assertEquals(order.map((pid) => stage.kin(pid)[0]), [0, ProcFlag.mayShare], "told again");
  }
  const stage = new Stage().add(10, { ...family, startTicks: 900 });
  assertEquals(stage.kin(10)[0], 0);
  // It executes a program: nobody has that stack any more.
  stage.add(10, { stackStart: 0x2000, startTicks: 900 }).add(300, { ...family, startTicks: 700 });
  assertEquals([stage.kin(10)[0], stage.kin(300)[0]], [0, 0]);
});

Deno.test("Teller says on whose mm a process runs: its parent's, or that of one like it", () => {
  const stage = new Stage().add(10, { stackStart: 0x7000 });
  const { borrows, mayShare } = ProcFlag;
  stage.tell(10);
  stage.add(11, { stackStart: 0x7000, ppid: 10, mm: 10 });
  assertEquals(stage.kin(11), [borrows | mayShare, 10]);
  // Their parent is gone, and init runs on an mm of its own.
  stage.add(12, { stackStart: 0x8000, mm: 99 }).add(13, { stackStart: 0x8000, mm: 99 });
  assertEquals(stage.kin(12), [0, undefined]);
  assertEquals(stage.kin(13), [borrows | mayShare, 12]);
});

Deno.test("Teller says that who is told of after its child does not run on the child's mm", () => {
  const stage = new Stage().add(10, { stackStart: 0x7000 });
  const { borrows, mayShare } = ProcFlag;
  stage.add(11, { stackStart: 0x7000, ppid: 10, mm: 10 });
  stage.add(12, { stackStart: 0x7000, ppid: 11, mm: 10 });
  assertEquals(stage.kin(12), [borrows | mayShare, 11]);
  assertEquals(stage.kin(11), [borrows | mayShare, 10]);
  assertEquals(stage.kin(10)[1], undefined);
  assertEquals(stage.kin(10)[0] & borrows, 0, "nor the next time");
});

Deno.test("Teller says of those who ran on the mm of one that has ended that all but one borrow", () => {
  const stage = new Stage().add(10, { stackStart: 0x7000 });
  for (const pid of [11, 12, 13]) stage.add(pid, { stackStart: 0x7000, ppid: 10, mm: 10 });
  for (const pid of [10, 11, 12, 13]) stage.tell(pid);
  stage.proc.entries.delete(10);
  for (const pid of [11, 12, 13]) stage.add(pid, { stackStart: 0x7000, mm: 10 });
  for (let sweep = 2; sweep < 5; sweep++) {
    stage.teller.sweep = sweep;
    assertEquals([11, 12, 13].map((pid) => stage.kin(pid)[1]), [undefined, 11, 11], `${sweep}`);
    stage.teller.forgetUntold();
  }
});

Deno.test("Teller knows whom a sweep has told of, and forgets the others", () => {
  const stage = new Stage().add(10, {}).add(11, {});
  const { teller } = stage;
  stage.tell(10);
  stage.tell(11);
  assertEquals([teller.hasTold(10), teller.knows(10)], [true, true]);
  teller.sweep = 2;
  assertEquals([teller.hasTold(10), teller.knows(10)], [false, true]);
  stage.tell(10);
  teller.forgetUntold();
  assertEquals([teller.hasTold(10), teller.knows(11)], [true, false]);
  teller.tellAgain(10);
  assertEquals([teller.hasTold(10), teller.knows(10)], [false, true]);
});
