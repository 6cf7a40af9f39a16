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
import { Client, UserAllocation } from "./client.ts";
import { ClientRows } from "./client_rows.ts";
import { CommittedPages } from "./committed_pages.ts";
import { addHold, awaitedPages, childArrived, expireHolds } from "./holds.ts";
import { type Ledger, LedgerWord } from "./ledger.ts";
import { chargedPages } from "../books/charge.ts";
import { HeaderWord } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

export class Allocations {
  readonly clients = new Map<number, Client>();
  readonly users = new Map<number, UserAllocation>();
  private readonly memory: Memory;
  private readonly ledger: Ledger;
  private readonly rows: ClientRows;
  private readonly committedPages: CommittedPages;

  constructor(memory: Memory, ledger: Ledger) {
    this.memory = memory;
    this.ledger = ledger;
    this.rows = new ClientRows(memory);
    this.committedPages = new CommittedPages(memory, ledger, this.rows);
  }

  // -------------------------------------------------------------------------------- who there is

  userOf(uid: number): UserAllocation {
    let user = this.users.get(uid);
    if (user === undefined) this.users.set(uid, user = new UserAllocation(uid));
    return user;
  }

  /** As {@link userOf}, only to look at: a user without clients is not kept. */
  peek(uid: number): UserAllocation {
    return this.users.get(uid) ?? new UserAllocation(uid);
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
    this.rows.asksNoMore(client);
    const user = this.userOf(this.uidOf(client));
    user.clients.delete(client);
    user.heldPages -= client.heldPages;
    this.clients.delete(client.pid);
    this.ledger.drop(client.row);
    this.dropIfIdle(user);
  }

  dropIfIdle(user: UserAllocation): void {
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
    return this.ledger.level(client.row);
  }

  /** Counted pages by the tables; 0 when it has no row there (yet). */
  resident(client: Client): number {
    return this.rows.resident(client);
  }

  /** Counted pages of any process by the tables; 0 when it has no row there (yet). */
  residentOf(pid: number): number {
    return this.rows.residentOf(pid);
  }

  /** What it gives back when it ends, if it shares nothing. */
  committed(client: Client): number {
    return Math.max(this.resident(client), this.level(client)) + client.heldPages;
  }

  /**
   * Committed pages of a user.
   *
   * @param isStale What processes have above their level counts as given back already, though
   *   the tables do not know yet.
   */
  committedOf(user: UserAllocation, isStale = false): number {
    return this.committedPages.of(user, isStale);
  }

  /** Pages of a user that are counted more than once, and that nobody was granted room to copy. */
  credit(user: UserAllocation): number {
    return this.committedPages.credit(user);
  }

  /** Whether the books of a user are exact, although others' may be wrong. */
  isVerified(user: UserAllocation): boolean {
    const row = this.rows.rowOf(user);
    return row >= 0 && this.memory.users.doubtTsNs[row] === 0;
  }

  /** What a user is charged for now; 0 when no table knows the user (yet). */
  charged(user: UserAllocation): number {
    const row = this.rows.rowOf(user);
    return row < 0 ? 0 : chargedPages(this.memory.users, row);
  }

  /** Tells the tables what is promised beyond usage. */
  publish(user: UserAllocation, committedPages: number): void {
    const row = this.rows.rowOf(user);
    if (row < 0) return;
    const { header, users } = this.memory;
    const promised = Math.max(0, committedPages - this.charged(user));
    if (Atomics.exchange(users.promisedPages, row, promised) === promised) return;
    Atomics.add(header, HeaderWord.promiseChanges, 1);
  }

  /** Accounting rings when memory of such a user comes back. */
  announceWaits(user: UserAllocation): void {
    const row = this.rows.rowOf(user);
    if (row >= 0) Atomics.store(this.memory.users.waits, row, user.pending.length);
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
    addHold(this.userOf(this.uidOf(client)), client, pages, untilNs, isCopy);
  }

  /** The oldest hold's child is there and counts by itself. @returns Whether it has room for a copy. */
  childArrived(client: Client, inheritedPages: number): boolean {
    return childArrived(this.userOf(this.uidOf(client)), client, inheritedPages);
  }

  /** Ends the holds whose time is over. @returns When the next one ends. */
  expireHolds(client: Client, nowNs: number): number {
    return expireHolds(this.userOf(this.uidOf(client)), client, nowNs);
  }

  /**
   * Whether the credit for a child of the user may be late: it is being born, or was a moment ago and
   * the tables do not know yet that what it inherited is shared.
   */
  isForking(user: UserAllocation): boolean {
    const inheritedPages = awaitedPages(user);
    if (inheritedPages === 0) return false;
    if (inheritedPages === Infinity) return true;
    const row = this.rows.rowOf(user);
    return row < 0 || this.memory.users.creditPages[row]! < inheritedPages;
  }
}
