/**
 * I5: who asks first never passes the limit, and what was promised ends with whom it was promised to.
 *
 * @module
 */
import { Broken, type SimContext } from "../context.ts";
import { heldPages } from "../kernel/truth.ts";
import { ASKING_UID, hardOf } from "../options.ts";
import type { Programs } from "../programs/programs.ts";
import type { CoordinatorRole } from "../roles/coordinator.ts";

/** What a program has for itself while it executes another one, which nobody is asked for. */
const EXEC_PAGES = 2;

export function assertPromisesKept(sim: SimContext, programs: Programs): void {
  const hardPages = hardOf(sim.options, ASKING_UID);
  const held = heldPages(sim.kernel, ASKING_UID);
  if (held <= hardPages + EXEC_PAGES * programs.all.size) return;
  throw new Broken(`I5: who asks first holds ${held} pages of ${hardPages}`);
}

/** All programs have ended, and the coordinator has heard of it. */
export function assertNothingPromised({ coordinator }: CoordinatorRole): void {
  const { clients, users } = coordinator.allocations;
  if (clients.size > 0) {
    throw new Broken(`I5: ${[...clients.keys()]} have ended, and are promised memory still`);
  }
  if (users.size > 0) throw new Broken(`I5: users ${[...users.keys()]} are kept for nothing`);
}
