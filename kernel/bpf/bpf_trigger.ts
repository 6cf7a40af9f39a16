/**
 * The kernel's own trigger: the lines and candidates that programs go by, in the memory that they share
 * with this process. Accounting and killer write different fields.
 *
 * @module
 */
import type { KernelCandidates, KernelLimits } from "../../pipeline/kill/kernel_trigger.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { attachArray, runProgram } from "./objects.ts";
import {
  type BooksShape,
  CONTROL_BYTES,
  Mode,
  slotOfMmId,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";
import { DyingContext } from "./programs/lifecycle.ts";

function attachUsers({ fds }: KernelBooksSpec): { users: KernelUsers; rows: ArrayBuffer } {
  const rows = attachArray(fds.users, USERS_MAX * User.bytes);
  return { users: new KernelUsers(rows, attachArray(fds.control, CONTROL_BYTES)), rows };
}

/** Accounting's end. */
export class BpfLimits implements KernelLimits {
  private readonly users: KernelUsers;
  private readonly numbers: BigInt64Array;

  /** @throws {KernelError} */
  constructor(spec: KernelBooksSpec) {
    const { users, rows } = attachUsers(spec);
    this.users = users;
    this.numbers = new BigInt64Array(rows);
  }

  set(uid: number, limitPages: number, mayKill: boolean): boolean {
    const index = this.users.find(uid);
    if (index === 0) return true;
    const isExact = this.users.isExact(index);
    this.users.setLine(index, limitPages, mayKill && isExact ? Mode.kill : Mode.wake);
    return isExact;
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

  noteDying(uid: number, tgid: number, mmId: number): void {
    const index = this.users.find(uid);
    if (index === 0 || mmId === 0) return;
    this.words.setUint32(DyingContext.slot, slotOfMmId(this.shape, mmId), true);
    this.words.setUint32(DyingContext.tgid, tgid, true);
    this.words.setUint32(DyingContext.user, index, true);
    runProgram(this.dyingFd, "toom_dying", this.context);
  }
}
