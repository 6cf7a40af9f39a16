import { assert, assertEquals } from "@std/assert";
import { Assembler } from "../../../kernel/bpf/asm/assembler.ts";
import { KernelBooks, possibleCpus } from "../../../kernel/bpf/kernel_books.ts";
import {
  AttachType,
  BpfMap,
  BpfProgram,
  MapType,
  ProgramType,
} from "../../../kernel/bpf/objects.ts";
import { BpfRecord, BpfRecordKind, Mode } from "../../../kernel/bpf/programs/books_layout.ts";
import { RingBuffer } from "../../../kernel/bpf/ring_buffer.ts";
import { layout, scratchUid, takeRecords, until, whyNoBpf, WorkloadProgram } from "./support.ts";

const why = whyNoBpf();
const skipped = why === undefined ? "" : ` (skipped: ${why})`;
const HEADER_BYTES = 8;
/** bpf-helpers(7) */
const Helper = { output: 130, reserve: 131, discard: 133 } as const;
/** What a full ring buffer says to who writes, seen as an unsigned number: -EAGAIN. */
const FULL = 2 ** 32 - 11;

/** A ring buffer, and programs that write to it when they are run. */
class Scene implements Disposable {
  readonly map: BpfMap;
  readonly ring: RingBuffer;
  private readonly stack = new DisposableStack();
  private readonly programs = new Map<string, BpfProgram>();

  /** @param bytes Of its data. */
  constructor(bytes: number) {
    this.map = this.stack.use(
      new BpfMap("test_ring", MapType.ringBuffer, { keyBytes: 0, valueBytes: 0, entries: bytes }),
    );
    this.ring = new RingBuffer(this.map.fd, bytes);
  }

  /** Writes a record of so many bytes, at most 256, that begins with a number. @returns 0, or FULL. */
  write(bytes: number, number: number): number {
    const program = this.program(`write${bytes}`, (a) => {
      a.load("r6", "u64", "r1", 0, "the number");
      for (let at = -256; at < 0; at += 8) a.store("u64", "r10", at, at);
      a.store("u64", "r10", -256, "r6");
      a.map("r1", "ring").op("r2", "=", "r10").op("r2", "+=", -256).op("r3", "=", bytes);
      a.op("r4", "=", 0).callHelper(Helper.output, "ringbuf_output").exit();
    });
    const context = new Uint8Array(8);
    new DataView(context.buffer).setBigUint64(0, BigInt(number), true);
    return program.run(context);
  }

  /** Takes room for a record, and gives it up. @returns 1 when there was room. */
  discard(bytes: number): number {
    return this.program(`discard${bytes}`, (a) => {
      a.map("r1", "ring").op("r2", "=", bytes).op("r3", "=", 0);
      a.callHelper(Helper.reserve, "ringbuf_reserve");
      a.jumpIf("r0", "==", 0, "end", "no room");
      a.op("r1", "=", "r0").op("r2", "=", 0).callHelper(Helper.discard, "ringbuf_discard");
      a.op("r0", "=", 1).label("end").exit();
    }).run(new Uint8Array(8));
  }

  private program(name: string, write: (a: Assembler) => void): BpfProgram {
    const known = this.programs.get(name);
    if (known !== undefined) return known;
    const a = new Assembler();
    write(a);
    const program = this.stack.use(
      new BpfProgram({
        name,
        type: ProgramType.syscall,
        attachType: AttachType.none,
        attachTo: 0,
        instructions: a.encode({ maps: new Map([["ring", this.map.fd]]), functions: new Map() }),
      }),
    );
    this.programs.set(name, program);
    return program;
  }

  /** Numbers and sizes of the records that there are. */
  take(): [number: number, bytes: number][] {
    const found: [number, number][] = [];
    const { words } = this.ring;
    const view = new DataView(words.buffer, words.byteOffset);
    const taken = this.ring.read((word) => {
      // Its length is in the header before it.
      found.push([Number(view.getBigUint64(word * 4, true)), words[word - 2]!]);
    });
    assertEquals(taken, found.length);
    return found;
  }

  [Symbol.dispose](): void {
    this.stack[Symbol.dispose]();
  }
}

function test(name: string, fn: (t: Deno.TestContext) => void | Promise<void>): void {
  Deno.test({ name: `RingBuffer ${name}${skipped}`, ignore: why !== undefined, fn });
}

test("gives records of all sizes in order, around its end again and again", () => {
  using scene = new Scene(4096);
  const sizes = [8, 9, 20, 64, 255];
  let number = 0;
  for (let round = 0; round < 100; round++) {
    const written: [number, number][] = [];
    for (let i = 0; i < 1 + round % 9; i++) {
      const bytes = sizes[number % sizes.length]!;
      assertEquals(scene.write(bytes, number), 0);
      written.push([number++, bytes]);
    }
    assertEquals(scene.take(), written);
  }
  assertEquals(scene.take(), []);
});

test("leaves out what was given up", () => {
  using scene = new Scene(4096);
  for (let round = 0; round < 50; round++) {
    scene.discard(24);
    scene.write(64, round);
    scene.discard(200);
    scene.discard(8);
    scene.write(20, 1000 + round);
    assertEquals(scene.take(), [[round, 64], [1000 + round, 20]]);
    scene.discard(24);
    assertEquals(scene.take(), []);
  }
});

test("has room again for what was taken, and not before", () => {
  using scene = new Scene(4096);
  for (let round = 0; round < 3; round++) {
    let count = 0;
    while (scene.write(64, count) === 0) count++;
    // The kernel never lets it become quite full.
    assert(count >= Math.floor(4096 / (64 + HEADER_BYTES)) - 1, `${count} records`);
    assertEquals(scene.write(64, count), FULL);
    assertEquals(
      scene.take().map(([number]) => number),
      Array.from({ length: count }, (_, i) => i),
    );
  }
});

test("counts its bytes beyond 32 bits", () => {
  const bytes = 1 << 20;
  using scene = new Scene(bytes);
  const step = bytes / 2;
  for (let position = 0; position < 2 ** 32 + 8 * step; position += step) {
    if (scene.discard(step - 2 * HEADER_BYTES - 64) !== 1) throw new Error(`full at ${position}`);
    scene.write(56, position);
    const found = scene.take();
    if (found.length !== 1 || found[0]![0] !== position) {
      assertEquals(found, [[position, 56]], `at ${position}`);
    }
  }
});

test("without room: the books count what was not recorded", async () => {
  const bytes = 4096;
  const uid = scratchUid(5);
  const pages = 2048;
  using program = new WorkloadProgram();
  using books = new KernelBooks(
    layout(),
    { slots: 1024, cpus: possibleCpus(), countMask: 0b1110 },
    bytes,
  );
  const ring = new RingBuffer(books.records.fd, bytes);
  books.users.add(uid, { limitPages: 2 ** 40, mode: Mode.book, recordAbovePages: 0 });
  books.attach();
  await using workload = program.start(uid, "touch", pages / 256);
  await workload.go();
  await workload.says("done");
  const { recordsShed } = books.counters();
  const records = takeRecords(ring, Object.values(BpfRecordKind));
  assert(records.length > 0 && records.length <= bytes / (BpfRecord.bytes + HEADER_BYTES));
  assert(recordsShed + records.length >= pages, `${recordsShed} shed, ${records.length} taken`);
  // The books do not depend on records.
  assert(books.users.read(1).totalPages >= pages);
  await workload.end();
  await until(() => books.users.read(1).slots === 0);
  assertEquals(books.users.read(1).totalPages, 0);
});
