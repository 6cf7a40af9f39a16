/**
 * What toom does so that it still runs, and runs at once, when memory is short.
 *
 * None of it is needed to work: each says whether it succeeded, and how to mend it.
 *
 * @module
 */
import { Errno, errno, errnoName, KernelError, primeErrno } from "../ffi/errno.ts";
import { asBuffer, readTextFile, sizeT, writeTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { Syscall } from "../ffi/symbols.ts";

/** How it went. */
export type Protection = { readonly ok: true } | {
  readonly ok: false;
  /** What failed, e.g. `"mlock2: EPERM"`. */
  readonly reason: string;
  /** What the operator can do. */
  readonly mend: string;
};

const DONE: Protection = { ok: true };

function outcome(call: string, result: number, mend: string): Protection {
  if (result !== -1) return DONE;
  return { ok: false, reason: `${call}: ${errnoName(errno())}`, mend };
}

/**
 * Tells the kernel's own OOM killer how gladly to take this process.
 *
 * @param adjustment -1000 (never) to 1000 (first). Negative ones need CAP_SYS_RESOURCE. proc(5)
 */
export function setOomScoreAdj(adjustment: number): Protection {
  try {
    writeTextFile("/proc/self/oom_score_adj", `${adjustment}\n`);
    return DONE;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const denied = error.errno === Errno.EACCES || error.errno === Errno.EPERM;
    return {
      ok: false,
      reason: `oom_score_adj: ${error.errnoName}`,
      mend: denied
        ? "run as root or with CAP_SYS_RESOURCE, or set OOMScoreAdjust in the unit"
        : "give a number from -1000 to 1000",
    };
  }
}

const MLOCK_ONFAULT = 1;
const LOCK_MEND = "run as root or with CAP_IPC_LOCK, or set LimitMEMLOCK=infinity in the unit";
/** `start-end perms offset device inode path` of /proc/PID/maps, of a file: the inode is not 0. */
const FILE_MAPPING = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ [1-9]\d* +\//;

/**
 * Keeps this process's code in memory: every mapping of a file, executable and libraries, each page
 * from when it is touched. This is what the kernel drops first when memory is short, and reads back
 * from disk at the worst of times. mlock(2)
 *
 * Not mlockall(2): V8 gives pages of its heap back with madvise(MADV_DONTNEED), which fails on locked
 * ones, and V8 then ends the process ("Check failed: 0 == ret"; Deno 2.4.2 and 2.9.6, with each of
 * MCL_CURRENT and MCL_CURRENT | MCL_FUTURE). So the heap stays unlocked; where there is swap, keep it
 * out of it with MemorySwapMax=0 in the unit. For shared memory there is {@link lockBuffer}.
 *
 * Call it again after loading more libraries.
 */
export function lockMemory(): Protection {
  primeErrno();
  const libc = openLibc();
  for (const line of readTextFile("/proc/self/maps").split("\n")) {
    const parts = FILE_MAPPING.exec(line);
    if (parts === null) continue;
    const start = BigInt(`0x${parts[1]}`);
    const bytes = BigInt(`0x${parts[2]}`) - start;
    const result = libc.mlock2(Syscall.mlock2, start, bytes, MLOCK_ONFAULT);
    if (result === -1) return outcome("mlock2", result, LOCK_MEND);
  }
  return DONE;
}

/**
 * Keeps a buffer in memory, each page from when it is touched: for the shared tables and rings. mlock(2)
 *
 * @param memory Must live as long as the process: V8 could not give the pages back.
 */
export function lockBuffer(memory: ArrayBufferLike): Protection {
  primeErrno();
  const bytes = new Uint8Array(memory);
  return outcome(
    "mlock2",
    openLibc().mlock2_buffer(Syscall.mlock2, asBuffer(bytes), sizeT(bytes.length), MLOCK_ONFAULT),
    LOCK_MEND,
  );
}

const SCHED_FIFO = 1;
const SCHED_RESET_ON_FORK = 0x4000_0000;

/**
 * Lets a thread run before all ordinary ones; threads and processes that it starts are ordinary
 * again. sched(7)
 *
 * @param priority 1 to 99.
 * @param tid 0: the calling thread.
 */
export function setFifo(priority: number, tid = 0): Protection {
  return setScheduler(SCHED_FIFO | SCHED_RESET_ON_FORK, priority, tid);
}

/**
 * As {@link setFifo} of the calling thread; threads and processes that it starts have the same
 * priority, and so has the program that it executes.
 */
export function setFifoForAll(priority: number): Protection {
  return setScheduler(SCHED_FIFO, priority, 0);
}

const SCHED_OTHER = 0;

/**
 * Makes a thread an ordinary one again, of the niceness that it had. sched(7)
 *
 * @param tid 0: the calling thread.
 */
export function setOrdinary(tid = 0): Protection {
  return setScheduler(SCHED_OTHER, 0, tid);
}

function setScheduler(policy: number, priority: number, tid: number): Protection {
  primeErrno();
  return outcome(
    "sched_setscheduler",
    openLibc().sched_setscheduler(
      Syscall.schedSetscheduler,
      tid,
      policy,
      asBuffer(new Int32Array([priority])),
    ),
    "run as root or with CAP_SYS_NICE, set LimitRTPRIO in the unit; inside a cpu cgroup v1, give it" +
      " cpu.rt_runtime_us",
  );
}

/** Words of /proc/PID/task/TID/stat behind the name and the state; proc_pid_stat(5), field 40. */
const RT_PRIORITY_WORD = 40 - 3;

/**
 * Real-time priority of a thread of this process, 0 for an ordinary one.
 *
 * @returns undefined when it has ended.
 */
export function rtPriorityOf(tid: number): number | undefined {
  try {
    const stat = readTextFile(`/proc/self/task/${tid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[RT_PRIORITY_WORD]);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

const PRIO_PROCESS = 0;

/**
 * Niceness of the calling thread alone: what is left where {@link setFifo} is not allowed.
 *
 * @param nice -20 (first) to 19. setpriority(2)
 */
export function setNice(nice: number): Protection {
  primeErrno();
  return outcome(
    "setpriority",
    openLibc().setpriority(PRIO_PROCESS, 0, nice),
    "run as root or with CAP_SYS_NICE, or set LimitNICE in the unit",
  );
}

const PR_SET_NAME = 15;
const NAME_BYTES_MAX = 15;

/**
 * Names the calling thread, for `top -H` and `ps -L`. prctl(2)
 *
 * @param name The first 15 bytes count.
 */
export function setThreadName(name: string): Protection {
  primeErrno();
  const bytes = new Uint8Array(NAME_BYTES_MAX + 1);
  new TextEncoder().encodeInto(name, bytes.subarray(0, NAME_BYTES_MAX));
  return outcome(
    "prctl",
    openLibc().prctl(PR_SET_NAME, asBuffer(bytes), 0n, 0n, 0n),
    "nothing: it is only a name",
  );
}
