/**
 * The users whose pages programs keep: rows of an array that programs look up by real uid, in lists.
 * One thread writes them.
 *
 * @module
 */
import {
  CHAIN_MAX,
  Control,
  HEAD_BITS,
  headOf,
  Mode,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";

/** One user, as programs keep it; pages. */
export interface KernelUser {
  readonly totalPages: number;
  readonly pendingPages: number;
  readonly inheritedPages: number;
  readonly kills: number;
  readonly refusals: number;
  readonly lastError: number;
  readonly unconfirmed: number;
  readonly slots: number;
  readonly full: number;
}

export interface UserSetting {
  /** Over it the user is over its hard limit: hard and share credit. */
  readonly limitPages: number;
  /** {@link Mode} */
  readonly mode: number;
  /** What counts for it, where that is said by user: bits of members; left out: all. */
  readonly countMask?: number;
  /** Above it each page is recorded; never, when left out. */
  readonly recordAbovePages?: number;
}

/** No number of pages is above it. */
const NEVER = 2n ** 62n;
const ALL_MEMBERS = 15;

export class KernelUsers {
  private readonly rows: DataView;
  /** The same as numbers of 32 bits: V8 writes those of a DataView byte by byte until it optimizes. */
  private readonly words: Uint32Array;
  private readonly heads: Uint16Array;
  /** See {@link Control.usersEnd}: memory behind it is not touched, so that it takes none. */
  private readonly end: Uint32Array;

  /**
   * @param users The array's memory.
   * @param control That of the control array.
   */
  constructor(users: ArrayBuffer, control: ArrayBuffer) {
    this.rows = new DataView(users);
    this.words = new Uint32Array(users);
    this.heads = new Uint16Array(control, Control.heads, 1 << HEAD_BITS);
    this.end = new Uint32Array(control, Control.usersEnd, 1);
  }

  /** @returns Index of the row of a real uid; 0 when it has none. */
  find(uid: number): number {
    let index = this.heads[headOf(uid)]!;
    while (index !== 0 && this.rows.getUint32(index * User.bytes + User.uid, true) !== uid >>> 0) {
      index = this.rows.getUint32(index * User.bytes + User.next, true);
    }
    return index;
  }

  /** Real uid of the row that a user is charged to. */
  accountUidOf(index: number): number {
    const account = this.rows.getUint32(index * User.bytes + User.account, true);
    return this.rows.getUint32(account * User.bytes + User.uid, true);
  }

  /**
   * Gives a user a row.
   *
   * @param account Index of the row that it is charged to; its own when left out.
   * @returns Its index; 0 when there is no room, or too many are in the same list.
   */
  add(uid: number, setting: UserSetting, account?: number): number {
    const index = this.freeIndex();
    const head = headOf(uid);
    if (index === 0 || this.listLength(head) >= CHAIN_MAX) return 0;
    this.end[0] = Math.max(this.end[0]!, index + 1);
    const at = index * User.bytes;
    for (let field = 0; field < User.bytes; field += 8) this.rows.setBigInt64(at + field, 0n, true);
    this.rows.setUint32(at + User.uid, uid, true);
    this.rows.setUint32(at + User.account, account ?? index, true);
    this.rows.setUint32(at + User.next, this.heads[head]!, true);
    this.setCountMask(index, setting.countMask ?? ALL_MEMBERS);
    this.set(index, setting);
    // From here on programs find it.
    this.heads[head] = index;
    return index;
  }

  /** A row that no list has, and in which nothing is booked; 0 none: row 0 is nobody's. */
  private freeIndex(): number {
    const isTaken = new Uint8Array(USERS_MAX);
    for (let index of this.heads) {
      for (; index !== 0; index = this.rows.getUint32(index * User.bytes + User.next, true)) {
        isTaken[index] = 1;
        isTaken[this.rows.getUint32(index * User.bytes + User.account, true)] = 1;
      }
    }
    const end = Math.max(1, this.end[0]!);
    for (let index = 1; index < end; index++) {
      const slots = this.rows.getBigInt64(index * User.bytes + User.slots, true);
      if (isTaken[index] === 0 && slots === 0n) return index;
    }
    return end < USERS_MAX ? end : 0;
  }

  /**
   * Takes away the rows of users who have no process: their next one begins by a change of user. Only
   * when the processes of all others are in the books.
   */
  removeIdle(): void {
    const isNeeded = new Uint8Array(USERS_MAX);
    const uids = this.uids();
    for (const uid of uids) {
      const index = this.find(uid);
      const account = this.rows.getUint32(index * User.bytes + User.account, true);
      if (account !== index) isNeeded[account] = 1;
    }
    for (const uid of uids) {
      const index = this.find(uid);
      const { slots, inheritedPages } = this.read(index);
      const recordsAll = this.rows.getUint32(index * User.bytes + User.recordAll, true);
      if (isNeeded[index] === 0 && slots === 0 && inheritedPages === 0 && recordsAll === 0) {
        this.remove(index);
      }
    }
  }

  private listLength(head: number): number {
    let length = 0;
    for (let index = this.heads[head]!; index !== 0; length++) {
      index = this.rows.getUint32(index * User.bytes + User.next, true);
    }
    return length;
  }

  /** Sets where a user is over, and what programs do then. Changes nothing else. */
  setLine(index: number, limitPages: number, mode: number): void {
    const at = index * User.bytes;
    // Two halves: the upper one changes only between a limit and none, and none is above all.
    this.words[(at + User.limitPages) / 4 + 1] = Math.floor(limitPages / 2 ** 32);
    this.words[(at + User.limitPages) / 4] = limitPages >>> 0;
    this.words[(at + User.mode) / 4] = mode;
  }

  /** Bits of the members that count for a user. */
  countMaskOf(index: number): number {
    return this.rows.getUint32(index * User.bytes + User.countMask, true);
  }

  /** Other members count for a user: what is booked of it is to be forgotten then. Changes nothing else. */
  setCountMask(index: number, countMask: number): void {
    this.rows.setUint32(index * User.bytes + User.countMask, countMask, true);
  }

  /** Above so many pages each page is recorded. Changes nothing else. */
  setRecordAbove(index: number, recordAbovePages: number): void {
    this.rows.setBigInt64(
      index * User.bytes + User.recordAbovePages,
      BigInt(recordAbovePages),
      true,
    );
  }

  set(index: number, { limitPages, mode, recordAbovePages }: UserSetting): void {
    const at = index * User.bytes;
    const record = recordAbovePages === undefined ? NEVER : BigInt(recordAbovePages);
    this.rows.setBigInt64(at + User.recordAbovePages, record, true);
    this.setLine(index, limitPages, mode);
  }

  /**
   * Takes a user's row away: its events are not booked any more. What is booked stays until its mms
   * end, and the row is not given to another until then.
   */
  remove(index: number): void {
    const at = index * User.bytes;
    const head = headOf(this.rows.getUint32(at + User.uid, true));
    const next = this.rows.getUint32(at + User.next, true);
    this.rows.setUint32(at + User.mode, Mode.book, true);
    if (this.heads[head] === index) {
      this.heads[head] = next;
      return;
    }
    for (let other = this.heads[head]!; other !== 0;) {
      const otherAt = other * User.bytes;
      const following = this.rows.getUint32(otherAt + User.next, true);
      if (following === index) this.rows.setUint32(otherAt + User.next, next, true);
      other = following;
    }
  }

  /** The real uids that have rows. */
  uids(): number[] {
    const found: number[] = [];
    for (const head of this.heads) {
      for (let index = head; index !== 0;) {
        found.push(this.rows.getUint32(index * User.bytes + User.uid, true));
        index = this.rows.getUint32(index * User.bytes + User.next, true);
      }
    }
    return found;
  }

  /**
   * The process that goes when the user is over. A program that meets half of a change finds a slot that
   * is another process's, and ends nobody. @param tgid 0: nobody.
   */
  setCandidate(index: number, tgid: number, slot: number): void {
    const at = index * User.bytes + User.candidate;
    this.words[at / 4] = tgid;
    this.words[at / 4 + 1] = slot;
  }

  /** Has each page of a user recorded, or not. @param index Of its row, or of one charged to it. */
  setRecordAll(index: number, recordsAll: boolean): void {
    const account = this.rows.getUint32(index * User.bytes + User.account, true);
    this.rows.setUint32(account * User.bytes + User.recordAll, recordsAll ? 1 : 0, true);
  }

  /**
   * How far each user is from the line above which its pages are recorded; negative: above it, 0 of one
   * whose pages are all recorded.
   */
  forEachDistance(visit: (uid: number, pages: number) => void): void {
    for (const head of this.heads) {
      for (let index = head; index !== 0;) {
        const at = index * User.bytes;
        if (this.rows.getUint32(at + User.account, true) === index) {
          const pages = Number(this.rows.getBigInt64(at + User.totalPages, true));
          const line = Number(this.rows.getBigInt64(at + User.recordAbovePages, true));
          const isExact = this.rows.getUint32(at + User.recordAll, true) !== 0;
          visit(this.rows.getUint32(at + User.uid, true), isExact ? 0 : line - pages);
        }
        index = this.rows.getUint32(at + User.next, true);
      }
    }
  }

  /** Whether there was a slot for each of its address spaces. */
  isExact(index: number): boolean {
    return this.rows.getUint32(index * User.bytes + User.full, true) === 0;
  }

  read(index: number): KernelUser {
    const at = index * User.bytes;
    const number = (field: number): number => Number(this.rows.getBigInt64(at + field, true));
    return {
      totalPages: number(User.totalPages),
      pendingPages: number(User.pendingPages),
      inheritedPages: number(User.inheritedPages),
      kills: number(User.kills),
      refusals: number(User.refusals),
      lastError: number(User.lastError),
      unconfirmed: number(User.unconfirmed),
      slots: number(User.slots),
      full: number(User.full),
    };
  }

  /** Forgets what is booked of all users. Only while nothing is attached. */
  clearPages(): void {
    for (let index = 1; index < this.end[0]!; index++) {
      const at = index * User.bytes;
      for (let field = User.totalPages; field < User.bytes; field += 8) {
        this.rows.setBigInt64(at + field, 0n, true);
      }
    }
  }
}
