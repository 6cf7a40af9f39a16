/**
 * One toom a machine, whatever its sockets and directories are called.
 *
 * @module
 */
import { acquireLock, adoptLock, type HeldLock } from "../../kernel/process/lock.ts";
import { StartError } from "./errors.ts";

const LOCK_PATH = "/run/toom.lock";

/** How long a child may keep the lock of a toom that has ended. */
const HEIR_MS_MAX = 2000;
const RETRY_MS = 20;

/**
 * Waits where the one that holds the lock has ended already: whoever ended it did so between the fork of a
 * child and its exec, and until then the child has its descriptors.
 *
 * @param formerFd The lock's descriptor, if this process has started over.
 * @throws {StartError} When another toom holds it.
 */
export async function holdMachineLock(
  formerFd: number | undefined,
  path = LOCK_PATH,
): Promise<HeldLock> {
  if (formerFd !== undefined) return adoptLock(formerFd);
  const untilMs = performance.now() + HEIR_MS_MAX;
  for (;;) {
    const lock = acquireLock(path);
    if ("release" in lock) return lock;
    const { holderPid } = lock;
    if (holderPid === 0 || isThere(holderPid) || performance.now() > untilMs) {
      const who = holderPid === 0 ? "" : ` (pid ${holderPid})`;
      throw new StartError(
        `another toom runs on this machine${who}`,
        "stop it first, or talk to it: toom status, toom limit",
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Whether there is a process of a number. One of another user counts. */
function isThere(pid: number): boolean {
  try {
    Deno.lstatSync(`/proc/${pid}`);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
