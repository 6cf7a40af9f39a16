/** Whether this process may do what toom does: FFI, root, capabilities, /proc. */
import { readTextFile } from "../ffi/fd.ts";
import { openLibc, pageBytes } from "../ffi/libc.ts";
import { ProcReader } from "../proc/proc.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import { type Examiner, Lacking, ROOT_MEND } from "./examiner.ts";

/** capabilities(7) */
const Capability = {
  DAC_OVERRIDE: 1,
  KILL: 5,
  NET_ADMIN: 12,
  IPC_LOCK: 14,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
} as const;

/** Tries out what this process may do. */
export async function checkProcess(examiner: Examiner): Promise<void> {
  await examiner.check({
    name: "ffi",
    mend: "give Deno its permissions: deno run -A",
    run: () => {
      if (Deno.build.os !== "linux") throw new Lacking("this is not Linux", "use Linux");
      openLibc();
      return `libc opened, ${Deno.build.arch}, pages of ${pageBytes()} bytes`;
    },
  });
  await examiner.check({
    name: "root",
    mend: ROOT_MEND,
    run: () => {
      const uid = Deno.uid();
      if (uid !== 0) throw new Lacking(`uid ${uid}: cannot trace or end other users' processes`);
      return "uid 0";
    },
  });
  await examiner.check({
    name: "capabilities",
    after: ["ffi"],
    mend: "run as root with CAP_KILL, in a container: --cap-add KILL",
    run: () => {
      const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readTextFile("/proc/self/status"))?.[1];
      const bits = BigInt(`0x${hex ?? "0"}`);
      const absent = Object.entries(Capability)
        .filter(([, bit]) => (bits >> BigInt(bit) & 1n) === 0n).map(([name]) => `CAP_${name}`);
      if (absent.includes("CAP_KILL")) throw new Lacking(`absent: ${absent.join(", ")}`);
      // What the others are for is tried out below.
      return absent.length === 0 ? "all that toom uses" : `CAP_KILL; absent: ${absent.join(", ")}`;
    },
  });
  await examiner.check({
    name: "proc",
    after: ["ffi"],
    mend: "mount /proc without hidepid, or run as root with CAP_SYS_PTRACE",
    run: () => {
      const pids = new Int32Array(65_536);
      const proc = new ProcReader();
      const count = proc.listPids(pids);
      if (!proc.readStatus(1, new ProcStatus())) throw new Lacking("other processes are hidden");
      return `${count} processes are seen`;
    },
  });
}
