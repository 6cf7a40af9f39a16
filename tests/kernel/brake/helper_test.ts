/** The helper's program is what the assembler makes of its source, and does what it is for. */
import { assert, assertEquals } from "@std/assert";
import { Helper, reapFormerHelpers } from "../../../kernel/brake/helper.ts";
import { Helpers } from "../../../kernel/brake/helpers.ts";
import { HELPER_CODE, helperProgram } from "../../../kernel/brake/helper_program.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import {
  isRoot,
  mayBeRealTime,
  needing,
  spawnAs,
  threadsOf,
  waitUntil,
} from "../../_support/real_kernel.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const UID = 60110;
const OTHER_UID = 60111;
const UNLIMITED = 0xffff_ffff_ffff_ffffn;
const EPERM = 1;
const ASSEMBLERS = {
  x86_64: ["as", "x86_64-linux-gnu-as"],
  aarch64: ["as", "aarch64-linux-gnu-as"],
} as const;

/** The program of a list that is here and is for the architecture. */
function assembler(arch: keyof typeof ASSEMBLERS): string | undefined {
  const names = Deno.build.arch === arch ? ASSEMBLERS[arch] : ASSEMBLERS[arch].slice(1);
  return names.find((name) => {
    try {
      return new Deno.Command(name, { args: ["--version"], stdout: "null" }).outputSync().success;
    } catch {
      return false;
    }
  });
}

/** Bytes of an object file's section .text: sections lie as elf(5) says. */
function textOf(object: Uint8Array<ArrayBuffer>): Uint8Array {
  const view = new DataView(object.buffer);
  const sections = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  for (let index = 0; index < count; index++) {
    const at = sections + index * 64;
    const [type, flags] = [view.getUint32(at + 4, true), view.getBigUint64(at + 8, true)];
    // SHT_PROGBITS with SHF_EXECINSTR.
    if (type !== 1 || (flags & 4n) === 0n) continue;
    const [offset, bytes] = [view.getBigUint64(at + 24, true), view.getBigUint64(at + 32, true)];
    return object.subarray(Number(offset), Number(offset + bytes));
  }
  throw new Error("no section with code");
}

for (const arch of ["x86_64", "aarch64"] as const) {
  const command = assembler(arch);
  Deno.test({
    ...needing(command !== undefined, `an assembler for ${arch}`, `the helper's bytes, ${arch}`),
    fn: async () => {
      const object = await Deno.makeTempFile();
      try {
        const source = `${ROOT}kernel/brake/helper_${arch}.S`;
        const { success } = await new Deno.Command(command!, { args: ["-o", object, source] })
          .output();
        assert(success);
        const hex = [...textOf(await Deno.readFile(object))]
          .map((byte) => byte.toString(16).padStart(2, "0")).join("");
        // Sections are padded with zeros.
        assertEquals(hex.replace(/(00)*$/, ""), HELPER_CODE[arch]!.replace(/(00)*$/, ""));
      } finally {
        await Deno.remove(object);
      }
    },
  });
}

Deno.test("a helper's program has the ids in it, and none is made for an unknown machine", () => {
  const view = new DataView(helperProgram(0xfffffffe, 7, "x86_64").buffer);
  assertEquals([view.getUint32(120, true), view.getUint32(124, true)], [0xfffffffe, 7]);
  let problem = "";
  try {
    helperProgram(1, 1, "riscv64");
  } catch (error) {
    problem = String(error);
  }
  assert(problem.includes("riscv64"), problem);
});

function limitOf(pid: number): string {
  return /^Max data size +(\w+) +(\w+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/limits`))![0]!;
}

Deno.test({
  ...needing(
    isRoot(),
    "root",
    "a helper sets limits of its user's processes, and of nobody else's",
  ),
  fn: async () => {
    await using process = spawnAs(UID, ["sleep", "60"]);
    await using other = spawnAs(OTHER_UID, ["sleep", "60"]);
    const helper = Helper.start(UID, UID);
    try {
      const limits = new BigUint64Array([123_456_789n, UNLIMITED]);
      assertEquals(helper.setLimit(process.pid, limits), 0);
      assertEquals([...limits], [UNLIMITED, UNLIMITED], "what there was");
      const status = await Deno.readTextFile(`/proc/${helper.pid}/status`);
      assert(limitOf(process.pid).includes("123456789"), limitOf(process.pid));
      assertEquals(helper.setLimit(other.pid, limits), -EPERM);
      assert(limitOf(other.pid).endsWith("unlimited unlimited".replace(" ", " ".repeat(12))));
      for (const key of ["Uid", "Gid"]) {
        const ids = new RegExp(`^${key}:\\s*(.*)$`, "m").exec(status)![1]!.split(/\s+/);
        assertEquals(ids.slice(0, 4), Array(4).fill(String(UID)), "it is the user's");
      }
      assert(/^Name:\ttoom-brake$/m.test(status) && /^Groups:\s*$/m.test(status), status);
      const caps = /^CapEff:\s*(\w+)$/m.exec(status)![1]!;
      assertEquals(BigInt(`0x${caps}`), 0n, "it may do nothing else");
      const fds = await Array.fromAsync(Deno.readDir(`/proc/${helper.pid}/fd`));
      await using spy = spawnAs(UID, ["ls", `/proc/${helper.pid}/fd`]);
      assert(!(await spy.child.status).success, "its user cannot look into it");
      assertEquals(fds.map(({ name }) => name), ["0"], "it has its socket and nothing of toom's");
    } finally {
      helper.close();
    }
  },
});

Deno.test({
  ...needing(
    isRoot() && mayBeRealTime(),
    "root, SCHED_FIFO",
    "a helper goes before ordinary tasks",
  ),
  fn: () => {
    const helper = Helper.start(UID, UID, 7);
    try {
      const [thread] = threadsOf(helper.pid);
      assertEquals([thread!.name, thread!.policy, thread!.priority], ["toom-brake", 1, 7]);
    } finally {
      helper.close();
    }
  },
});

Deno.test({
  ...needing(
    isRoot(),
    "root",
    "a helper ends with who started it, and one that is stopped is replaced",
  ),
  fn: async () => {
    await using process = spawnAs(UID, ["sleep", "60"]);
    const helpers = new Helpers(0);
    const limits = new BigUint64Array([1_000_001n, UNLIMITED]);
    assertEquals(helpers.setLimit(UID, UID, process.pid, limits), 0);
    const helper = helpers["helpers"].get(`${UID}:${UID}`)!;
    openLibc().kill(helper.pid, 19); // SIGSTOP, as its user may.
    await waitUntil(
      () => Deno.readTextFileSync(`/proc/${helper.pid}/stat`).includes(") T "),
      "it is stopped",
    );
    limits.set([2_000_001n, UNLIMITED]);
    const beganMs = performance.now();
    assertEquals(helpers.setLimit(UID, UID, process.pid, limits), undefined);
    assert(performance.now() - beganMs < 10_000, "nobody waits for it");
    assert(!helpers.has(helper.pid), "it is given up");
    assertEquals(helpers.setLimit(UID, UID, process.pid, limits), undefined, "not at once again");
    helpers["failedMs"].clear();
    limits.set([2_000_001n, UNLIMITED]);
    assertEquals(helpers.setLimit(UID, UID, process.pid, limits), 0, "another takes its place");
    helpers.close();
    reapFormerHelpers();
  },
});
