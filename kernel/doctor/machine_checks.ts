/** Whether the machine lets toom kill, protect itself, and be woken. */
import { NoBrake, tryBrake } from "../brake/brake_world.ts";
import { asBuffer, closeFd, readTextFile } from "../ffi/fd.ts";
import { openLibc } from "../ffi/libc.ts";
import { probePidfd } from "../kill/pidfd.ts";
import { ProcConnector } from "../proc/proc_connector.ts";
import { openPsiTrigger } from "../pressure/psi.ts";
import {
  lockMemory,
  type Protection,
  setFifo,
  setOomScoreAdj,
} from "../process/self_protection.ts";
import { Syscall } from "../ffi/symbols.ts";
import { type Examiner, Lacking, ROOT_MEND } from "./examiner.ts";

/** Tries out how a process is killed. */
export async function checkKilling(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "pidfd",
    after: ["ffi"],
    mend: "use Linux 5.3 or newer, and let seccomp pass pidfd_open and pidfd_send_signal",
    run: () => {
      const { open, sendSignal } = probePidfd();
      if (!open) throw new Lacking("pidfd_open(2) fails");
      if (!sendSignal) throw new Lacking("pidfd_send_signal(2) fails");
      return "pidfd_open and pidfd_send_signal work";
    },
  });
  await examiner.check({
    name: "process_mrelease",
    optional: true,
    after: ["pidfd"],
    mend: "use Linux 5.15 or newer: without it, a victim's memory comes back a little later",
    run: () => {
      if (!probePidfd().mrelease) throw new Lacking("process_mrelease(2) fails");
      return "process_mrelease works";
    },
  });
}

/** Tries out self-protection, and puts it back. */
export async function checkProtection(examiner: Examiner): Promise<void> {
  const protection = (name: string, detail: string, run: () => Protection): Promise<void> =>
    examiner.check({
      name,
      optional: true,
      after: ["ffi"],
      mend: ROOT_MEND,
      run: () => {
        const result = run();
        if (!result.ok) throw new Lacking(result.reason, result.mend);
        return detail;
      },
    });
  await protection("oom_score_adj", "can be -1000", tryOomScoreAdj);
  await protection("memory-lock", "code can be kept in memory", tryLockMemory);
  await protection("sched-fifo", "real-time scheduling is allowed", tryFifo);
}

function tryOomScoreAdj(): Protection {
  const before = Number(readTextFile("/proc/self/oom_score_adj"));
  const result = setOomScoreAdj(-1000);
  if (result.ok) setOomScoreAdj(before);
  return result;
}

/** munlockall(2) goes through the table's alias of syscall(2), whose other arguments it ignores. */
const MUNLOCKALL = Deno.build.arch === "aarch64" ? 231 : 152;

function tryLockMemory(): Protection {
  const isLocked = !/^VmLck:\s+0 kB$/m.test(readTextFile("/proc/self/status"));
  const result = lockMemory();
  if (!isLocked) openLibc().mlock2(MUNLOCKALL, 0n, 0n, 0);
  return result;
}

const SCHED_OTHER = 0;
/** Field 41 of /proc/PID/stat, counted behind the name. */
const STAT_POLICY = 41 - 3;

function tryFifo(): Protection {
  const stat = readTextFile("/proc/thread-self/stat");
  const policy = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[STAT_POLICY];
  // A thread that is under another policy already must keep it.
  if (policy !== String(SCHED_OTHER)) return { ok: true };
  const result = setFifo(1);
  if (result.ok) {
    const none = asBuffer(new Int32Array([0]));
    openLibc().sched_setscheduler(Syscall.schedSetscheduler, 0, SCHED_OTHER, none);
  }
  return result;
}

/** Tries out what wakes toom beside events. */
export async function checkTriggers(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "psi",
    optional: true,
    after: ["ffi"],
    mend:
      "boot with psi=1 (CONFIG_PSI), as root: without it, only the timer sees a machine in need",
    run: () => {
      const trigger = openPsiTrigger({ stallUs: 150_000, windowUs: 1_000_000 });
      if (!trigger.ok) throw new Lacking(trigger.reason);
      closeFd(trigger.fd);
      return `memory pressure wakes toom, window ${trigger.windowUs / 1000} ms`;
    },
  });
  await examiner.check({
    name: "uid-events",
    optional: true,
    after: ["ffi"],
    mend: "use Linux 6.6 or newer with CONFIG_PROC_EVENTS, as root with CAP_NET_ADMIN: without " +
      "it, a change of user is seen by the timer",
    run: () => {
      const result = ProcConnector.open();
      if (!result.ok) throw new Lacking(result.reason);
      result.connector.close();
      return "the kernel tells of changes of uid";
    },
  });
}

/** Tries out whether processes of others can be refused memory. */
export async function checkBrake(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "brake",
    optional: true,
    after: ["ffi", "root"],
    mend: "run as root: without it, --brake refuses nobody memory",
    run: () => {
      try {
        return tryBrake() === "capability"
          ? "RLIMIT_DATA of others can be lowered"
          : "RLIMIT_DATA of others can be lowered by helpers with their ids, as " +
            "CAP_SYS_RESOURCE is absent; not of programs that have changed some of their ids";
      } catch (error) {
        throw error instanceof NoBrake ? new Lacking(error.message, error.mend) : error;
      }
    },
  });
}
