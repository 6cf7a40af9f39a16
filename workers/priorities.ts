/**
 * SCHED_FIFO priorities of the workers on the event's way, 1 to 99: above all ordinary tasks, below
 * what kernels and audio daemons use. The killer is the highest, for it acts when all else is late.
 *
 * @module
 */
export const FIFO_PRIORITY = {
  killer: 12,
  accounting: 11,
  reader: 10,
  /** For logins; long sweeps are ordinary work. */
  sweeper: 9,
  /** Programs wait for its answers; it never works long on one. */
  coordinator: 8,
  /**
   * V8's own threads, which compile for all workers. They take locks that workers wait for, and
   * must not be kept from their CPU while they hold one.
   */
  compiler: 7,
  /** Of all threads while toom starts over, for nothing is enforced meanwhile. */
  startOver: 6,
  none: 0,
} as const;
