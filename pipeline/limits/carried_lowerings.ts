/**
 * Graces after a limit was lowered, see lower_grace.ts, carried over when toom starts over with new memory:
 * whoever was told when it will lose processes does not lose them sooner.
 *
 * @module
 */
import { NO_LIMIT_PAGES } from "../books/books.ts";
import { UserState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";
import { SlotAllocator } from "../memory/table.ts";

/** Plain data, for a process to hand over to itself. */
export interface CarriedLowering {
  /** As {@link Memory} has it: a signed word. */
  readonly uid: number;
  /** The former limit, which holds until then. */
  readonly hardPages: number;
  /** CLOCK_MONOTONIC, nanoseconds: it goes on over a start-over. */
  readonly untilNs: number;
}

/** All users with such a grace. */
export function loweringsOf(memory: Memory): CarriedLowering[] {
  const { users } = memory;
  const { highWater } = userSlots(memory);
  const lowerings: CarriedLowering[] = [];
  for (let slot = 0; slot < highWater; slot++) {
    const untilNs = users.graceUntilNs[slot]!;
    const hardPages = users.hardPages[slot]!;
    if (users.state[slot] === UserState.free || untilNs === 0 || hardPages === NO_LIMIT_PAGES) {
      continue;
    }
    lowerings.push({ uid: users.uid[slot]!, hardPages, untilNs });
  }
  return lowerings;
}

/**
 * Makes rows of these users in memory in which nobody works yet: accounting keeps the rows of users that it
 * finds, and goes on with their graces.
 */
export function putLowerings(memory: Memory, lowerings: readonly CarriedLowering[]): void {
  const { users } = memory;
  const slots = userSlots(memory);
  for (const { uid, hardPages, untilNs } of lowerings) {
    const slot = slots.allocate();
    if (slot < 0) return;
    users.uid[slot] = uid;
    users.hardPages[slot] = hardPages;
    users.softPages[slot] = hardPages;
    users.graceUntilNs[slot] = untilNs;
    users.state[slot] = UserState.ok;
  }
}

function userSlots({ buffer, plan, users }: Memory): SlotAllocator {
  return new SlotAllocator(buffer, plan.users, users);
}
