/**
 * What this kernel's BPF machine can do of what the books need: tried out, not told by its version,
 * because distributions take features back into older kernels, and leave others out.
 *
 * @module
 */
import { messageOf } from "../ffi/thrown.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { readFile } from "../ffi/fd.ts";
import { Assembler } from "./asm/assembler.ts";
import { possibleCpus } from "./kernel_books.ts";
import { callHelper, Helper } from "./programs/helpers.ts";
import {
  AttachType,
  BpfMap,
  BpfProgram,
  IteratorLink,
  MappedArray,
  MapType,
  ProgramType,
} from "./objects.ts";
import { Btf, BtfError, BtfKind, KERNEL_BTF_PATH } from "./types/btf.ts";
import {
  checkTracepoint,
  KERNEL_FUNCTIONS,
  type KernelFunction,
  type KernelLayout,
  kernelLayout,
  mmOwner,
  rssCounter,
  typedefOf,
} from "./types/kernel_layout.ts";

/** With more the verifier would have to follow more than its million instructions. */
export const CPUS_MAX = 512;

/** One thing that the books need of a kernel. */
export interface Feature {
  readonly name: string;
  /** Since when kernels have it, and with which option. */
  readonly since: string;
  /** Without it the books are kept all the same. */
  readonly isOptional: boolean;
  /** Why it is not there; undefined when it is. */
  readonly problem: string | undefined;
}

/** What was found. */
export interface Features {
  readonly list: readonly Feature[];
  /** Undefined when this kernel is not as expected. */
  readonly layout: KernelLayout | undefined;
}

interface Probe {
  readonly name: string;
  readonly since: string;
  readonly isOptional?: true;
  /** @throws {Error} It is not there. */
  readonly run: (kernel: Kernel) => void;
}

/** What probes work on. */
class Kernel {
  /** @throws {Error} When it cannot be read. */
  readonly btf: () => Btf;
  /** Set by the probe of the whole. */
  layout: KernelLayout | undefined;

  constructor(btf: () => Btf) {
    this.btf = btf;
  }

  /** Loads a program of few lines, and gives it up. @throws {KernelError} */
  load(
    type: number,
    attachType: number,
    attachTo: number,
    write: (a: Assembler) => void,
    map?: BpfMap,
  ): void {
    this.program(type, attachType, attachTo, write, map)[Symbol.dispose]();
  }

  program(
    type: number,
    attachType: number,
    attachTo: number,
    write: (a: Assembler) => void,
    map?: BpfMap,
  ): BpfProgram {
    const a = new Assembler();
    write(a);
    const functions = new Map<string, number>();
    if (attachTo !== 0) {
      for (const name of Object.keys(KERNEL_FUNCTIONS)) {
        const id = this.btf().find(BtfKind.function, name);
        if (id !== 0) functions.set(name, id);
      }
    }
    const maps = new Map(map === undefined ? [] : [[map.name, map.fd] as const]);
    return new BpfProgram({
      name: "toom_probe",
      type,
      attachType,
      attachTo,
      instructions: a.encode({ maps, functions }),
    });
  }

  /** Loads a program at rss_stat, where the books are kept. */
  loadAtTracepoint(write: (a: Assembler) => void): void {
    const id = this.btf().get(BtfKind.typedef, typedefOf("rss_stat"));
    this.load(ProgramType.tracing, AttachType.rawTracepoint, id, write);
  }

  loadToRun(write: (a: Assembler) => void, map?: BpfMap): void {
    this.load(ProgramType.syscall, AttachType.none, 0, write, map);
  }
}

function nothing(a: Assembler): void {
  a.op("r0", "=", 0).exit();
}

/** Fails with a line that says so, where the function is not there. */
function needFunctions(kernel: Kernel, ...names: KernelFunction[]): void {
  for (const name of names) {
    if (kernel.btf().find(BtfKind.function, name) === 0) {
      throw new BtfError(`This kernel has no ${name}()`);
    }
  }
}

const PROBES: readonly Probe[] = [
  {
    name: "types of the kernel",
    since: "Linux 5.4 with CONFIG_DEBUG_INFO_BTF",
    run: (kernel) => void kernel.btf(),
  },
  {
    name: "mapped arrays",
    since: "Linux 5.5",
    run: () => new MappedArray("toom_probe", 8)[Symbol.dispose](),
  },
  {
    name: "programs at rss_stat",
    since: "Linux 5.5 with CONFIG_BPF_SYSCALL",
    run: (kernel) => kernel.loadAtTracepoint(nothing),
  },
  {
    name: "ring buffers",
    since: "Linux 5.8",
    run: () =>
      new BpfMap("toom_probe", MapType.ringBuffer, { keyBytes: 0, valueBytes: 0, entries: 4096 })
        [Symbol.dispose](),
  },
  {
    name: "iterators over tasks",
    since: "Linux 5.8",
    run: (kernel) => {
      const id = kernel.btf().get(BtfKind.function, "bpf_iter_task");
      using program = kernel.program(ProgramType.tracing, AttachType.iterator, id, nothing);
      new IteratorLink(program)[Symbol.dispose]();
    },
  },
  {
    name: "atomic exchange",
    since: "Linux 5.12",
    run: (kernel) =>
      kernel.loadAtTracepoint((a) => {
        a.op("r0", "=", 0).store("u64", "r10", -8, "r0").op("r1", "=", 1);
        a.atomic("compareExchange", "u64", "r10", -8, "r1");
        a.atomic("fetchAdd", "u64", "r10", -8, "r1").op("r0", "=", 0).exit();
      }),
  },
  {
    name: "programs that are run once",
    since: "Linux 5.14",
    run: (kernel) => {
      using program = kernel.program(ProgramType.syscall, AttachType.none, 0, nothing);
      program.run(new Uint8Array(0));
    },
  },
  {
    name: "bpf_map_lookup_percpu_elem",
    since: "Linux 5.19",
    run: (kernel) => {
      using map = new BpfMap("toom_probe", MapType.perCpuArray, {
        keyBytes: 4,
        valueBytes: 8,
        entries: 1,
      });
      kernel.loadToRun((a) => {
        a.store("u32", "r10", -4, 0).map("r1", map.name);
        a.op("r2", "=", "r10").op("r2", "+=", -4).op("r3", "=", 0);
        callHelper(a, "map_lookup_percpu_elem");
        nothing(a);
      }, map);
    },
  },
  {
    name: "bpf_probe_read_kernel",
    since: "Linux 5.5 without lockdown=confidentiality",
    run: (kernel) =>
      kernel.loadToRun((a) => {
        a.op("r1", "=", "r10").op("r1", "+=", -8).op("r2", "=", 8).op("r3", "=", 0);
        callHelper(a, "probe_read_kernel");
        nothing(a);
      }),
  },
  {
    name: "bpf_send_signal",
    since: "Linux 5.3",
    run: (kernel) =>
      kernel.loadAtTracepoint((a) => {
        a.op("r1", "=", 0).callHelper(Helper.send_signal, "send_signal");
        nothing(a);
      }),
  },
  {
    name: "tracepoint exit_mmap",
    since: "Linux 6.1",
    run: (kernel) => void checkTracepoint(kernel.btf(), "exit_mmap"),
  },
  {
    name: "rss_stat as counters by CPU",
    since: "Linux 6.2",
    run: (kernel) => {
      const btf = kernel.btf();
      rssCounter(btf, btf.get(BtfKind.struct, "mm_struct"));
    },
  },
  {
    name: "owners of address spaces",
    since: "CONFIG_MEMCG",
    run: (kernel) => {
      const btf = kernel.btf();
      mmOwner(btf, btf.get(BtfKind.struct, "mm_struct"));
    },
  },
  {
    name: "bpf_rdonly_cast",
    since: `Linux ${KERNEL_FUNCTIONS.bpf_rdonly_cast}`,
    run: (kernel) => {
      needFunctions(kernel, "bpf_rdonly_cast");
      const type = kernel.btf().get(BtfKind.struct, "kref");
      kernel.loadAtTracepoint((a) => {
        a.load("r1", "u64", "r1", 0).number("r2", BigInt(type)).callKernel("bpf_rdonly_cast");
        a.load("r1", "u32", "r0", 0);
        nothing(a);
      });
    },
  },
  {
    name: "all else as expected",
    since: "Linux 6.2",
    run: (kernel) => {
      kernel.layout = kernelLayout(kernel.btf());
    },
  },
  {
    name: `at most ${CPUS_MAX} CPUs`,
    since: "any Linux",
    run: () => {
      const cpus = possibleCpus();
      if (cpus > CPUS_MAX) throw new Error(`This machine may have ${cpus}`);
    },
  },
  {
    name: "bpf_send_signal_task",
    since: `Linux ${KERNEL_FUNCTIONS.bpf_send_signal_task}`,
    isOptional: true,
    run: (kernel) => {
      needFunctions(kernel, "bpf_task_from_pid", "bpf_task_release", "bpf_send_signal_task");
      kernel.loadAtTracepoint((a) => {
        a.op("r1", "=", 1).callKernel("bpf_task_from_pid").jumpIf("r0", "==", 0, "end");
        a.op("r6", "=", "r0").op("r1", "=", "r0");
        a.op("r2", "=", 0).op("r3", "=", 1).op("r4", "=", 0).callKernel("bpf_send_signal_task");
        a.op("r1", "=", "r6").callKernel("bpf_task_release");
        a.label("end");
        nothing(a);
      });
    },
  },
];

/**
 * Tries all out. Takes some tens of milliseconds; what it makes is gone when it returns.
 *
 * @param readBtf The kernel's description of its types.
 */
export function probeFeatures(
  readBtf: () => Uint8Array<ArrayBuffer> = () => readFile(KERNEL_BTF_PATH),
): Features {
  let btf: Btf | undefined;
  const kernel = new Kernel(() => btf ??= new Btf(readBtf()));
  const list = PROBES.map(({ name, since, isOptional, run }): Feature => {
    let problem: string | undefined;
    try {
      run(kernel);
    } catch (error) {
      problem = messageOf(error);
      // Who may not ask learns nothing about the kernel.
      if (error instanceof KernelError && error.errno === Errno.EPERM) {
        return { name, since: "", isOptional: isOptional === true, problem };
      }
    }
    return { name, since, isOptional: isOptional === true, problem };
  });
  return { list, layout: kernel.layout };
}

let known: Features | undefined;

/** As {@link probeFeatures}, once for the life of this thread: a kernel does not change. */
export function kernelFeatures(): Features {
  return known ??= probeFeatures();
}

/** One line about a feature that is not there. */
export function shortcoming({ name, since, problem }: Feature): string {
  return since === "" ? `${name}: ${problem}` : `${name} needs ${since}: ${problem}`;
}

/** Why the books cannot be kept in this kernel, in one line; undefined when they can. */
export function whyNoKernelTrigger(features: Features = kernelFeatures()): string | undefined {
  const lacking = features.list.find(({ isOptional, problem }) =>
    !isOptional && problem !== undefined
  );
  return lacking === undefined ? undefined : shortcoming(lacking);
}
