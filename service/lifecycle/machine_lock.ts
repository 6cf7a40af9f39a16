/**
 * One toom a machine, whatever its sockets and directories are called.
 *
 * @module
 */
import { acquireLock, adoptLock, type HeldLock } from "../../kernel/process/lock.ts";
import { StartError } from "./errors.ts";

const LOCK_PATH = "/run/toom.lock";

/**
 * @param formerFd The lock's descriptor, if this process has started over.
 * @throws {StartError} When another toom holds it.
 */
export function holdMachineLock(formerFd: number | undefined): HeldLock {
  if (formerFd !== undefined) return adoptLock(formerFd);
  const lock = acquireLock(LOCK_PATH);
  if ("release" in lock) return lock;
  const who = lock.holderPid === 0 ? "" : ` (pid ${lock.holderPid})`;
  throw new StartError(
    `another toom runs on this machine${who}`,
    "stop it first, or talk to it: toom status, toom limit",
  );
}
