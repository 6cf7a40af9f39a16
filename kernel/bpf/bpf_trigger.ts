/**
 * The kernel's own trigger: the lines and candidates that programs go by, in the memory that they share
 * with this process. Accounting and killer write different fields.
 *
 * @module
 */
import {
  type KernelCandidates,
  type KernelLimits,
  LineState,
} from "../../pipeline/kill/kernel_trigger.ts";
import type { ExactUsers } from "../../pipeline/ports.ts";
import { KernelError } from "../ffi/errno.ts";
import { memoryAt } from "../ffi/mapping.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { runIterator, runProgram } from "./objects.ts";
import {
  type BooksShape,
  Control,
  CONTROL_BYTES,
  DyingContext,
  Mode,
  slotOfMmId,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";

const READ_BYTES = 4096;

function attachUsers({ addresses }: KernelBooksSpec): { users: KernelUsers; rows: ArrayBuffer } {
  const rows = memoryAt(addresses.users, USERS_MAX * User.bytes);
  return { users: new KernelUsers(rows, memoryAt(addresses.control, CONTROL_BYTES)), rows };
}

/** Accounting's end. */
export class BpfLimits implements KernelLimits {
  private readonly users: KernelUsers;
  private readonly shape: BooksShape;
  private readonly numbers: BigInt64Array;

  /** @throws {KernelError} */
  constructor(spec: KernelBooksSpec) {
    const { users, rows } = attachUsers(spec);
    this.users = users;
    this.shape = spec.shape;
    this.numbers = new BigInt64Array(rows);
  }

  set(uid: number, limitPages: number, mayKill: boolean, countMask: number): LineState {
    const index = this.users.find(uid);
    if (index === 0) return LineState.unknown;
    const { shape, users } = this;
    const counted = shape.isPerUser === true ? users.countMaskOf(index) : shape.countMask;
    if (counted !== countMask) {
      users.setLine(index, limitPages, Mode.book);
      return LineState.otherMembers;
    }
    const isExact = this.users.isExact(index);
    this.users.setLine(index, limitPages, mayKill && isExact ? Mode.kill : Mode.wake);
    return isExact ? LineState.exact : LineState.inexact;
  }

  chargeInherited(uid: number, pages: number): void {
    const index = this.users.find(uid);
    if (index === 0) return;
    Atomics.sub(this.numbers, (index * User.bytes + User.inheritedPages) / 8, BigInt(pages));
  }

  clearCandidate(uid: number): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setCandidate(index, 0, 0);
  }
}

/** The killer's end. */
export class BpfCandidates implements KernelCandidates {
  private readonly shape: BooksShape;
  private readonly users: KernelUsers;
  private readonly dyingFd: number;
  private readonly context = new Uint8Array(DyingContext.bytes);
  private readonly words = new DataView(this.context.buffer);

  /** @throws {KernelError} */
  constructor(spec: KernelBooksSpec) {
    this.shape = spec.shape;
    this.users = attachUsers(spec).users;
    this.dyingFd = spec.fds.dying;
  }

  arm(uid: number, tgid: number, mmId: number): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setCandidate(index, tgid, slotOfMmId(this.shape, mmId));
  }

  disarm(uid: number): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setCandidate(index, 0, 0);
  }

  noteDying(uid: number, tgid: number, mmId: number): string | undefined {
    const index = this.users.find(uid);
    if (index === 0 || mmId === 0) return undefined;
    this.words.setUint32(DyingContext.slot, slotOfMmId(this.shape, mmId), true);
    this.words.setUint32(DyingContext.tgid, tgid, true);
    this.words.setUint32(DyingContext.user, index, true);
    try {
      runProgram(this.dyingFd, "toom_dying", this.context);
      return undefined;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // They would take what is being freed for used, and end another.
      this.users.setCandidate(index, 0, 0);
      return error.message;
    }
  }
}

/** The coordinator's end: of users who ask for memory each page is told at once. */
export class BpfExactUsers implements ExactUsers {
  private readonly users: KernelUsers;
  private readonly wantsAttach: Uint32Array;
  private readonly recordFd: number;
  private readonly wakeSweeper: () => void;
  private readonly buffer = new Uint8Array(READ_BYTES);

  /**
   * @param wakeSweeper It has each page booked, if none is.
   * @throws {KernelError}
   */
  constructor(spec: KernelBooksSpec, wakeSweeper: () => void) {
    this.users = attachUsers(spec).users;
    const control = memoryAt(spec.addresses.control, CONTROL_BYTES);
    this.wantsAttach = new Uint32Array(control, Control.wantsAttach, 1);
    this.recordFd = spec.fds.record;
    this.wakeSweeper = wakeSweeper;
  }

  setExact(uid: number, isExact: boolean): boolean {
    const index = this.users.find(uid);
    if (index === 0) return false;
    this.users.setRecordAll(index, isExact);
    if (!isExact) return true;
    this.wantsAttach[0] = 1;
    this.wakeSweeper();
    try {
      runIterator(this.recordFd, "toom_record", this.buffer);
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      // Tried again before the next answer. The sweeper tells of it, which is refused the same.
      return false;
    }
  }
}
