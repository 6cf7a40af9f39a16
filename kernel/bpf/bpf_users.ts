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
import { memoryAt } from "../ffi/mapping.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { clearArray, openTracepoint, runIterator } from "./objects.ts";
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
/** Rows of users without processes are looked for at most so often. */
const REMOVE_IDLE_EVERY_NS = 1e9;
/** Who found no room is told of again by the next sweep at the latest: longer than between two sweeps. */
const NO_ROOM_NS = 150e9;
/** What was refused is tried again after this at the latest. */
const REFUSED_NS = 5e9;
/** No program runs longer, but on a machine that stands still. */
const PROGRAM_NS_MAX = 1e6;

export class BpfUsers implements RecordedUsers {
  private readonly users: KernelUsers;
  private readonly rules: RulesView;
  private readonly owners: OwnersView;
  private readonly buffer = new Uint8Array(READ_BYTES);
  private readonly fds: KernelBooksSpec["fds"];
  private readonly keyBytes: number;
  /** See {@link BooksShape}. */
  private readonly isPerUser: boolean;
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
  private removedIdleNs = -Infinity;
  /** Until then /proc is to be read more often. */
  private shortUntilNs = -Infinity;
  /** {@link Control.full}: the lower half. */
  private readonly full: Uint32Array;
  private fullBefore = 0;
  private refusal: string | undefined;

  /** @throws {KernelError} */
  constructor(
    { fds, addresses, shape }: KernelBooksSpec,
    rules: RulesView,
    owners: OwnersView,
    clock: Clock,
  ) {
    const control = memoryAt(addresses.control, CONTROL_BYTES);
    const rows = memoryAt(addresses.users, USERS_MAX * User.bytes);
    this.users = new KernelUsers(rows, control);
    this.unrecorded = new Uint32Array(control, Control.unrecorded, 1);
    this.full = new Uint32Array(control, Control.full, 1);
    this.rssLink = new Uint32Array(control, Control.rssLink, 1);
    this.keyBytes = shape.slots * KEY_BYTES;
    this.isPerUser = shape.isPerUser === true;
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
    const setting = {
      limitPages: Number.MAX_SAFE_INTEGER,
      mode: Mode.book,
      recordAbovePages: this.softPagesOf(uid),
      countMask: this.rules.countMaskOf(owner),
    };
    let index = this.users.add(uid, setting, account);
    if (index === 0 && this.removeIdle()) index = this.users.add(uid, setting, account);
    if (index === 0) this.shortUntilNs = this.clock.nowNs() + NO_ROOM_NS;
    this.isUnsettled ||= index !== 0;
    return index;
  }

  /** @returns Whether it was time to. */
  private removeIdle(): boolean {
    const nowNs = this.clock.nowNs();
    if (nowNs - this.removedIdleNs < REMOVE_IDLE_EVERY_NS) return false;
    this.removedIdleNs = nowNs;
    // Who was admitted a moment ago has processes, of which none is in the books.
    if (this.isAttached) this.settle();
    else this.look();
    this.users.removeIdle();
    return true;
  }

  get isShort(): boolean {
    const nowNs = this.clock.nowNs();
    if (this.full[0] !== this.fullBefore) {
      this.fullBefore = this.full[0]!;
      this.shortUntilNs = nowNs + NO_ROOM_NS;
    }
    return nowNs < this.shortUntilNs;
  }

  private softPagesOf(uid: number): number {
    return this.rules.find(uid)?.softPages ?? Number.MAX_SAFE_INTEGER;
  }

  rulesChanged(): void {
    let countsOthers = false;
    for (const uid of this.users.uids()) {
      const index = this.users.find(uid);
      const owner = this.owners.ownerOf(uid) >>> 0;
      if (this.rules.find(owner) === undefined) this.users.remove(index);
      else if (this.users.accountUidOf(index) !== owner) {
        // It counts for somebody else from now on: what it has is booked anew.
        this.users.remove(index);
        this.indexOf(uid);
        this.hasChanged = true;
      } else {
        this.users.setRecordAbove(index, this.softPagesOf(uid));
        const countMask = this.rules.countMaskOf(owner);
        if (!this.isPerUser || this.users.countMaskOf(index) === countMask) continue;
        // Nobody dies by it before accounting has told the line anew.
        this.users.setLine(index, Number.MAX_SAFE_INTEGER, Mode.book);
        this.users.setCountMask(index, countMask);
        countsOthers = true;
      }
    }
    if (countsOthers) this.bookAnew();
  }

  /** All that is booked is forgotten, and booked by what counts now. */
  private bookAnew(): void {
    if (this.isAttached) {
      this.detach();
      this.attach();
    } else this.forget();
  }

  disarm(uid: number): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setCandidate(index, 0, 0);
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
    if (!this.iterate("record")) this.unrecorded[0] = 1;
    const tookNs = this.clock.nowNs() - nowNs;
    this.dueNs = nowNs + Math.max(CATCH_UP_NS, tookNs * CATCH_UP_SHARE);
  }

  get isAttached(): boolean {
    return this.rssLink[0] !== 0;
  }

  attach(): boolean {
    this.wantsAttach[0] = 0;
    if (this.isAttached) return true;
    this.forget();
    const isAttached = this.attempt(() => {
      this.rssLink[0] = openTracepoint(this.fds.rssStat, "toom_rss_stat") + 1;
    });
    this.settle();
    if (isAttached && !this.isUnsettled && this.iterate("record")) return true;
    // Looks are the next best: what they book is not disturbed by events.
    this.detach();
    return false;
  }

  private forget(): void {
    // Nobody is found any more, and what programs have begun they have ended a moment later.
    clearArray(this.fds.keys, "toom_keys", this.keyBytes);
    const untilNs = this.clock.nowNs() + PROGRAM_NS_MAX;
    while (this.clock.nowNs() < untilNs);
    this.users.clearPages();
    this.isUnsettled = true;
  }

  /** Runs a program for all tasks. @returns false: the kernel refuses it, at this moment. */
  private iterate(name: "seed" | "look" | "record"): boolean {
    return this.attempt(() => runIterator(this.fds[name], `toom_${name}`, this.buffer));
  }

  /** Without it users are read from /proc for a while, more often than else. */
  private attempt(call: () => void): boolean {
    try {
      call();
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.refusal = error.message;
      this.shortUntilNs = Math.max(this.shortUntilNs, this.clock.nowNs() + REFUSED_NS);
      return false;
    }
  }

  takeRefusal(): string | undefined {
    const { refusal } = this;
    this.refusal = undefined;
    return refusal;
  }

  detach(): void {
    if (!this.isAttached) return;
    closeFd(this.rssLink[0]! - 1);
    this.rssLink[0] = 0;
  }

  look(): boolean {
    const isDone = this.iterate("look");
    if (isDone) this.isUnsettled = false;
    return isDone;
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
    if (this.iterate("seed")) this.isUnsettled = false;
  }
}
