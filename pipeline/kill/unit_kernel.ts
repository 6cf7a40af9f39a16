/**
 * What the killer needs of the kernel to know who belongs together.
 *
 * @module
 */

/** Beside real uids. */
export const Sharer = { none: -1, unknown: -2 } as const;

/** No method throws for what the kernel says. Units are indices of KILL_UNITS, without `process`. */
export interface UnitKernel {
  /** @returns The pid of a process's parent; 0 when it cannot be told. */
  parentOf(pid: number): number;
  /**
   * Names the process group, session or cgroup of a process.
   *
   * @returns A number for {@link isIn}, until the next call; 0 when it has none (the root cgroup is no
   *   scope) or it cannot be told.
   */
  unitOf(pid: number, unit: number): number;
  /** Whether a process is in such a unit; of a cgroup, in one below it too. */
  isIn(pid: number, unit: number, key: number): boolean;
  /**
   * Which of those who share an account a process is.
   *
   * @param uid Of the account, as in the tables.
   * @returns Its real uid; {@link Sharer}.none: the account is one user's; {@link Sharer}.unknown: it cannot be told.
   */
  sharerOf(pid: number, uid: number): number;
  /**
   * Has the kernel end a whole cgroup with those below it at once, by cgroup.kill of cgroup v2, if all
   * processes in it may be killed.
   *
   * @param mayKill Whether a process may be; false when it cannot be told.
   * @returns Whether it did.
   */
  killScope(key: number, mayKill: (pid: number) => boolean): boolean;
}
