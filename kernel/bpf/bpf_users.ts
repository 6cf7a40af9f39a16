/**
 * The users whose tasks programs record, as a port of the sweeper.
 *
 * @module
 */
import type { OwnersView } from "../../pipeline/limits/owners.ts";
import type { RulesView } from "../../pipeline/limits/published_rules.ts";
import type { Clock, RecordedUsers } from "../../pipeline/ports.ts";
import { KernelError } from "../ffi/errno.ts";
import { closeFd, readTextFile } from "../ffi/fd.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { attachArray, clearArray, openTracepoint, runIterator } from "./objects.ts";
import {
  Control,
  CONTROL_BYTES,
  KEY_BYTES,
  Mode,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";

const READ_BYTES = 4096;
/** Which CPUs are there. cpu hotplug, sysfs */
const ONLINE_PATH = "/sys/devices/system/cpu/online";
const CPUS_EVERY_NS = 1e9;
/** What was booked is recorded at most so often, and for at most this part of a CPU. */
const CATCH_UP_NS = 250e6;
const CATCH_UP_SHARE = 200;
/** No program runs longer, but on a machine that stands still. */
const PROGRAM_NS_MAX = 1e6;

export class BpfUsers implements RecordedUsers {
  private readonly users: KernelUsers;
  private readonly rules: RulesView;
  private readonly owners: OwnersView;
  private readonly buffer = new Uint8Array(READ_BYTES);
  private readonly fds: KernelBooksSpec["fds"];
  private readonly keyBytes: number;
  /** See {@link Control.rssLink}. */
  private readonly rssLink: Uint32Array;
  private readonly wantsAttach: Uint32Array;
  private readonly clock: Clock;
  private readonly unrecorded: Uint32Array;
  private dueNs = 0;
  private cpusDueNs = 0;
  private online = readTextFile(ONLINE_PATH);
  /** A process has changed its user, and may be booked for the one that it had. */
  private hasChanged = false;
  private changesDueNs = 0;
  /** Somebody was admitted whose processes are not all in the books. */
  private isUnsettled = true;

  /** @throws {KernelError} */
  constructor({ fds, shape }: KernelBooksSpec, rules: RulesView, owners: OwnersView, clock: Clock) {
    const control = attachArray(fds.control, CONTROL_BYTES);
    this.users = new KernelUsers(attachArray(fds.users, USERS_MAX * User.bytes), control);
    this.unrecorded = new Uint32Array(control, Control.unrecorded, 1);
    this.rssLink = new Uint32Array(control, Control.rssLink, 1);
    this.keyBytes = shape.slots * KEY_BYTES;
    this.wantsAttach = new Uint32Array(control, Control.wantsAttach, 1);
    this.fds = fds;
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

  /**
   * The kernel adds the parts of a CPU that has gone to the common counts, which were booked before: all
   * is booked anew. percpu_counter_cpu_dead(), lib/percpu_counter.c
   */
  private checkCpus(nowNs: number): void {
    if (nowNs < this.cpusDueNs) return;
    this.cpusDueNs = nowNs + CPUS_EVERY_NS;
    const online = readTextFile(ONLINE_PATH);
    if (online === this.online) return;
    this.online = online;
    if (!this.isAttached) return;
    this.detach();
    this.attach();
  }

  catchUp(nowNs: number): void {
    this.checkCpus(nowNs);
    if (this.hasChanged && nowNs >= this.changesDueNs) {
      this.isUnsettled = true;
      this.settle();
      this.hasChanged = false;
      this.changesDueNs = nowNs + (this.clock.nowNs() - nowNs) * CATCH_UP_SHARE;
    }
    if (this.unrecorded[0] === 0 || nowNs < this.dueNs) return;
    this.unrecorded[0] = 0;
    runIterator(this.fds.record, "toom_record", this.buffer);
    const tookNs = this.clock.nowNs() - nowNs;
    this.dueNs = nowNs + Math.max(CATCH_UP_NS, tookNs * CATCH_UP_SHARE);
  }

  get isAttached(): boolean {
    return this.rssLink[0] !== 0;
  }

  attach(): boolean {
    this.wantsAttach[0] = 0;
    if (this.isAttached) return true;
    // Nobody is found any more, and what programs have begun they have ended a moment later.
    clearArray(this.fds.keys, "toom_keys", this.keyBytes);
    const untilNs = this.clock.nowNs() + PROGRAM_NS_MAX;
    while (this.clock.nowNs() < untilNs);
    this.users.clearPages();
    this.isUnsettled = true;
    try {
      this.rssLink[0] = openTracepoint(this.fds.rssStat, "toom_rss_stat") + 1;
      this.settle();
      runIterator(this.fds.record, "toom_record", this.buffer);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // Looks are the next best: what they book is not disturbed by events.
      this.detach();
      return false;
    }
  }

  detach(): void {
    if (!this.isAttached) return;
    closeFd(this.rssLink[0]! - 1);
    this.rssLink[0] = 0;
  }

  look(): void {
    runIterator(this.fds.look, "toom_look", this.buffer);
    this.isUnsettled = false;
  }

  get hasNews(): boolean {
    return !this.isAttached && (this.isUnsettled || this.wantsAttach[0] !== 0);
  }

  distances(visit: (uid: number, pages: number) => void): void {
    this.users.forEachDistance(visit);
  }

  settle(): void {
    // A look finds them too.
    if (!this.isUnsettled || !this.isAttached) return;
    runIterator(this.fds.seed, "toom_seed", this.buffer);
    this.isUnsettled = false;
  }
}
