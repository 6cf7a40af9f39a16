import { assert, assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import { canReadSmaps, parseSmapsRollup, readSmapsRollup } from "../../../kernel/proc/smaps.ts";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { hasFile, needing } from "../../_support/real_kernel.ts";

const TEXT = `55d7c8a00000-7ffd9d5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               12345 kB
Pss:                6789 kB
Pss_Dirty:          1000 kB
Pss_Anon:            512 kB
Pss_File:            256 kB
Pss_Shmem:           128 kB
Private_Clean:        16 kB
Private_Dirty:       100 kB
Anonymous:          1024 kB
LazyFree:             64 kB
Swap:                 32 kB
SwapPss:              11 kB
`;

Deno.test("parseSmapsRollup() reads what counts, and takes what is missing as 0", () => {
  assertEquals(parseSmapsRollup(TEXT), {
    anonymousKib: 1024,
    pssAnonKib: 512,
    pssFileKib: 256,
    pssShmemKib: 128,
    swapKib: 32,
    swapPssKib: 11,
    lazyFreeKib: 64,
    privateKib: 116,
    sharedKib: 0,
  });
  assertEquals(parseSmapsRollup("garbage\nPss_Anon: x kB\n").pssAnonKib, 0);
});

const HAS_SMAPS = hasFile("/proc/self/smaps_rollup");

Deno.test({
  ...needing(
    HAS_SMAPS,
    "smaps_rollup",
    "readSmapsRollup() sees a fork's pages as shared, and copies",
  ),
  fn: async () => {
    assert(canReadSmaps());
    const child = new Deno.Command("python3", {
      args: [
        "-c",
        `import mmap, os, sys
M = 64 << 20
area = mmap.mmap(-1, M, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, M, 4096): area[at] = 1
pid = os.fork()
if pid == 0:
    sys.stdin.readline()
    for at in range(0, M // 2, 4096): area[at] = 2
    print("copied", flush=True)
    sys.stdin.readline()
    os._exit(0)
print(os.getpid(), pid, flush=True)
os.waitpid(pid, 0)`,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough<string>(new TextLineStream()).getReader();
    const writer = child.stdin.getWriter();
    const go = (): Promise<void> => writer.write(new TextEncoder().encode("\n"));
    const [, pid] = (await lines.read()).value!.split(" ").map(Number);
    const before = (await readSmapsRollup(pid!))!;
    assert(before.anonymousKib >= 64 * 1024 && before.pssAnonKib <= 40 * 1024);
    const faults = new ProcReader().readMinorFaults(pid!);
    await go();
    await lines.read();
    const after = (await readSmapsRollup(pid!))!;
    assert(after.pssAnonKib - before.pssAnonKib >= 15 * 1024, "its part has grown");
    // What it copied is at most what it faulted: the schedule of measuring builds on that.
    assert(new ProcReader().readMinorFaults(pid!) - faults >= 32 * 256);
    await go();
    await writer.close();
    await lines.cancel();
    await child.status;
    assertEquals(await readSmapsRollup(pid!), undefined);
  },
});
