/**
 * Whether the books add up (I3, I10): each sum against what it is the sum of, over all tables.
 *
 * @module
 */
import type { Books } from "./books.ts";
import { invariant } from "../memory/invariant.ts";
import { ProcessState, UserState } from "../memory/layout.ts";

/** What a user's processes add up to. */
interface Sums {
  pages: number;
  credit: number;
  assigned: number;
  tasks: number;
  mms: number;
}

/** @throws {InvariantError} */
export function checkSums(books: Books): void {
  const { users, processes, userSlots, processSlots } = books;
  const byUser = new Map<number, Sums>();
  for (let slot = 0; slot < processSlots.highWater; slot++) {
    if (processes.state[slot] === ProcessState.free) continue;
    const user = processes.userSlot[slot]!;
    const sums = byUser.get(user) ?? { pages: 0, credit: 0, assigned: 0, tasks: 0, mms: 0 };
    byUser.set(user, sums);
    checkProcess(books, slot, sums);
  }
  for (let slot = 0; slot < userSlots.highWater; slot++) {
    if (users.state[slot] === UserState.free) continue;
    const sums = byUser.get(slot) ?? { pages: 0, credit: 0, assigned: 0, tasks: 0, mms: 0 };
    const { uid, usagePages, creditPages, shareablePages, taskCount, mmCount } = users;
    const name = `uid ${uid[slot]}`;
    invariant(usagePages[slot] === sums.pages, `I3: ${name}: ${usagePages[slot]} != ${sums.pages}`);
    const credit = creditPages[slot];
    invariant(credit === sums.credit, `I10: ${name}: credit ${credit} != ${sums.credit}`);
    const assigned = shareablePages[slot];
    invariant(assigned === sums.assigned, `I10: ${name}: assigned ${assigned} != ${sums.assigned}`);
    invariant(taskCount[slot] === sums.tasks, `I3: ${name} has ${sums.tasks} tasks`);
    invariant(mmCount[slot] === sums.mms, `I3: ${name} has ${sums.mms} mms`);
  }
}

function checkProcess(books: Books, slot: number, sums: Sums): void {
  const { processes, mms, tasks } = books;
  const { pages, sharedPages, creditPages, taskCount } = processes;
  const name = `process ${processes.tgid[slot]}`;
  let pageSum = 0;
  let sharedSum = 0;
  let creditSum = 0;
  for (let mm1 = processes.mmFirst1[slot]!; mm1 !== 0; mm1 = mms.sibling1[mm1 - 1]!) {
    const mm = mm1 - 1;
    invariant(mms.processSlot1[mm] === slot + 1, "I3: an mm in a foreign list");
    const counted = books.countedPages(mm);
    const shared = mms.sharedPages[mm]!;
    const credit = mms.creditPages[mm]!;
    const isBetween = credit >= 0 && credit <= shared && shared <= counted;
    invariant(isBetween, `I10: ${name}: credit ${credit}, shared ${shared} of ${counted}`);
    const origin1 = mms.originSlot1[mm]!;
    invariant(origin1 === 0 || mms.dependents[origin1 - 1]! > 0, "I10: an origin without a child");
    const assigned = mms.assignedPages[mm]!;
    const assignedMax = Math.min(books.shares.shareablePages(mm), counted - credit);
    const isCharged = assigned >= 0 && assigned <= assignedMax;
    invariant(isCharged, `I10: ${name}: assigned ${assigned} of ${assignedMax}`);
    sums.assigned += assigned;
    pageSum += counted;
    sharedSum += shared;
    creditSum += credit;
    sums.mms++;
  }
  let taskSum = 0;
  for (let task1 = processes.taskFirst1[slot]!; task1 !== 0; taskSum++) {
    invariant(tasks.processSlot[task1 - 1] === slot, "I3: a task in a foreign list");
    task1 = tasks.nextOfProcess1[task1 - 1]!;
  }
  invariant(pages[slot] === pageSum, `I3: ${name}: ${pages[slot]} != ${pageSum}`);
  invariant(sharedPages[slot] === sharedSum, `I10: ${name} shares ${sharedSum}`);
  invariant(taskCount[slot] === taskSum, `I3: ${name} has ${taskSum} tasks`);
  invariant(creditPages[slot] === creditSum, `I10: ${name} is credited ${creditSum}`);
  sums.pages += pageSum;
  sums.credit += creditSum;
  sums.tasks += taskSum;
}
