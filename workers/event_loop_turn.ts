/**
 * How a worker waits for a call that ends on another thread.
 *
 * @module
 */

/**
 * A moment in which the thread really sleeps, milliseconds. A real-time thread that only turned its event
 * loop would keep from its CPU all threads of lower priority: the one that it waits for, which may hold the
 * lock of the address space by then, and with it everybody else. sched(7), SCHED_FIFO
 */
export const TURN_REST_MS = 1;

/** Sleeps, until something rings or {@link TURN_REST_MS} have passed, and lets calls that have ended say so. */
export async function turnEventLoop(agent: { sleep(timeoutMs: number): void }): Promise<void> {
  agent.sleep(TURN_REST_MS);
  await new Promise((resolve) => setTimeout(resolve, 0));
}
