/**
 * I3 by members: what a user has is the sum over its mms of what counts for it, by its own limit.
 *
 * @module
 */
import type { Books } from "../../../pipeline/books/books.ts";
import { MEMBER_COUNT, MmState, UserState } from "../../../pipeline/memory/layout.ts";
import { Broken } from "../context.ts";

/** @param countMaskOf What counts for a uid, by limits and settings. */
export function assertMembers(books: Books, countMaskOf: (uid: number) => number): void {
  const { users, userSlots, processes, mms, mmSlots } = books;
  const sums = new Float64Array(userSlots.highWater);
  const masks = new Int32Array(userSlots.highWater);
  for (let slot = 0; slot < userSlots.highWater; slot++) {
    masks[slot] = countMaskOf(users.uid[slot]!);
  }
  for (let mm = 0; mm < mmSlots.highWater; mm++) {
    if (mms.state[mm] === MmState.free) continue;
    const slot = processes.userSlot[mms.processSlot1[mm]! - 1]!;
    for (let member = 0; member < MEMBER_COUNT; member++) {
      if ((masks[slot]! >> member & 1) === 0) continue;
      sums[slot]! += mms.pages[mm * MEMBER_COUNT + member]!;
    }
  }
  for (let slot = 0; slot < userSlots.highWater; slot++) {
    if (users.state[slot] === UserState.free || users.usagePages[slot] === sums[slot]) continue;
    throw new Broken(
      `I3: uid ${users.uid[slot]} has ${users.usagePages[slot]} pages, and its mms have ` +
        `${sums[slot]} of members ${masks[slot]}`,
    );
  }
}
