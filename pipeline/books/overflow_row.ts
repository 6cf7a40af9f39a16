/**
 * The row that stands for the processes of a user which found none, because the user has its share
 * of rows or the table is full.
 *
 * @module
 */
import { Member, MEMBER_COUNT } from "../memory/layout.ts";
import type { Books } from "./books.ts";

/** Of each user, what a sweep has found of its processes that found no row. */
export class OverflowSums {
  private readonly books: Books;
  /** By user slot and member, and by user slot. */
  private readonly pages: Float64Array;
  private readonly count: Int32Array;

  constructor(books: Books) {
    const users = books.userSlots.capacity;
    this.books = books;
    this.pages = new Float64Array(users * MEMBER_COUNT);
    this.count = new Int32Array(users);
  }

  /** A sweep begins. */
  clear(): void {
    this.pages.fill(0);
    this.count.fill(0);
  }

  addProcess(userSlot: number): void {
    this.count[userSlot]!++;
  }

  addPages(userSlot: number, file: number, anon: number, swap: number, shmem: number): void {
    const at = userSlot * MEMBER_COUNT;
    this.pages[at + Member.file]! += file;
    this.pages[at + Member.anon]! += anon;
    this.pages[at + Member.swap]! += swap;
    this.pages[at + Member.shmem]! += shmem;
  }

  /** A sweep has ended: sets the row of a user. */
  settle(userSlot: number, tsNs: number): void {
    const at = userSlot * MEMBER_COUNT;
    const pages = this.pages.subarray(at, at + MEMBER_COUNT);
    setOverflow(this.books, userSlot, pages, this.count[userSlot]!, tsNs);
  }
}

/** The most pages that a member of an mm can have. */
const PAGES_MAX = 0x7fffffff;

/**
 * Sets that row by what /proc says of these processes together. It has a number that no process has,
 * no tasks, and is no candidate for a kill.
 *
 * @param pages Of each member.
 * @param processCount How many they are; 0: the row goes.
 * @returns -1 when there is none, or not even that has room.
 */
export function setOverflow(
  books: Books,
  userSlot: number,
  pages: Float64Array,
  processCount: number,
  tsNs: number,
): number {
  const { users, processes } = books;
  let slot = books.findOverflow(userSlot);
  if (slot < 0 && processCount === 0) return -1;
  books.touch(userSlot);
  const rows = users.processCount[userSlot]! - (slot < 0 ? 0 : 1);
  const excess = processCount === 0 ? 0 : rows + processCount - books.processesMaxOf(userSlot);
  users.excessProcesses[userSlot] = Math.max(0, excess);
  if (slot < 0) slot = books.addOverflow(userSlot, tsNs);
  if (slot < 0) return -1;
  if (processCount === 0) {
    books.removeProcess(slot);
    return -1;
  }
  processes.seenTsNs[slot] = tsNs;
  const mm = processes.mmSlot1[slot]! - 1;
  for (let member = 0; mm >= 0 && member < MEMBER_COUNT; member++) {
    books.setRead(mm, member, Math.min(pages[member]!, PAGES_MAX), tsNs);
  }
  return slot;
}
