import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { AssemblerError } from "../../../kernel/bpf/asm/assembler.ts";
import { VerifierError } from "../../../kernel/bpf/objects.ts";
import { KernelError } from "../../../kernel/ffi/errno.ts";
import { KernelBooks, possibleCpus } from "../../../kernel/bpf/kernel_books.ts";
import { CHAIN_MAX, HEAD_BITS, headOf, Mode } from "../../../kernel/bpf/programs/books_layout.ts";
import { CPUS_MAX } from "../../../kernel/bpf/features.ts";
import {
  layout,
  pidsOf,
  scratchUid,
  truePagesOf,
  until,
  whyNoBpf,
  WorkloadProgram,
} from "./support.ts";

const why = whyNoBpf();
const skipped = why === undefined ? "" : ` (skipped: ${why})`;
const SETTING = { limitPages: 2 ** 40, mode: Mode.book };

function makeBooks(slots = 1024, countMask = 0b1110, cpus = possibleCpus()): KernelBooks {
  return new KernelBooks(layout(), { slots, cpus, countMask });
}

function test(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name: `${name}${skipped}`, ignore: why !== undefined, fn });
}

Deno.test("possibleCpus() is one more than the last CPU's number, or says what came", () => {
  for (const [text, want] of [["0\n", 1], ["0-1\n", 2], ["0-127,256-383\n", 384]] as const) {
    assertEquals(possibleCpus(text), want);
  }
  assertThrows(() => possibleCpus("none\n"), Error, 'holds "none\\n", expected such as 0-7');
});

Deno.test("headOf() spreads uids that lie as far apart as those of containers", () => {
  const heads = new Set(Array.from({ length: 200 }, (_, i) => headOf(100_000 + 65_536 * i)));
  assert(heads.size > 150, `${heads.size} lists of 200 users`);
  for (const uid of [0, 1, 2 ** 31, 2 ** 32 - 2]) {
    assert(headOf(uid) >= 0 && headOf(uid) < 1 << HEAD_BITS, `${uid}`);
  }
});

test("Users are found whose uids are in one list, or above 2^31; one too many is told", async () => {
  using program = new WorkloadProgram();
  using books = makeBooks();
  const far = 3_000_000_000;
  const uids = [far];
  for (let uid = 60_410; uids.length <= CHAIN_MAX; uid++) {
    if (headOf(uid) === headOf(far)) uids.push(uid);
  }
  const last = uids.pop()!;
  assertEquals(uids.map((uid) => books.users.add(uid, SETTING)), uids.map((_, i) => 1 + i));
  assertEquals(books.users.add(last, SETTING), 0, "one too many");
  books.attach();
  books.seed();
  // The first of the list, one in its midst, its last; whom they are not.
  for (const index of [0, 3, CHAIN_MAX - 1]) {
    await using workload = program.start(uids[index]!, "touch", 4);
    await workload.go();
    await workload.says("done");
    const pages = uids.map((_, i) => books.users.read(1 + i).totalPages);
    assert(pages[index]! > 1024, `${pages}`);
    assertEquals(pages[index], truePagesOf(uids[index]!));
    assertEquals(pages.filter((one) => one !== 0).length, 1, `${pages}`);
    await workload.end();
    assert(await until(() => books.users.read(1 + index).slots === 0));
  }
  // With one less there is room.
  books.users.remove(3);
  const row = books.users.add(last, SETTING);
  await using workload = program.start(last, "touch", 4);
  await workload.go();
  await workload.says("done");
  assertEquals(books.users.read(row).totalPages, truePagesOf(last));
  await workload.end();
});

test("Books that cannot be made leave nothing open", () => {
  const open = (): number => [...Deno.readDirSync("/proc/self/fd")].length;
  const shape = { slots: 64, cpus: possibleCpus(), countMask: 0b1110 };
  const before = open();
  // A ring buffer's size is a power of two: the last map, behind six others.
  const error = assertThrows(() => new KernelBooks(layout(), shape, 5000), KernelError);
  assertStringIncludes(error.message, "toom_records");
  // And a program that the kernel refuses, behind all maps.
  const functions = new Map([...layout().functions].filter(([name]) => name !== "bpf_rdonly_cast"));
  assertThrows(
    () => new KernelBooks({ ...layout(), functions }, shape),
    AssemblerError,
    "There is no function of the kernel bpf_rdonly_cast",
  );
  assertThrows(
    () => new KernelBooks({ ...layout(), ids: { ...layout().ids, counter: 0x7fffffff } }, shape),
    VerifierError,
    "program toom_rss_stat",
  );
  assertEquals(open(), before);
});

test("With the file member counted, files count", async () => {
  const uid = scratchUid(3);
  using program = new WorkloadProgram();
  using books = makeBooks(65_536, 0b1111);
  assertEquals(books.users.add(uid, SETTING), 1);
  books.attach();
  await using workload = program.start(uid, "touch", 4);
  await workload.go();
  await workload.says("done");
  // The truth of files is what the C library and the program have mapped.
  assertEquals(
    books.users.read(1).totalPages,
    truePagesOf(uid, ["RssAnon", "RssFile", "RssShmem"]),
  );
  await workload.end();
  assert(await until(() => books.users.read(1).slots === 0));
  const { totalPages, full } = books.users.read(1);
  assertEquals([totalPages, full], [0, 0]);
});

test("What counts is said by user: each has its own members, whatever others have", async () => {
  const fields = ["RssFile", "RssAnon", "VmSwap", "RssShmem"];
  const users = [0b0001, 0b1010, 0b1111].map((countMask, i) => ({
    uid: scratchUid(5 + i),
    countMask,
  }));
  using program = new WorkloadProgram();
  const shape = { slots: 65_536, cpus: possibleCpus(), countMask: 0b1111, isPerUser: true };
  using books = new KernelBooks(layout(), shape);
  for (const { uid, countMask } of users) {
    assert(books.users.add(uid, { ...SETTING, countMask }) > 0);
  }
  await using before = program.start(users[0]!.uid, "touch", 2);
  await before.go();
  await before.says("done");
  books.attach();
  books.seed();
  const exact = (): void => {
    for (const { uid, countMask } of users) {
      const counted = fields.filter((_, member) => (countMask >> member & 1) === 1);
      const pages = truePagesOf(uid, counted);
      assert(pages > 0, `${uid} has none`);
      assertEquals(books.users.read(books.users.find(uid)).totalPages, pages, counted.join());
    }
  };
  await using first = program.start(users[1]!.uid, "touch", 4);
  await using second = program.start(users[2]!.uid, "family", 3, 1);
  for (const workload of [first, second]) await workload.go();
  await first.says("done");
  await second.saysTimes("c", 3);
  exact();
  for (const pid of pidsOf(users[2]!.uid)) if (pid !== second.pid) Deno.kill(pid, "SIGKILL");
  for (const workload of [before, first, second]) await workload.end();
  for (const { uid } of users) {
    const index = books.users.find(uid);
    assert(await until(() => books.users.read(index).slots === 0));
    assertEquals(books.users.read(index).totalPages, 0);
  }
});

test(`Programs for ${CPUS_MAX} CPUs pass the verifier, whatever counts`, () => {
  makeBooks(1024, 0b1111, CPUS_MAX)[Symbol.dispose]();
  const shape = { slots: 1024, cpus: CPUS_MAX, countMask: 0b1111, isPerUser: true };
  new KernelBooks(layout(), shape)[Symbol.dispose]();
});

test("Without room the user is told of, and ends at 0 all the same", async () => {
  const uid = scratchUid(4);
  using program = new WorkloadProgram();
  // Eight address spaces, because they all are in one bucket.
  using books = makeBooks(8);
  assertEquals(books.users.add(uid, SETTING), 1);
  books.attach();
  await using workload = program.start(uid, "family", 12, 1);
  await workload.go();
  await workload.saysTimes("c", 12);
  const { slots, full } = books.users.read(1);
  assertEquals(slots, 8);
  assert(full > 0, "told");
  assert(books.counters().full >= full);
  for (const pid of pidsOf(uid)) if (pid !== workload.pid) Deno.kill(pid, "SIGKILL");
  await workload.end();
  assert(await until(() => books.users.read(1).slots === 0));
  assertEquals(books.users.read(1).totalPages, 0);
});
