/**
 * What programs need to know of this kernel's types: offsets of fields and ids of types, tracepoints and
 * functions, from its BTF. A kernel that is not as expected is refused, because a program that reads
 * from a wrong place would count nonsense.
 *
 * @module
 */
import { type Btf, BtfError, BtfKind } from "./btf.ts";

/** Members of `mm_struct.rss_stat`: NR_MM_COUNTERS, linux/mm_types_task.h */
export const MEMBERS = 4;

/** Functions of the kernel that programs may call, and the version since which they can. */
export const KERNEL_FUNCTIONS = {
  /** The rest needs it. */
  bpf_rdonly_cast: "6.2",
  bpf_task_from_pid: "6.2",
  bpf_task_release: "6.2",
  /** Without it a program ends only the process that runs it. */
  bpf_send_signal_task: "6.13",
} as const;
export type KernelFunction = keyof typeof KERNEL_FUNCTIONS;

/** How any integer is shown among parameters: compilers name them differently. */
const INTEGER = "integer";

/** Tracepoints that programs are attached to, with the parameters that are expected of them. */
const TRACEPOINTS = {
  rss_stat: ["mm_struct *", INTEGER],
  exit_mmap: ["mm_struct *"],
  task_newtask: ["task_struct *", INTEGER],
  sched_process_exec: ["task_struct *", INTEGER, "linux_binprm *"],
  sched_process_exit: ["task_struct *"],
  sched_process_free: ["task_struct *"],
} as const;
export type Tracepoint = keyof typeof TRACEPOINTS;

/** Offsets in bytes, ids of BTF types. */
export interface KernelLayout {
  /** In mm_struct. */
  readonly mm: { readonly rssStat: number; readonly owner: number };
  /** Of `struct percpu_counter`: its size, and offsets in it. */
  readonly counter: { readonly bytes: number; readonly count: number; readonly parts: number };
  readonly task: {
    readonly mm: number;
    readonly pid: number;
    readonly tgid: number;
    readonly flags: number;
    readonly cred: number;
    readonly signal: number;
  };
  readonly credUid: number;
  /** In signal_struct. */
  readonly oomScoreAdj: number;
  /** In bpf_array: where the addresses of a per-CPU map's values are. */
  readonly arrayPerCpu: number;
  /** In bpf_iter_meta: the file that an iterator writes to. */
  readonly iteratorSeq: number;
  readonly ids: {
    readonly counter: number;
    /** A structure that begins with an int: to read one from anywhere. */
    readonly int: number;
    readonly taskIterator: number;
  };
  readonly tracepoints: Readonly<Record<Tracepoint, number>>;
  /** Whether sched_process_exit says if the task is the last of its process. */
  readonly tellsGroupDead: boolean;
  /** Those that this kernel has. */
  readonly functions: ReadonlyMap<string, number>;
}

const STRUCTURES = [
  "mm_struct",
  "task_struct",
  "cred",
  "signal_struct",
  "bpf_array",
  "bpf_iter_meta",
  "kref",
];
const TASK_ITERATOR = "bpf_iter_task";

/** @throws {BtfError} Saying what was expected and what this kernel has. */
export function kernelLayout(btf: Btf): KernelLayout {
  btf.lookUp([
    ...STRUCTURES.map((name) => [BtfKind.struct, name] as const),
    ...[...Object.keys(KERNEL_FUNCTIONS), TASK_ITERATOR]
      .map((name) => [BtfKind.function, name] as const),
    ...Object.keys(TRACEPOINTS).map((name) => [BtfKind.typedef, typedefOf(name)] as const),
  ]);
  const struct = (name: string): number => btf.get(BtfKind.struct, name);
  const offset = (type: number, field: string): number => btf.field(type, field).offsetBytes;
  const mm = struct("mm_struct");
  const task = struct("task_struct");
  const counter = rssCounter(btf, mm);
  const functions = new Map<string, number>();
  for (const name of Object.keys(KERNEL_FUNCTIONS)) {
    const id = btf.find(BtfKind.function, name);
    if (id !== 0) functions.set(name, id);
  }
  if (!functions.has("bpf_rdonly_cast")) {
    throw new BtfError("This kernel has no bpf_rdonly_cast(), expected Linux 6.2 or later");
  }
  return {
    mm: { rssStat: offset(mm, "rss_stat"), owner: mmOwner(btf, mm) },
    counter: {
      bytes: btf.sizeOf(counter),
      count: offset(counter, "count"),
      parts: offset(counter, "counters"),
    },
    task: {
      mm: offset(task, "mm"),
      pid: offset(task, "pid"),
      tgid: offset(task, "tgid"),
      flags: offset(task, "flags"),
      cred: offset(task, "cred"),
      signal: offset(task, "signal"),
    },
    credUid: offset(struct("cred"), "uid"),
    oomScoreAdj: offset(struct("signal_struct"), "oom_score_adj"),
    arrayPerCpu: offset(struct("bpf_array"), "pptrs"),
    iteratorSeq: offset(struct("bpf_iter_meta"), "seq"),
    ids: {
      counter,
      int: struct("kref"),
      taskIterator: btf.get(BtfKind.function, TASK_ITERATOR),
    },
    tracepoints: Object.fromEntries(
      Object.keys(TRACEPOINTS).map((name) => [name, checkTracepoint(btf, name as Tracepoint)]),
    ) as Record<Tracepoint, number>,
    tellsGroupDead: parametersOfTracepoint(btf, "sched_process_exit") > 1,
    functions,
  };
}

/** @returns Id of `struct percpu_counter`. @throws {BtfError} rss_stat is no array of it. */
export function rssCounter(btf: Btf, mm: number): number {
  const { type } = btf.field(mm, "rss_stat");
  const here = btf.resolve(type);
  if (btf.kindOf(here) !== BtfKind.array) {
    throw new BtfError(
      `mm_struct.rss_stat is a ${
        btf.nameOf(here)
      }, expected an array of percpu_counter (Linux 6.2)`,
    );
  }
  const { element, length } = btf.arrayOf(here);
  const counter = btf.resolve(element);
  const names = ["lock", "count", "counters"];
  if (
    btf.nameOf(counter) !== "percpu_counter" || length !== MEMBERS ||
    names.some((name) => btf.findField(counter, name) === undefined)
  ) {
    throw new BtfError(
      `mm_struct.rss_stat is ${length} of ${btf.nameOf(counter)}, ` +
        `expected ${MEMBERS} of percpu_counter with ${names.join(", ")}`,
    );
  }
  const parts = btf.resolve(btf.target(btf.resolve(btf.field(counter, "counters").type)));
  if (btf.sizeOf(parts) !== 4) throw new BtfError("percpu_counter.counters is no pointer to s32");
  return counter;
}

/** @returns Offset of the owner. @throws {BtfError} There is none. */
export function mmOwner(btf: Btf, mm: number): number {
  const owner = btf.findField(mm, "owner");
  if (owner === undefined) {
    throw new BtfError("mm_struct has no owner, expected a kernel with CONFIG_MEMCG");
  }
  return owner.offsetBytes;
}

/** How many parameters a tracepoint has; the first in BTF is the kernel's own. */
function parametersOfTracepoint(btf: Btf, name: Tracepoint): number {
  return btf.parametersOf(btf.get(BtfKind.typedef, typedefOf(name))).length - 1;
}

/**
 * @returns Id of a tracepoint that begins with the expected parameters; kernels have added some.
 * @throws {BtfError} It has others.
 */
export function checkTracepoint(btf: Btf, name: Tracepoint): number {
  const id = btf.find(BtfKind.typedef, typedefOf(name));
  if (id === 0) throw new BtfError(`This kernel has no tracepoint ${name}`);
  const parameters = btf.parametersOf(id).slice(1).map(({ type }) => parameterName(btf, type));
  const expected = TRACEPOINTS[name];
  if (expected.some((one, i) => parameters[i] !== one)) {
    const shown = parameters.join(", ");
    throw new BtfError(`Tracepoint ${name} has (${shown}), expected (${expected.join(", ")})`);
  }
  return id;
}

/** Of a tracepoint's prototype. */
export function typedefOf(tracepoint: string): string {
  return `btf_trace_${tracepoint}`;
}

function parameterName(btf: Btf, type: number): string {
  const here = btf.resolve(type);
  if (btf.kindOf(here) === BtfKind.int) return INTEGER;
  return btf.kindOf(here) === BtfKind.pointer
    ? `${btf.nameOf(btf.resolve(btf.target(here)))} *`
    : btf.nameOf(here);
}
