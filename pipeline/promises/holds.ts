/**
 * Room that is held for children that are about to be born: a process asks for it before it forks.
 *
 * @module
 */
import type { Client, Hold, UserAllocation } from "./client.ts";

/** Keeps room for a child. Rooms for copies add up; of the others, one is enough for all. */
export function addHold(
  user: UserAllocation,
  client: Client,
  pages: number,
  untilNs: number,
  isCopy: boolean,
): void {
  if (!isCopy) {
    endHold(
      user,
      client,
      client.holds.findIndex((hold) => isAwaited(hold) && !hold.isCopy),
    );
  }
  client.holds.push({ pages, inheritedPages: 0, untilNs, isCopy });
  client.heldPages += pages;
  user.heldPages += pages;
}

/** The oldest hold's child is there and counts by itself. @returns Whether it has room for a copy. */
export function childArrived(
  user: UserAllocation,
  client: Client,
  inheritedPages: number,
): boolean {
  const index = client.holds.findIndex(isAwaited);
  const hold = client.holds[index];
  if (hold === undefined) return false;
  if (hold.isCopy) endHold(user, client, index);
  else {
    client.heldPages -= hold.pages;
    user.heldPages -= hold.pages;
    hold.pages = 0;
    hold.inheritedPages = Math.max(1, inheritedPages);
  }
  return hold.isCopy;
}

function endHold(user: UserAllocation, client: Client, index: number): void {
  if (index < 0) return;
  const [hold] = client.holds.splice(index, 1);
  if (hold === undefined) return;
  client.heldPages -= hold.pages;
  user.heldPages -= hold.pages;
}

/** Ends the holds whose time is over. @returns When the next one ends. */
export function expireHolds(user: UserAllocation, client: Client, nowNs: number): number {
  let nextNs = Infinity;
  for (let index = client.holds.length - 1; index >= 0; index--) {
    const { untilNs } = client.holds[index]!;
    if (untilNs <= nowNs) endHold(user, client, index);
    else nextNs = Math.min(nextNs, untilNs);
  }
  return nextNs;
}

/**
 * Pages of children that are there and whose credit may not be; Infinity while one is about to be
 * born. Room for copies does not count: no credit is awaited for it.
 */
export function awaitedPages(user: UserAllocation): number {
  let inheritedPages = 0;
  for (const { holds } of user.clients) {
    for (const hold of holds) {
      if (hold.isCopy) continue;
      if (isAwaited(hold)) return Infinity;
      inheritedPages += hold.inheritedPages;
    }
  }
  return inheritedPages;
}

/** Whether the child has not said yet that it is there. */
function isAwaited(hold: Hold): boolean {
  return hold.inheritedPages === 0;
}
