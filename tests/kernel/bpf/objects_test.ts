import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Assembler } from "../../../kernel/bpf/asm/assembler.ts";
import {
  AttachType,
  BpfMap,
  BpfProgram,
  IteratorLink,
  MappedArray,
  ProgramType,
  VerifierError,
} from "../../../kernel/bpf/objects.ts";
import { Errno, KernelError } from "../../../kernel/ffi/errno.ts";
import { canRunToom } from "../../_support/other_user.ts";
import { kernelModule, needing } from "../../_support/real_kernel.ts";
import { layout, whyNoBpf } from "./support.ts";

const why = whyNoBpf();
const skipped = why === undefined ? "" : ` (skipped: ${why})`;
const NOBODY = 65_534;

function test(name: string, fn: () => void | Promise<void>): void {
  Deno.test({ name: `${name}${skipped}`, ignore: why !== undefined, fn });
}

function program(
  name: string,
  write: (a: Assembler) => unknown,
  maps: readonly BpfMap[] = [],
): BpfProgram {
  const a = new Assembler();
  write(a);
  return new BpfProgram({
    name,
    type: ProgramType.syscall,
    attachType: AttachType.none,
    attachTo: 0,
    instructions: a.encode({
      maps: new Map(maps.map(({ name, fd }) => [name, fd])),
      functions: new Map(),
    }),
  });
}

test("BpfProgram runs, reads what it is given, and gives back a number", () => {
  using double = program(
    "double",
    (a) => a.load("r0", "u64", "r1", 0).op("r0", "+=", "r0").store("u64", "r1", 8, "r0").exit(),
  );
  const context = new Uint8Array(16);
  const view = new DataView(context.buffer);
  view.setBigUint64(0, 21n, true);
  assertEquals(double.run(context), 42);
  assertEquals(view.getBigUint64(8, true), 42n);
});

test("VerifierError names the program, and carries the verifier's log", () => {
  const error = assertThrows(
    () => program("wrong", (a) => a.op("r0", "=", "r7").exit()),
    VerifierError,
    "program wrong: R7 !read_ok",
  );
  assertEquals(error.errno, Errno.EACCES);
  assertStringIncludes(error.log, "R7 !read_ok");
  assertStringIncludes(error.log, "processed", "all that it said");
});

test("What the kernel does not know is named, and said so", () => {
  const error = assertThrows(
    () => new BpfMap("odd", 9999, { keyBytes: 4, valueBytes: 8, entries: 1 }),
    KernelError,
    "odd",
  );
  assertEquals(error.errno, Errno.EINVAL);
  assertStringIncludes(error.message, "this kernel does not know it");
});

test("MappedArray is what programs see, and programs' changes are seen", () => {
  using array = new MappedArray("test_values", 16, 1);
  using add = program("add", (a) => {
    a.mapValue("r1", array.map.name, 8).op("r2", "=", 5);
    a.atomic("fetchAdd", "u64", "r1", 0, "r2").op("r0", "=", "r2").exit();
  }, [array.map]);
  const words = new BigUint64Array(array.buffer);
  words[1] = 37n;
  assertEquals(add.run(new Uint8Array(8)), 37, "what was there");
  assertEquals(words[1], 42n);
  assertEquals(words[0], 0n);
});

test("IteratorLink gives what a program writes for each task, however much it is", () => {
  const { task, ids, iteratorSeq } = layout();
  const a = new Assembler();
  a.load("r6", "u64", "r1", 0, "struct bpf_iter_meta").load("r6", "u64", "r6", iteratorSeq);
  a.load("r7", "u64", "r1", 8, "the task").jumpIf("r7", "==", 0, "end");
  a.load("r7", "u32", "r7", task.tgid).store("u64", "r10", -8, "r7");
  a.op("r1", "=", "r6").op("r2", "=", "r10").op("r2", "+=", -8).op("r3", "=", 8);
  a.callHelper(127, "seq_write");
  a.label("end").op("r0", "=", 0).exit();
  using iterator = new BpfProgram({
    name: "test_tasks",
    type: ProgramType.tracing,
    attachType: AttachType.iterator,
    attachTo: ids.taskIterator,
    instructions: a.encode({ maps: new Map(), functions: new Map() }),
  });
  using link = new IteratorLink(iterator);
  const pids = new Set<number>();
  let pieces = 0;
  // Less than the tasks of any machine, so that it must be read more than once.
  link.run(new Uint8Array(64), (bytes) => {
    pieces++;
    const words = new BigUint64Array(bytes.slice().buffer);
    for (const word of words) pids.add(Number(word));
  });
  assert(pids.has(Deno.pid), `${pids.size} processes in ${pieces} pieces`);
  assert(pieces > 1);
});

Deno.test({
  ...needing(
    why === undefined && canRunToom(NOBODY),
    "root, BPF, and a checkout that others can read",
    "Without capabilities the error says which are needed",
  ),
  async fn(): Promise<void> {
    const dirPath = Deno.makeTempDirSync();
    try {
      Deno.chownSync(dirPath, NOBODY, NOBODY);
      const script = `${dirPath}/try.ts`;
      Deno.writeTextFileSync(
        script,
        `
import { AttachType, BpfMap, BpfProgram, MapType, ProgramType } from
  ${JSON.stringify(kernelModule("bpf/objects.ts"))};
const tries = [
  () => new BpfMap("mine", MapType.ringBuffer, { keyBytes: 0, valueBytes: 0, entries: 4096 }),
  () => new BpfProgram({ name: "mine", type: ProgramType.tracing,
    attachType: AttachType.rawTracepoint, attachTo: 1,
    instructions: new Uint8Array([0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]) }),
];
for (const attempt of tries) {
  try {
    attempt();
    console.log("done");
  } catch (error) {
    console.log(error.message);
  }
}
`,
      );
      Deno.chmodSync(script, 0o644);
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "--no-config", "--no-lock", script],
        cwd: "/",
        env: { DENO_DIR: dirPath, HOME: dirPath, NO_COLOR: "1" },
        uid: NOBODY,
        gid: NOBODY,
      }).output();
      const said = new TextDecoder().decode(stdout);
      const lines = said.trim().split("\n");
      assertEquals(lines.length, 2, said + new TextDecoder().decode(stderr));
      assertStringIncludes(lines[0]!, "bpf(MAP_CREATE)");
      assertStringIncludes(lines[1]!, "bpf(PROG_LOAD)");
      for (const line of lines) {
        assertStringIncludes(line, "EPERM");
        assertStringIncludes(line, "mine: expected CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN");
      }
    } finally {
      Deno.removeSync(dirPath, { recursive: true });
    }
  },
});
