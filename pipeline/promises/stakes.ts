/**
 * What the users' processes have and were promised: committed pages, from the ledger and from the
 * tables that accounting keeps.
 *
 *     level(p)       = base(p) + reserved(p)
 *     committed(p)   = max(resident(p), level(p)) + held(p)
 *     committed(u)   = sum of committed(p) over all processes of u, whether they ask or not,
 *                      - (credit(u) - insured(u))
 *
 * reserved is what p was granted and has not given back; base is what p has that it never asked
 * for. It cannot be told apart from the rest from outside, so base is what p had when it asked
 * first, lowered when p turns out to have less than that in all, and raised when p turns out to
 * have more than its level: what it did not ask for comes on top of what it asks for next. held is room for children of p that
 * are about to be born.
 *
 * credit is what accounting counts more than once: what children inherited and have not copied. A
 * child that was born with room for a whole copy may copy it all without asking, so what it
 * inherited is insured: credit for it is not given to others. Nor is credit for what a process was
 * granted: it may use that again.
 *
 * @module
 */
import { ProcessState, TABLE_HEADER_BYTES, TableWord, UserState } from "../memory/layout.ts";
import { type Ledger, LedgerWord } from "./ledger.ts";
import { chargedPages } from "../books/charge.ts";
import type { Memory } from "../memory/memory.ts";
import type { PendingRequest } from "./pending.ts";
import { type RowList, UserRows } from "../books/user_rows.ts";

/** A user's processes may be born faster than they are summed up. */
const SUMS_MAX = 3;

/** Room for a child that is about to be born. */
interface Hold {
  /** 0 when the child is there. */
  pages: number;
  /** When the child is there: what it had then, nearly all of it shared with its parent; else 0. */
  inheritedPages: number;
  readonly untilNs: number;
  /** For all that the child inherits; else only for what it needs until it executes a program. */
  readonly isCopy: boolean;
}

/** A process that asks. */
export class Client {
  readonly pid: number;
  /** Its row in the ledger. */
  readonly row: number;
  /** Row of the processes table; check before use. */
  slot = -1;
  connections = 0;
  heldPages = 0;
  readonly holds: Hold[] = [];
  /** A child that has not said yet what it has, and that no room for a copy was asked for. */
  isProbationer = false;
  /** When a refusal of it was told of last, and why it was one. */
  deniedNs = -Infinity;
  deniedReason = -1;

  constructor(pid: number, row: number) {
    this.pid = pid;
    this.row = row;
  }
}

/** A user whose processes ask. */
export class UserStake {
  readonly uid: number;
  readonly clients = new Set<Client>();
  /** Requests that wait for an answer, in the order in which they came. */
  readonly pending: PendingRequest[] = [];
  heldPages = 0;
  /** Its row in the users table; check before use. */
  row = -1;

  constructor(uid: number) {
    this.uid = uid;
  }
}

export class Stakes {
  readonly clients = new Map<number, Client>();
  readonly users = new Map<number, UserStake>();
  private readonly memory: Memory;
  private readonly ledger: Ledger;
  private readonly userHeader: Int32Array;
  private readonly processHeader: Int32Array;
  private readonly userRows: UserRows;
  /** Level of the client in a row of the processes table, during a scan. */
  private readonly levels: Int32Array;

  constructor(memory: Memory, ledger: Ledger) {
    const { buffer, plan } = memory;
    this.memory = memory;
    this.ledger = ledger;
    this.userHeader = new Int32Array(buffer, plan.users, TABLE_HEADER_BYTES / 4);
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
    this.userRows = new UserRows(memory);
    this.levels = new Int32Array(plan.capacity.processes);
  }

  // -------------------------------------------------------------------------------- who there is

  userOf(uid: number): UserStake {
    let user = this.users.get(uid);
    if (user === undefined) this.users.set(uid, user = new UserStake(uid));
    return user;
  }

  /** As {@link userOf}, only to look at: a user without clients is not kept. */
  peek(uid: number): UserStake {
    return this.users.get(uid) ?? new UserStake(uid);
  }

  uidOf(client: Client): number {
    return this.ledger.get(client.row, LedgerWord.uid) >>> 0;
  }

  /** @returns undefined when there is no room in the ledger. */
  add(pid: number, startTicks: number, imageId: number, uid: number): Client | undefined {
    const row = this.ledger.add(pid, startTicks, imageId, uid | 0);
    return row < 0 ? undefined : this.adopt(row);
  }

  /** Makes a client of a row that is in the ledger already. */
  adopt(row: number): Client {
    const client = new Client(this.ledger.get(row, LedgerWord.pid), row);
    this.clients.set(client.pid, client);
    this.userOf(this.uidOf(client)).clients.add(client);
    return client;
  }

  /** Everything that it was promised is free again. */
  drop(client: Client): void {
    const user = this.userOf(this.uidOf(client));
    user.clients.delete(client);
    user.heldPages -= client.heldPages;
    this.clients.delete(client.pid);
    this.ledger.drop(client.row);
    this.dropIfIdle(user);
  }

  dropIfIdle(user: UserStake): void {
    if (user.clients.size > 0 || user.pending.length > 0) return;
    this.publish(user, 0);
    this.users.delete(user.uid);
  }

  /** It has changed its user: its promises go with it. */
  move(client: Client, uid: number): void {
    const from = this.userOf(this.uidOf(client));
    from.clients.delete(client);
    from.heldPages -= client.heldPages;
    this.ledger.set(client.row, LedgerWord.uid, uid | 0);
    const to = this.userOf(uid);
    to.clients.add(client);
    to.heldPages += client.heldPages;
    this.dropIfIdle(from);
  }

  // ------------------------------------------------------------------------------ what they have

  base(client: Client): number {
    return this.ledger.get(client.row, LedgerWord.basePages);
  }

  reserved(client: Client): number {
    return this.ledger.get(client.row, LedgerWord.reservedPages);
  }

  claim(client: Client): number {
    return this.ledger.get(client.row, LedgerWord.claimPages);
  }

  level(client: Client): number {
    return this.base(client) + this.reserved(client);
  }

  /** Counted pages by the tables; 0 when it has no row there (yet). */
  resident(client: Client): number {
    const slot = this.slotOf(client);
    return slot < 0 ? 0 : Math.max(0, this.memory.processes.pages[slot]!);
  }

  /** What it gives back when it ends, if it shares nothing. */
  committed(client: Client): number {
    return Math.max(this.resident(client), this.level(client)) + client.heldPages;
  }

  /** Pages of a user that are counted more than once, and that nobody was granted room to copy. */
  credit(user: UserStake): number {
    const row = this.rowOf(user);
    if (row < 0) return 0;
    let pages = this.memory.users.creditPages[row]!;
    if (pages <= 0) return 0;
    for (const client of user.clients) {
      const insured = this.ledger.get(client.row, LedgerWord.insuredPages);
      if (insured > 0) pages -= Math.min(insured, this.resident(client));
    }
    return Math.max(0, pages);
  }

  /** Whether the books of a user are exact, although others' may be wrong. */
  isVerified(user: UserStake): boolean {
    const row = this.rowOf(user);
    return row >= 0 && this.memory.users.doubtTsNs[row] === 0;
  }

  /** What a user is charged for now; 0 when no table knows the user (yet). */
  charged(user: UserStake): number {
    const row = this.rowOf(user);
    return row < 0 ? 0 : chargedPages(this.memory.users, row);
  }

  /** Counted pages of any process by the tables; 0 when it has no row there (yet). */
  residentOf(pid: number): number {
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if (this.isAt(slot, pid)) return Math.max(0, this.memory.processes.pages[slot]!);
    }
    return 0;
  }

  /**
   * Committed pages of a user.
   *
   * Summed up process by process, not from the user's own sum: the two change one after the other,
   * and a difference between them would look like free memory. The credit is read before: a child
   * that has ended meanwhile takes its pages and their credit with it.
   *
   * @param isStale What processes have above their level counts as given back already, though
   *   the tables do not know yet.
   */
  committedOf(user: UserStake, isStale = false): number {
    const userRow = this.rowOf(user);
    if (userRow < 0) return this.promisedOf(user);
    for (let sums = 1;; sums++) {
      const list = this.userRows.of(userRow);
      const credit = this.credit(user);
      const pages = this.sum(user, userRow, list, isStale, credit);
      if (sums === SUMS_MAX || this.userRows.isCurrent(list, userRow)) return pages;
    }
  }

  /** Of a user that no table knows: what it was promised, in full. */
  private promisedOf(user: UserStake): number {
    let pages = user.heldPages;
    for (const client of user.clients) pages += this.level(client);
    return pages;
  }

  private sum(
    user: UserStake,
    userRow: number,
    list: RowList,
    isStale: boolean,
    credit: number,
  ): number {
    const { processes } = this.memory;
    const { levels } = this;
    let pages = user.heldPages;
    // Credit may also be for what a process has given back for the time being (MADV_FREE) and may
    // use again. What it was granted stays its own, so credit counts for the rest only.
    let unaskedPages = 0;
    for (const client of user.clients) {
      const slot = this.slotOf(client);
      // What has no row, or one of another user yet, counts as promised in full.
      if (slot < 0 || processes.userSlot[slot] !== userRow) pages += this.level(client);
      else {
        levels[slot] = this.level(client) + 1;
        if (credit > 0) {
          unaskedPages += Math.min(this.base(client), Math.max(0, processes.pages[slot]!));
        }
      }
    }
    const { rows, count } = list;
    for (let i = 0; i < count; i++) {
      const slot = rows[i]!;
      if (processes.userSlot[slot] !== userRow) continue;
      if (processes.state[slot] === ProcessState.free) continue;
      const resident = processes.pages[slot]!;
      const level = levels[slot]! - 1;
      levels[slot] = 0;
      if (level < 0) {
        pages += Math.max(resident, 0);
        unaskedPages += Math.max(resident, 0);
      } else pages += isStale || level > resident ? level : resident;
    }
    for (const { slot } of user.clients) {
      if (slot < 0 || levels[slot] === 0) continue;
      // It has come into the list, or gone from the tables, just now.
      pages += levels[slot]! - 1;
      levels[slot] = 0;
    }
    return pages - Math.min(credit, unaskedPages);
  }

  /** Tells the tables what is promised beyond usage. */
  publish(user: UserStake, committedPages: number): void {
    const row = this.rowOf(user);
    if (row < 0) return;
    const promised = Math.max(0, committedPages - this.charged(user));
    Atomics.store(this.memory.users.promisedPages, row, promised);
  }

  /** Accounting rings when memory of such a user comes back. */
  announceWaits(user: UserStake): void {
    const row = this.rowOf(user);
    if (row >= 0) Atomics.store(this.memory.users.waits, row, user.pending.length);
  }

  /** Row in the users table, -1 when it has none. */
  private rowOf(user: UserStake): number {
    const { users } = this.memory;
    const uid = user.uid | 0;
    if (user.row >= 0 && users.uid[user.row] === uid) {
      if (users.state[user.row] !== UserState.free) return user.row;
    }
    user.row = -1;
    const highWater = Atomics.load(this.userHeader, TableWord.highWater);
    for (let row = 0; row < highWater; row++) {
      if (users.uid[row] === uid && users.state[row] !== UserState.free) user.row = row;
    }
    return user.row;
  }

  /** Row in the processes table, -1 when it has none. */
  private slotOf(client: Client): number {
    if (client.slot >= 0 && this.isAt(client.slot, client.pid)) return client.slot;
    client.slot = -1;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater && client.slot < 0; slot++) {
      if (this.isAt(slot, client.pid)) client.slot = slot;
    }
    return client.slot;
  }

  private isAt(slot: number, pid: number): boolean {
    const { tgid, state } = this.memory.processes;
    return tgid[slot] === pid && state[slot] === ProcessState.alive;
  }

  // --------------------------------------------------------------------------- what is promised

  /** Grants pages. */
  grant(client: Client, pages: number): void {
    this.setReserved(client, this.reserved(client) + pages);
  }

  /** Whether, by the tables, it has something that it did not ask for and that its base lacks. */
  seemsToHaveMore(client: Client): boolean {
    return this.resident(client) > this.level(client);
  }

  /**
   * Corrects the base by what a process truly has. What it did not ask for cannot be more than all
   * that it has, and not less than what it has beyond all that it was granted.
   */
  correctBase(client: Client, truePages: number): void {
    const base = Math.max(this.base(client), truePages - this.reserved(client));
    this.setBase(client, Math.min(base, truePages));
  }

  /** Takes pages back. @returns How many there were to take. */
  release(client: Client, pages: number): number {
    const reserved = this.reserved(client);
    const taken = Math.min(reserved, pages);
    this.setReserved(client, reserved - taken);
    return taken;
  }

  setBase(client: Client, pages: number): void {
    this.ledger.set(client.row, LedgerWord.basePages, pages);
  }

  setReserved(client: Client, pages: number): void {
    this.ledger.set(client.row, LedgerWord.reservedPages, pages);
  }

  setClaim(client: Client, pages: number): void {
    this.ledger.set(client.row, LedgerWord.claimPages, pages);
  }

  setInsured(client: Client, pages: number): void {
    this.ledger.set(client.row, LedgerWord.insuredPages, pages);
  }

  /** Keeps room for a child. Rooms for copies add up; of the others, one is enough for all. */
  hold(client: Client, pages: number, untilNs: number, isCopy: boolean): void {
    if (!isCopy) {
      this.endHold(
        client,
        client.holds.findIndex((hold) => isAwaited(hold) && !hold.isCopy),
      );
    }
    client.holds.push({ pages, inheritedPages: 0, untilNs, isCopy });
    client.heldPages += pages;
    this.userOf(this.uidOf(client)).heldPages += pages;
  }

  /** The oldest hold's child is there and counts by itself. @returns Whether it has room for a copy. */
  childArrived(client: Client, inheritedPages: number): boolean {
    const index = client.holds.findIndex(isAwaited);
    const hold = client.holds[index];
    if (hold === undefined) return false;
    if (hold.isCopy) this.endHold(client, index);
    else {
      client.heldPages -= hold.pages;
      this.userOf(this.uidOf(client)).heldPages -= hold.pages;
      hold.pages = 0;
      hold.inheritedPages = Math.max(1, inheritedPages);
    }
    return hold.isCopy;
  }

  private endHold(client: Client, index: number): void {
    if (index < 0) return;
    const [hold] = client.holds.splice(index, 1);
    if (hold === undefined) return;
    client.heldPages -= hold.pages;
    this.userOf(this.uidOf(client)).heldPages -= hold.pages;
  }

  /** Ends the holds whose time is over. @returns When the next one ends. */
  expireHolds(client: Client, nowNs: number): number {
    let nextNs = Infinity;
    for (let index = client.holds.length - 1; index >= 0; index--) {
      const { untilNs } = client.holds[index]!;
      if (untilNs <= nowNs) this.endHold(client, index);
      else nextNs = Math.min(nextNs, untilNs);
    }
    return nextNs;
  }

  /**
   * Whether the credit for a child of the user may be late: it is being born, or was a moment ago and
   * the tables do not know yet that what it inherited is shared.
   */
  isForking(user: UserStake): boolean {
    let inheritedPages = 0;
    for (const { holds } of user.clients) {
      for (const hold of holds) {
        if (hold.isCopy) continue;
        if (isAwaited(hold)) return true;
        inheritedPages += hold.inheritedPages;
      }
    }
    if (inheritedPages === 0) return false;
    const row = this.rowOf(user);
    return row < 0 || this.memory.users.creditPages[row]! < inheritedPages;
  }
}

/** Whether the child has not said yet that it is there. */
function isAwaited(hold: Hold): boolean {
  return hold.inheritedPages === 0;
}
