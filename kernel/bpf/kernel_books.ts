/**
 * The books that programs keep in the kernel: maps, programs, and what this process does with them.
 *
 * The order that keeps them exact: {@link KernelBooks.attach}, so that nothing that happens from then
 * on is missed; {@link KernelBooks.seed}, which books what was there before; only then may a user's
 * mode be other than {@link Mode.book}.
 *
 * @module
 */
import { readTextFile } from "../ffi/fd.ts";
import type { Assembler } from "./asm/assembler.ts";
import {
  BooksMap,
  type BooksShape,
  CHAIN_MAX,
  Control,
  CONTROL_BYTES,
  HEAD_BITS,
  headOf,
  Mode,
  SEEN_BYTES,
  Slot,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";
import type { KernelLayout } from "./types/kernel_layout.ts";
import {
  AttachType,
  BpfMap,
  BpfProgram,
  IteratorLink,
  MappedArray,
  MapType,
  ProgramType,
  TracepointLink,
} from "./objects.ts";
import {
  exitMmapProgram,
  newTaskProgram,
  offsetsProgram,
  seedProgram,
} from "./programs/lifecycle.ts";
import { rssStatProgram } from "./programs/rss_stat.ts";

const POSSIBLE_CPUS_PATH = "/sys/devices/system/cpu/possible";
const NOBODY = new Uint8Array(0);

/** CPUs that this machine may have: one more than the number of the last. cpu hotplug, sysfs */
export function possibleCpus(text: string = readTextFile(POSSIBLE_CPUS_PATH)): number {
  const last = /(\d+)\s*$/.exec(text)?.[1];
  if (last === undefined) {
    throw new Error(`${POSSIBLE_CPUS_PATH} holds ${JSON.stringify(text)}, expected such as 0-7`);
  }
  return Number(last) + 1;
}

/** One user, as programs keep it; pages. */
export interface KernelUser {
  readonly totalPages: number;
  readonly pendingPages: number;
  readonly kills: number;
  readonly refusals: number;
  readonly lastError: number;
  readonly unconfirmed: number;
  readonly slots: number;
  readonly full: number;
}

/** One address space in the books. */
export interface KernelSlot {
  readonly index: number;
  readonly uid: number;
  readonly tgid: number;
  readonly isDying: boolean;
  /** Counted pages. */
  readonly pages: number;
}

export interface UserSetting {
  readonly limitPages: number;
  /** {@link Mode} */
  readonly mode: number;
  readonly recordAbovePages?: number;
}

const FOREVER = 2n ** 62n;

export class KernelBooks implements Disposable {
  readonly shape: BooksShape;
  private readonly stack = new DisposableStack();
  private readonly control: BigUint64Array;
  private readonly heads: Uint8Array;
  private readonly users: DataView;
  /** The same as numbers of 64 bits: a DataView may write them byte by byte. */
  private readonly userWords: BigInt64Array;
  private readonly slots: DataView;
  private readonly slotWords: BigInt64Array;
  private readonly keys: BigUint64Array;
  /** By CPU, slot and member. */
  private readonly seen: Int32Array;
  readonly records: BpfMap;
  private readonly programs: readonly BpfProgram[];
  private readonly seedLink: IteratorLink;
  private links: TracepointLink[] = [];
  private readonly readBuffer = new Uint8Array(4096);

  /**
   * Makes maps and loads programs; nothing is attached yet.
   * @param recordBytes Of the ring buffer: a power of two, at least a page.
   * @throws {KernelError} With the verifier's log, when a program was refused.
   */
  constructor(kernel: KernelLayout, shape: BooksShape, recordBytes = 1 << 18) {
    this.shape = shape;
    const { slots, cpus } = shape;
    const stack = this.stack;
    try {
      const array = (name: string, bytes: number, entries = 1): MappedArray =>
        stack.use(new MappedArray(name, bytes, entries));
      const control = array(BooksMap.control, CONTROL_BYTES);
      const users = array(BooksMap.users, USERS_MAX * User.bytes);
      const slotArray = array(BooksMap.slots, slots * Slot.bytes);
      const keys = array(BooksMap.keys, slots * 8);
      const seen = array(BooksMap.seen, slots * SEEN_BYTES, cpus);
      const offsets = array(BooksMap.offsets, cpus * 8);
      const perCpu = stack.use(
        new BpfMap(BooksMap.perCpu, MapType.perCpuArray, {
          keyBytes: 4,
          valueBytes: 8,
          entries: 1,
        }),
      );
      this.records = stack.use(
        new BpfMap(BooksMap.records, MapType.ringBuffer, {
          keyBytes: 0,
          valueBytes: 0,
          entries: recordBytes,
        }),
      );
      this.control = new BigUint64Array(control.buffer, 0, Control.heads / 8);
      this.heads = new Uint8Array(control.buffer, Control.heads, 1 << HEAD_BITS);
      this.users = new DataView(users.buffer);
      this.userWords = new BigInt64Array(users.buffer, 0, USERS_MAX * User.bytes / 8);
      this.slots = new DataView(slotArray.buffer);
      this.slotWords = new BigInt64Array(slotArray.buffer, 0, slots * Slot.bytes / 8);
      this.keys = new BigUint64Array(keys.buffer);
      this.seen = new Int32Array(seen.buffer);
      const references = {
        maps: new Map(
          [control, users, slotArray, keys, seen, offsets].map(({ map }) =>
            [map.name, map.fd] as const
          ).concat([[perCpu.name, perCpu.fd], [this.records.name, this.records.fd]]),
        ),
        functions: kernel.functions,
      };
      const load = (
        name: string,
        assembler: Assembler,
        type: number,
        attachType: number,
        attachTo: number,
      ): BpfProgram =>
        stack.use(
          new BpfProgram({
            name,
            type,
            attachType,
            attachTo,
            instructions: assembler.encode(references),
          }),
        );
      const target = { kernel, shape };
      const { tracing, syscall } = ProgramType;
      const { rss_stat, exit_mmap, task_newtask } = kernel.tracepoints;
      const trace = (name: string, assembler: Assembler, attachTo: number): BpfProgram =>
        load(name, assembler, tracing, AttachType.rawTracepoint, attachTo);
      this.programs = [
        // Ends are followed before anything is booked, and until nothing is booked any more.
        trace("toom_exit", exitMmapProgram(target), exit_mmap),
        trace("toom_newtask", newTaskProgram(target), task_newtask),
        trace("toom_rss_stat", rssStatProgram(target), rss_stat),
      ];
      const { iterator, none } = AttachType;
      const seed = load(
        "toom_seed",
        seedProgram(target),
        tracing,
        iterator,
        kernel.ids.taskIterator,
      );
      this.seedLink = stack.use(new IteratorLink(seed));
      const find = load("toom_offsets", offsetsProgram(target), syscall, none, 0);
      const result = find.run(NOBODY);
      if (result !== 0) {
        throw new Error(`The kernel does not tell where its CPUs' memory is: ${result}`);
      }
    } catch (error) {
      stack.dispose();
      throw error;
    }
  }

  // ------------------------------------------------------------------------------ programs

  get isAttached(): boolean {
    return this.links.length > 0;
  }

  /** @throws {KernelError} Nothing is attached then. */
  attach(): void {
    if (this.isAttached) return;
    const links: TracepointLink[] = [];
    try {
      for (const program of this.programs) links.push(new TracepointLink(program));
    } catch (error) {
      for (const link of links) link[Symbol.dispose]();
      throw error;
    }
    this.links = links;
  }

  /** Books who was there before. @throws {KernelError} */
  seed(): void {
    this.seedLink.run(this.readBuffer);
  }

  /** The books are not kept from here on, and must be cleared before the next time. */
  detach(): void {
    for (const link of this.links.reverse()) link[Symbol.dispose]();
    this.links = [];
  }

  /** Forgets all address spaces. Only while nothing is attached. */
  clear(): void {
    this.keys.fill(0n);
    for (let index = 1; index < USERS_MAX; index++) {
      const at = index * User.bytes;
      for (let field = User.totalPages; field < User.bytes; field += 8) {
        this.setWord(at + field, 0n);
      }
    }
  }

  // --------------------------------------------------------------------------------- users

  /**
   * Makes a user near. @param index 1 to {@link USERS_MAX} - 1, of nobody else.
   * @throws {RangeError} Programs would not find it: its list is too long.
   */
  addUser(index: number, uid: number, setting: UserSetting): void {
    const at = index * User.bytes;
    const head = headOf(uid);
    let length = 0;
    for (let other = this.heads[head]!; other !== 0; length++) {
      other = this.users.getUint32(other * User.bytes + User.next, true);
    }
    if (length >= CHAIN_MAX) {
      throw new RangeError(
        `uid ${uid} is in list ${head} of the kernel's books, which has ${length} users, ` +
          `expected less than ${CHAIN_MAX}`,
      );
    }
    this.users.setUint32(at + User.uid, uid, true);
    this.users.setUint32(at + User.next, this.heads[head]!, true);
    this.setUser(index, setting);
    // From here on programs find it.
    this.heads[head] = index;
  }

  setUser(index: number, setting: UserSetting): void {
    const at = index * User.bytes;
    const { recordAbovePages } = setting;
    const record = recordAbovePages === undefined ? FOREVER : BigInt(recordAbovePages);
    this.setWord(at + User.recordAbovePages, record);
    this.setWord(at + User.limitPages, BigInt(setting.limitPages));
    this.users.setUint32(at + User.mode, setting.mode, true);
  }

  /** Makes a user far: its events are not booked any more. Its slots stay until their mms end. */
  removeUser(index: number): void {
    const at = index * User.bytes;
    const uid = this.users.getUint32(at + User.uid, true);
    this.users.setUint32(at + User.mode, Mode.book, true);
    const head = headOf(uid);
    const next = this.users.getUint32(at + User.next, true);
    if (this.heads[head] === index) this.heads[head] = next;
    else {
      for (let other = this.heads[head]!; other !== 0;) {
        const otherAt = other * User.bytes;
        const following = this.users.getUint32(otherAt + User.next, true);
        if (following === index) this.users.setUint32(otherAt + User.next, next, true);
        other = following;
      }
    }
  }

  /** The process that goes when the user is over; undefined: this process decides. */
  setCandidate(index: number, slot: KernelSlot | undefined): void {
    const value = slot === undefined ? 0n : BigInt(slot.index) << 32n | BigInt(slot.tgid);
    this.setWord(index * User.bytes + User.candidate, BigInt.asIntN(64, value));
  }

  /** Programs see the old or the new number, never a part of both. */
  private setWord(offsetBytes: number, value: bigint): void {
    Atomics.store(this.userWords, offsetBytes / 8, value);
  }

  user(index: number): KernelUser {
    const at = index * User.bytes;
    const number = (field: number): number =>
      Number(Atomics.load(this.userWords, (at + field) / 8));
    return {
      totalPages: number(User.totalPages),
      pendingPages: number(User.pendingPages),
      kills: number(User.kills),
      refusals: number(User.refusals),
      lastError: number(User.lastError),
      unconfirmed: number(User.unconfirmed),
      slots: number(User.slots),
      full: number(User.full),
    };
  }

  // --------------------------------------------------------------------------------- slots

  /** The address spaces of a user that are in the books. */
  slotsOf(index: number): KernelSlot[] {
    const found: KernelSlot[] = [];
    for (let slot = 0; slot < this.shape.slots; slot++) {
      if (this.keys[slot]! < 2n) continue;
      const at = slot * Slot.bytes;
      if (this.slots.getUint32(at + Slot.user, true) !== index) continue;
      found.push({
        index: slot,
        uid: this.slots.getUint32(at + Slot.uid, true),
        tgid: this.slots.getUint32(at + Slot.tgid, true),
        isDying: this.slots.getUint32(at + Slot.dying, true) !== 0,
        pages: this.pagesOf(slot),
      });
    }
    return found;
  }

  /** Counted pages of a slot, while programs change it. */
  private pagesOf(slot: number): number {
    const { cpus, slots, countMask } = this.shape;
    let pages = 0;
    for (let member = 0; member < 4; member++) {
      if ((countMask >> member & 1) === 0) continue;
      pages += Number(Atomics.load(this.slotWords, (slot * Slot.bytes + Slot.last) / 8 + member));
      for (let cpu = 0; cpu < cpus; cpu++) pages += this.seen[(cpu * slots + slot) * 4 + member]!;
    }
    return pages;
  }

  /** What all programs have counted. */
  counters(): Readonly<
    Record<"enrolled" | "left" | "leftNonZero" | "full" | "recordsShed", number>
  > {
    const number = (field: number): number => Number(this.control[field / 8]!);
    return {
      enrolled: number(Control.enrolled),
      left: number(Control.left),
      leftNonZero: number(Control.leftNonZero),
      full: number(Control.full),
      recordsShed: number(Control.recordsShed),
    };
  }

  /** Detaches all; what is mapped stays so. */
  [Symbol.dispose](): void {
    this.detach();
    this.stack.dispose();
  }
}
