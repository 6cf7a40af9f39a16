/**
 * The users whose tasks programs record, as a port of the sweeper.
 *
 * @module
 */
import type { OwnersView } from "../../pipeline/limits/owners.ts";
import type { RulesView } from "../../pipeline/limits/published_rules.ts";
import type { Clock, RecordedUsers } from "../../pipeline/ports.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { attachArray, runIterator } from "./objects.ts";
import { Control, CONTROL_BYTES, Mode, User, USERS_MAX } from "./programs/books_layout.ts";

const READ_BYTES = 4096;
/** What was booked is recorded at most so often, and for at most this part of a CPU. */
const CATCH_UP_NS = 250e6;
const CATCH_UP_SHARE = 200;

export class BpfUsers implements RecordedUsers {
  private readonly users: KernelUsers;
  private readonly seedFd: number;
  private readonly rules: RulesView;
  private readonly owners: OwnersView;
  private readonly buffer = new Uint8Array(READ_BYTES);
  private readonly recordFd: number;
  private readonly clock: Clock;
  private readonly unrecorded: Uint32Array;
  private dueNs = 0;
  /** A process has changed its user, and may be booked for the one that it had. */
  private hasChanged = false;
  private changesDueNs = 0;
  /** Somebody was admitted whose processes are not all in the books. */
  private isUnsettled = true;

  /** @throws {KernelError} */
  constructor({ fds }: KernelBooksSpec, rules: RulesView, owners: OwnersView, clock: Clock) {
    const control = attachArray(fds.control, CONTROL_BYTES);
    this.users = new KernelUsers(attachArray(fds.users, USERS_MAX * User.bytes), control);
    this.unrecorded = new Uint32Array(control, Control.unrecorded, 1);
    this.seedFd = fds.seed;
    this.recordFd = fds.record;
    this.clock = clock;
    this.rules = rules;
    this.owners = owners;
  }

  admit(uid: number): boolean {
    return this.indexOf(uid) !== 0;
  }

  /** @returns Index of the user's row, which it gets if it has none; 0: there is no room. */
  private indexOf(uid: number): number {
    const known = this.users.find(uid);
    if (known !== 0) return known;
    const owner = this.owners.ownerOf(uid) >>> 0;
    // A subordinate uid is charged to its owner, who may have no process of its own.
    const account = owner === uid >>> 0 ? undefined : this.indexOf(owner);
    if (account === 0) return 0;
    const index = this.users.add(uid, {
      limitPages: Number.MAX_SAFE_INTEGER,
      mode: Mode.book,
      recordAbovePages: this.softPagesOf(uid),
    }, account);
    this.isUnsettled ||= index !== 0;
    return index;
  }

  private softPagesOf(uid: number): number {
    return this.rules.find(uid)?.softPages ?? Number.MAX_SAFE_INTEGER;
  }

  rulesChanged(): void {
    for (const uid of this.users.uids()) {
      const index = this.users.find(uid);
      if (this.rules.find(this.owners.ownerOf(uid)) === undefined) this.users.remove(index);
      else this.users.setRecordAbove(index, this.softPagesOf(uid));
    }
  }

  userChanged(): void {
    this.hasChanged = true;
  }

  get nextNs(): number {
    return Math.min(
      this.unrecorded[0] === 0 ? Infinity : this.dueNs,
      this.hasChanged ? this.changesDueNs : Infinity,
    );
  }

  catchUp(nowNs: number): void {
    if (this.hasChanged && nowNs >= this.changesDueNs) {
      this.isUnsettled = true;
      this.settle();
      this.hasChanged = false;
      this.changesDueNs = nowNs + (this.clock.nowNs() - nowNs) * CATCH_UP_SHARE;
    }
    if (this.unrecorded[0] === 0 || nowNs < this.dueNs) return;
    this.unrecorded[0] = 0;
    runIterator(this.recordFd, "toom_record", this.buffer);
    const tookNs = this.clock.nowNs() - nowNs;
    this.dueNs = nowNs + Math.max(CATCH_UP_NS, tookNs * CATCH_UP_SHARE);
  }

  settle(): void {
    if (!this.isUnsettled) return;
    runIterator(this.seedFd, "toom_seed", this.buffer);
    this.isUnsettled = false;
  }
}
