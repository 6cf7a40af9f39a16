import { assert, assertEquals, assertThrows } from "@std/assert";
import { Btf, BtfError, KERNEL_BTF_PATH } from "../../../kernel/bpf/types/btf.ts";
import { kernelLayout } from "../../../kernel/bpf/types/kernel_layout.ts";
import { hasFile, isRoot, needing } from "../../_support/real_kernel.ts";
import { BtfBuilder } from "./btf_builder.ts";

/** What of a kernel is other than expected. */
interface Oddities {
  readonly rssStat?: "structure" | "five" | "words" | "lazy" | "wide";
  readonly hasOwner?: false;
  readonly without?: string;
  readonly rssStatParameters?: "more" | "less" | "other" | "pointer";
}

/** A kernel in some forty types. */
function kernel({ rssStat, hasOwner, without, rssStatParameters }: Oddities = {}): Btf {
  const b = new BtfBuilder();
  const int = b.int("int", 4);
  const long = b.int("long long unsigned int", 8);
  const short = b.int("short int", 2);
  const parts = b.pointer(rssStat === "wide" ? long : b.typedef("s32", int));
  const counter = b.struct("percpu_counter", 40, [
    { name: "lock", type: int, bits: 0 },
    { name: "count", type: b.typedef("s64", long), bits: 64 },
    { name: "list", type: long, bits: 128 },
    { name: rssStat === "lazy" ? "tree" : "counters", type: parts, bits: 256 },
  ]);
  const whole = rssStat === "structure"
    ? b.struct("mm_rss_stat", 32, [{ name: "count", type: b.array(long, 4), bits: 0 }])
    : b.array(rssStat === "words" ? long : counter, rssStat === "five" ? 5 : 4);
  const mm = b.struct("mm_struct", 512, [{
    name: "",
    type: b.struct("", 512, [
      { name: "rss_stat", type: whole, bits: 8 * 96 },
      ...hasOwner === false ? [] : [{ name: "owner", type: long, bits: 8 * 304 }],
    ]),
    bits: 0,
  }]);
  const task = b.struct("task_struct", 1024, [
    { name: "flags", type: int, bits: 8 * 44 },
    { name: "mm", type: b.pointer(mm), bits: 8 * 512 },
    { name: "pid", type: int, bits: 8 * 596 },
    { name: "tgid", type: int, bits: 8 * 600 },
    { name: "cred", type: long, bits: 8 * 700 },
    { name: "signal", type: long, bits: 8 * 800 },
  ]);
  b.struct("cred", 64, [{ name: "uid", type: int, bits: 64 }]);
  b.struct("signal_struct", 64, [{ name: "oom_score_adj", type: short, bits: 80 }]);
  b.struct("bpf_array", 64, [{
    name: "",
    type: b.union("", 8, [{ name: "pptrs", type: long, bits: 0 }]),
    bits: 256,
  }]);
  b.struct("bpf_iter_meta", 8, [{ name: "seq", type: long, bits: 0 }]);
  b.struct("kref", 4, [{ name: "refcount", type: int, bits: 0 }]);
  const of = (...types: number[]): number =>
    b.pointer(b.prototype([
      { name: "__data", type: b.pointer(0) },
      ...types.map((type, i) => ({ name: `argument${i}`, type })),
    ]));
  const [mmPointer, taskPointer] = [b.pointer(mm), b.pointer(task)];
  const tracepoints: Record<string, number[]> = {
    rss_stat: [mmPointer, int],
    exit_mmap: [mmPointer],
    task_newtask: [taskPointer, long],
    sched_process_exec: [taskPointer, int, b.pointer(b.struct("linux_binprm", 8, []))],
    sched_process_exit: rssStatParameters === "more" ? [taskPointer, int] : [taskPointer],
    sched_process_free: [taskPointer],
  };
  if (rssStatParameters === "more") tracepoints["rss_stat"] = [mmPointer, int, long];
  if (rssStatParameters === "less") tracepoints["rss_stat"] = [mmPointer];
  if (rssStatParameters === "other") tracepoints["rss_stat"] = [taskPointer, int];
  if (rssStatParameters === "pointer") tracepoints["rss_stat"] = [mmPointer, mmPointer];
  for (const [name, types] of Object.entries(tracepoints)) {
    if (name !== without) b.typedef(`btf_trace_${name}`, of(...types));
  }
  const prototype = b.prototype([]);
  for (
    const name of ["bpf_rdonly_cast", "bpf_task_from_pid", "bpf_task_release", "bpf_iter_task"]
  ) {
    if (name !== without) b.function(name, prototype);
  }
  return new Btf(b.bytes());
}

Deno.test("kernelLayout() gives offsets and ids of what programs need", () => {
  const btf = kernel();
  const { ids, tracepoints, functions, ...offsets } = kernelLayout(btf);
  assertEquals(offsets, {
    mm: { rssStat: 96, owner: 304 },
    counter: { bytes: 40, count: 8, parts: 32 },
    task: { mm: 512, pid: 596, tgid: 600, flags: 44, cred: 700, signal: 800 },
    credUid: 8,
    oomScoreAdj: 10,
    arrayPerCpu: 32,
    iteratorSeq: 0,
    tellsGroupDead: false,
  });
  assertEquals([ids.counter, ids.int, ids.taskIterator].map((id) => btf.nameOf(id)), [
    "percpu_counter",
    "kref",
    "bpf_iter_task",
  ]);
  assertEquals(Object.entries(tracepoints).map(([name, id]) => [name, btf.nameOf(id)]), [
    ["rss_stat", "btf_trace_rss_stat"],
    ["exit_mmap", "btf_trace_exit_mmap"],
    ["task_newtask", "btf_trace_task_newtask"],
    ["sched_process_exec", "btf_trace_sched_process_exec"],
    ["sched_process_exit", "btf_trace_sched_process_exit"],
    ["sched_process_free", "btf_trace_sched_process_free"],
  ]);
  // Before Linux 6.13 others cannot be signalled by a program; the rest works.
  assertEquals([...functions.keys()], ["bpf_rdonly_cast", "bpf_task_from_pid", "bpf_task_release"]);
});

Deno.test("kernelLayout() takes a tracepoint with more parameters than are expected", () => {
  const { tellsGroupDead } = kernelLayout(kernel({ rssStatParameters: "more" }));
  assertEquals(tellsGroupDead, true, "sched_process_exit says which exit is the last");
});

const REFUSED: readonly [name: string, Oddities, says: string][] = [
  [
    "before Linux 6.2",
    { rssStat: "structure" },
    "mm_struct.rss_stat is a mm_rss_stat, expected an array of percpu_counter (Linux 6.2)",
  ],
  [
    "with another member",
    { rssStat: "five" },
    "mm_struct.rss_stat is 5 of percpu_counter, expected 4 of percpu_counter",
  ],
  ["with plain numbers", { rssStat: "words" }, "is 4 of long long unsigned int, expected 4 of"],
  ["with counters of another kind", { rssStat: "lazy" }, "with lock, count, counters"],
  ["with wide parts", { rssStat: "wide" }, "percpu_counter.counters is no pointer to s32"],
  [
    "without memory control groups",
    { hasOwner: false },
    "mm_struct has no owner, expected a kernel with CONFIG_MEMCG",
  ],
  [
    "whose rss_stat has one parameter less",
    { rssStatParameters: "less" },
    "Tracepoint rss_stat has (mm_struct *), expected (mm_struct *, integer)",
  ],
  ["whose rss_stat has another", { rssStatParameters: "other" }, "has (task_struct *, integer)"],
  ["whose rss_stat has a pointer", { rssStatParameters: "pointer" }, "has (mm_struct *, mm_struct"],
  ["without exit_mmap", { without: "exit_mmap" }, "This kernel has no tracepoint exit_mmap"],
  [
    "without casts",
    { without: "bpf_rdonly_cast" },
    "This kernel has no bpf_rdonly_cast(), expected Linux 6.2 or later",
  ],
  ["without an iterator", { without: "bpf_iter_task" }, "This kernel has no type bpf_iter_task"],
];

Deno.test("kernelLayout() refuses a kernel that is not as expected, and says why", async (t) => {
  for (const [name, oddities, says] of REFUSED) {
    await t.step(name, () => {
      assertThrows(() => kernelLayout(kernel(oddities)), BtfError, says);
    });
  }
});

Deno.test({
  ...needing(
    isRoot() && hasFile(KERNEL_BTF_PATH),
    KERNEL_BTF_PATH,
    "kernelLayout() of this kernel",
  ),
  fn(): void {
    const btf = new Btf(Deno.readFileSync(KERNEL_BTF_PATH));
    let found: ReturnType<typeof kernelLayout>;
    try {
      found = kernelLayout(btf);
    } catch (error) {
      // An older kernel: it says so, and not that it cannot be read.
      assert(error instanceof BtfError && /expected|has no/.test(error.message), String(error));
      return;
    }
    const want = {
      "mm_struct.rss_stat": found.mm.rssStat,
      "mm_struct.owner": found.mm.owner,
      "percpu_counter.count": found.counter.count,
      "percpu_counter.counters": found.counter.parts,
      "task_struct.mm": found.task.mm,
      "task_struct.pid": found.task.pid,
      "task_struct.tgid": found.task.tgid,
      "task_struct.flags": found.task.flags,
      "task_struct.cred": found.task.cred,
      "task_struct.signal": found.task.signal,
      "cred.uid": found.credUid,
      "signal_struct.oom_score_adj": found.oomScoreAdj,
      "bpf_array.pptrs": found.arrayPerCpu,
      "bpf_iter_meta.seq": found.iteratorSeq,
    };
    const { success, stdout, stderr } = new Deno.Command("python3", {
      args: [
        new URL("./offsets.py", import.meta.url).pathname,
        KERNEL_BTF_PATH,
        ...Object.keys(want),
      ],
    }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    const offsets = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
    assertEquals(Object.values(want), offsets, Object.keys(want).join(", "));
  },
});
