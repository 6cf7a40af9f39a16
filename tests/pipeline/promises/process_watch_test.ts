import { assert, assertEquals } from "@std/assert";
import { Member } from "../../../pipeline/memory/layout.ts";
import { attachMemory, createMemory } from "../../../pipeline/memory/memory.ts";
import { OwnedHandles } from "../../../pipeline/promises/owned_handles.ts";
import { ProcessWatch } from "../../../pipeline/promises/process_watch.ts";
import { KeyKind } from "../../../pipeline/promises/ready_key.ts";
import type { ProcStatus } from "../../../pipeline/ports.ts";
import { SMALL } from "../../_support/desk.ts";
import { FakeProc } from "../../_support/fake_proc.ts";
import { FakeSockets } from "../../_support/fake_sockets.ts";

/** A /proc in which every process has the same of each member. */
class FullProc extends FakeProc {
  override readStatus(pid: number, out: ProcStatus): boolean {
    if (!super.readStatus(pid, out)) return false;
    out.rssFileKib = 4;
    out.rssAnonKib = 40;
    out.vmSwapKib = 400;
    out.rssShmemKib = 4001;
    return true;
  }
}

function stage(countMask: number): {
  watch: ProcessWatch;
  sockets: FakeSockets;
  proc: FakeProc;
  ready: () => number[];
} {
  const sockets = new FakeSockets();
  const proc = new FullProc();
  proc.entries.set(10, { startTicks: 2 ** 32 + 5, stackStart: 0x7fff_1230, ppid: 7 });
  const top = sockets.openSet(8)!;
  const memory = attachMemory(createMemory(SMALL));
  const handles = new OwnedHandles(memory, sockets);
  const options = { proc, pageBytes: 4096, procErrorPages: 3, countMaskOf: () => countMask };
  const watch = new ProcessWatch(options, sockets, top, handles);
  const ready = (): number[] => Array.from({ length: top.wait(0) }, (_, index) => top.key(index));
  return { watch, sockets, proc, ready };
}

for (
  const [member, pages] of [["file", 1], ["anon", 10], ["swap", 100], ["shmem", 1001]] as const
) {
  Deno.test(`ProcessWatch counts ${member} pages where they count, and what /proc may lack`, () => {
    const { watch } = stage(1 << Member[member]);
    assertEquals(watch.identify(10)?.residentPages, pages + 3);
  });
}

Deno.test("ProcessWatch names a process and its program by what fits in a word of the ledger", () => {
  const { watch } = stage(0xf);
  assertEquals(watch.identify(10), {
    startTicks: 5,
    imageId: 0x7fff_123,
    parentPid: 7,
    residentPages: 1 + 10 + 100 + 1001 + 3,
  });
  assertEquals(watch.identify(11), undefined);
});

Deno.test("ProcessWatch hears of an end, and says of whom it cannot", () => {
  const { watch, sockets, ready } = stage(1);
  sockets.gonePids.add(11);
  assertEquals([watch.watch(10), watch.watch(11)], [true, false]);
  assertEquals(ready(), []);
  sockets.gonePids.add(10);
  assertEquals(ready(), [KeyKind.process | 10]);
  watch.unwatch(10);
  watch.unwatch(10);
  watch.unwatch(99);
  assertEquals([ready(), sockets.count("process")], [[], 0]);
});

Deno.test("ProcessWatch goes without where the kernel gives no descriptor or no watch", () => {
  const { watch, sockets } = stage(1);
  const { size } = sockets.items;
  sockets.handlesMax = size;
  assert(watch.watch(10), "the audit finds out");
  sockets.handlesMax = Infinity;
  sockets.failsToAdd = () => true;
  assert(watch.watch(10));
  assertEquals(sockets.items.size, size, "nothing is left open");
});

Deno.test("ProcessWatch names a process whose leader has exited as before, by a thread that lives", () => {
  const { watch, proc } = stage(0xf);
  proc.entries.set(20, { startTicks: 5, stackStart: 0x7fff_1230, tids: [20, 21] });
  const before = watch.identify(20);
  proc.entries.set(20, {
    startTicks: 5,
    stackStart: 0x7fff_1230,
    tids: [20, 21],
    isLeaderDead: true,
  });
  assertEquals(watch.identify(20), before);
  proc.entries.set(20, { startTicks: 5, stackStart: 0x7fff_1230, isLeaderDead: true });
  assertEquals(watch.identify(20), undefined);
});
