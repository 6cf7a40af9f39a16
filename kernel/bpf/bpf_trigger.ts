/**
 * The kernel's own trigger: the lines and candidates that programs go by, in the memory that they share
 * with this process. Accounting and killer write different fields.
 *
 * @module
 */
import type { KernelCandidates, KernelLimits } from "../../pipeline/kill/kernel_trigger.ts";
import type { KernelBooksSpec } from "./kernel_books.ts";
import { KernelUsers } from "./kernel_users.ts";
import { attachArray } from "./objects.ts";
import {
  type BooksShape,
  CONTROL_BYTES,
  Mode,
  Slot,
  slotOfMmId,
  SlotState,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";

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

  set(uid: number, limitPages: number, mayKill: boolean): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setLine(index, limitPages, mayKill ? Mode.kill : Mode.wake);
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
  private readonly userNumbers: BigInt64Array;
  private readonly slots: DataView;
  private readonly slotNumbers: BigInt64Array;

  /** @throws {KernelError} */
  constructor(spec: KernelBooksSpec) {
    const { users, rows } = attachUsers(spec);
    this.shape = spec.shape;
    this.users = users;
    this.userNumbers = new BigInt64Array(rows);
    const slots = attachArray(spec.fds.slots, spec.shape.slots * Slot.bytes);
    this.slots = new DataView(slots);
    this.slotNumbers = new BigInt64Array(slots);
  }

  arm(uid: number, tgid: number, mmId: number): void {
    const index = this.users.find(uid);
    if (index !== 0) this.users.setCandidate(index, tgid, slotOfMmId(this.shape, mmId));
  }

  noteDying(uid: number, tgid: number, mmId: number): void {
    const index = this.users.find(uid);
    if (index === 0) return;
    const slot = slotOfMmId(this.shape, mmId);
    const at = slot * Slot.bytes;
    const isThere = this.slots.getUint32(at + Slot.tgid, true) === tgid &&
      this.slots.getUint32(at + Slot.user, true) === index;
    if (!isThere || (this.slots.getUint32(at + Slot.state, true) & SlotState.dying) !== 0) return;
    // As the programs do: first the mark, so that no change is missed; what it has is pending then.
    this.slots.setUint32(at + Slot.state, SlotState.dying, true);
    let pages = 0n;
    for (let member = 0; member < 4; member++) {
      pages += this.slotNumbers[(at + Slot.pages) / 8 + member]!;
    }
    Atomics.add(this.slotNumbers, (at + Slot.credited) / 8, pages);
    Atomics.add(this.userNumbers, (index * User.bytes + User.pendingPages) / 8, pages);
  }
}
