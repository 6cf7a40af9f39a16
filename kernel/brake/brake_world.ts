/**
 * The brake's world: limits of processes, the record in the state directory, and whether any of it can
 * be had here.
 *
 * @module
 */
import { messageOf } from "../ffi/thrown.ts";
import type { BrakeWorld } from "../../pipeline/brake/brake_kernel.ts";
import { GiveBack } from "../../pipeline/brake/give_back.ts";
import { MonotonicClock } from "../ffi/clock.ts";
import { readTextFile } from "../ffi/fd.ts";
import { BrakeRecordFile } from "./brake_record.ts";
import { Helper, reapFormerHelpers } from "./helper.ts";
import { hasCapability, LinuxBrake } from "./linux_brake.ts";

/** Of start times in /proc, USER_HZ: 100 a second on x86-64 and arm64. */
const NS_PER_TICK = 1e7;
/** Since Linux 4.7 RLIMIT_DATA covers anonymous mappings: mm/mmap.c, commit 84638335900f. */
const MAJOR_MIN = 4;
const MINOR_MIN = 7;
/** Of the try: nobody's. */
const NOBODY = 65534;

export interface OpenedBrakeWorld extends BrakeWorld {
  close(): void;
}

/**
 * @param dirPath The state directory.
 * @param fifoPriority Of helpers, see {@link LinuxBrake}.
 * @throws {KernelError} When the record cannot be read.
 */
export function openBrakeWorld(dirPath: string, fifoPriority = 0): OpenedBrakeWorld {
  reapFormerHelpers();
  const clock = new MonotonicClock();
  const record = new BrakeRecordFile(dirPath, bootId());
  const kernel = new LinuxBrake(fifoPriority);
  const nowTicks = (): number => Math.floor((clock.nowNs() + clock.suspendedNs()) / NS_PER_TICK);
  return {
    kernel,
    record,
    ticks: { nowTicks },
    close: () => {
      kernel.close();
      record.close();
    },
  };
}

function bootId(): string {
  return readTextFile("/proc/sys/kernel/random/boot_id").trim();
}

/**
 * Gives back what the record says is lowered, at once.
 *
 * @param msMax Who cannot be given back by then is left to the next start.
 * @returns Families that are left.
 * @throws {KernelError} When the record cannot be read.
 */
export async function undoBrake(dirPath: string, msMax: number): Promise<number> {
  const world = openBrakeWorld(dirPath);
  try {
    const { kernel, record } = world;
    if (record.left.length === 0) return 0;
    const giveBack = new GiveBack(kernel, record);
    for (const family of record.left) giveBack.add(family);
    const clock = new MonotonicClock();
    const deadlineNs = clock.nowNs() + msMax * 1e6;
    while (giveBack.size > 0) {
      const nowNs = clock.nowNs();
      if (nowNs > deadlineNs) break;
      if (giveBack.nextNs > nowNs) await new Promise((resolve) => setTimeout(resolve, 5));
      giveBack.step(clock.nowNs());
    }
    return giveBack.size;
  } finally {
    world.close();
  }
}

/** How limits of others are set here: by toom itself, or by helpers with the users' ids. */
export type BrakeMeans = "capability" | "helpers";

/** Why there can be no brake. */
export class NoBrake extends Error {
  readonly mend: string;

  constructor(problem: string, mend: string) {
    super(problem);
    this.mend = mend;
  }
}

/** Tries out whether processes can be braked here. @throws {NoBrake} With the reason and the mend. */
export function tryBrake(): BrakeMeans {
  const [major, minor] = Deno.osRelease().split(".").map(Number);
  if (major! < MAJOR_MIN || (major === MAJOR_MIN && minor! < MINOR_MIN)) {
    throw new NoBrake("RLIMIT_DATA covers no anonymous mappings before Linux 4.7", "newer kernel");
  }
  if (tryRead("/sys/module/kernel/parameters/ignore_rlimit_data")?.startsWith("Y")) {
    throw new NoBrake(
      "the kernel ignores RLIMIT_DATA (ignore_rlimit_data)",
      "echo N > /sys/module/kernel/parameters/ignore_rlimit_data",
    );
  }
  if (hasCapability()) return "capability";
  const mend = "give toom CAP_SYS_RESOURCE, in a container: --cap-add SYS_RESOURCE";
  let helper: Helper;
  try {
    helper = Helper.start(NOBODY, NOBODY);
  } catch (error) {
    const reason = messageOf(error);
    throw new NoBrake(`CAP_SYS_RESOURCE is missing, and no helper can be started: ${reason}`, mend);
  }
  try {
    const limits = new BigUint64Array([1n << 30n, 1n << 30n]);
    const result = helper.setLimit(helper.pid, limits);
    if (result === 0) return "helpers";
    const what = result === undefined ? "does not answer" : `fails with errno ${-result}`;
    throw new NoBrake(`CAP_SYS_RESOURCE is missing, and a helper ${what}`, mend);
  } finally {
    helper.close();
  }
}

function tryRead(path: string): string | undefined {
  try {
    return readTextFile(path);
  } catch {
    return undefined;
  }
}
