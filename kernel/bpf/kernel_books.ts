/**
 * The books that programs keep in the kernel: maps, programs, and what this process does with them.
 *
 * The order that keeps them exact: {@link KernelBooks.attach}, so that nothing that happens from then
 * on is missed; {@link KernelBooks.seed}, which books what was there before; only then may a user's
 * mode be other than {@link Mode.book}.
 *
 * @module
 */
import { closeFd, readTextFile } from "../ffi/fd.ts";
import { addressOf } from "../ffi/mapping.ts";
import type { Assembler } from "./asm/assembler.ts";
import {
  BooksMap,
  type BooksShape,
  Control,
  CONTROL_BYTES,
  SEEN_BYTES,
  Slot,
  SlotState,
  User,
  USERS_MAX,
} from "./programs/books_layout.ts";
import { KernelUsers } from "./kernel_users.ts";
import type { KernelLayout } from "./types/kernel_layout.ts";
import {
  AttachType,
  BpfMap,
  BpfProgram,
  IteratorLink,
  MappedArray,
  MapType,
  openTracepoint,
  ProgramType,
  TracepointLink,
} from "./objects.ts";
import { execProgram, exitProgram, freeProgram } from "./programs/tasks.ts";
import { lookProgram, recordProgram, seedProgram } from "./programs/iterators.ts";
import {
  dyingProgram,
  exitMmapProgram,
  newTaskProgram,
  offsetsProgram,
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

/** One address space in the books. */
export interface KernelSlot {
  readonly index: number;
  readonly uid: number;
  readonly tgid: number;
  readonly isDying: boolean;
  /** Counted pages. */
  readonly pages: number;
}

/** Descriptors of the books, for other threads. Plain data; they belong to the process. */
export interface KernelBooksSpec {
  readonly shape: BooksShape;
  readonly fds: {
    readonly control: number;
    readonly users: number;
    readonly records: number;
    readonly keys: number;
    /** Of the program at rss_stat. */
    readonly rssStat: number;
    /** Of the link of the iterator that books what far users have. */
    readonly look: number;
    /** Of the program that marks a slot whose process was signalled. */
    readonly dying: number;
    /** Of the link of the iterator that books who was there before. */
    readonly seed: number;
    /** Of that which records what was booked and not recorded. */
    readonly record: number;
  };
  /** Where arrays are mapped in this process: each mapping counts all its pages. See memoryAt(). */
  readonly addresses: { readonly control: bigint; readonly users: bigint };
  readonly recordBytes: number;
}

export class KernelBooks implements Disposable {
  readonly shape: BooksShape;
  private readonly stack = new DisposableStack();
  readonly users: KernelUsers;
  private readonly userRows: ArrayBuffer;
  private readonly control: BigUint64Array<ArrayBuffer>;
  private readonly rssLink: Uint32Array;
  private readonly slotArray: MappedArray;
  private readonly keyArray: MappedArray;
  readonly records: BpfMap;
  private readonly recordBytes: number;
  private readonly fds: KernelBooksSpec["fds"];
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
    this.recordBytes = recordBytes;
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
      this.userRows = users.buffer;
      this.users = new KernelUsers(users.buffer, control.buffer);
      this.rssLink = new Uint32Array(control.buffer, Control.rssLink, 1);
      this.slotArray = slotArray;
      this.keyArray = keys;
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
      const target = { kernel, shape, recordBytes };
      const { tracing, syscall } = ProgramType;
      const { rss_stat, exit_mmap, task_newtask } = kernel.tracepoints;
      const { sched_process_exec, sched_process_exit, sched_process_free } = kernel.tracepoints;
      const trace = (name: string, assembler: Assembler, attachTo: number): BpfProgram =>
        load(name, assembler, tracing, AttachType.rawTracepoint, attachTo);
      this.programs = [
        // Ends are followed before anything is booked, and until nothing is booked any more.
        trace("toom_mm_end", exitMmapProgram(target), exit_mmap),
        trace("toom_newtask", newTaskProgram(target), task_newtask),
        trace("toom_exec", execProgram(target), sched_process_exec),
        trace("toom_exit", exitProgram(target), sched_process_exit),
        trace("toom_free", freeProgram(target), sched_process_free),
      ];
      const rssStat = trace("toom_rss_stat", rssStatProgram(target), rss_stat);
      const { iterator, none } = AttachType;
      const iterate = (name: string, assembler: Assembler): IteratorLink => {
        const program = load(name, assembler, tracing, iterator, kernel.ids.taskIterator);
        return stack.use(new IteratorLink(program));
      };
      this.seedLink = iterate("toom_seed", seedProgram(target));
      this.fds = {
        control: control.map.fd,
        users: users.map.fd,
        records: this.records.fd,
        keys: keys.map.fd,
        rssStat: rssStat.fd,
        look: iterate("toom_look", lookProgram(target)).fd,
        dying: load("toom_dying", dyingProgram(target), syscall, none, 0).fd,
        seed: this.seedLink.fd,
        record: iterate("toom_record", recordProgram(target)).fd,
      };
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
      this.rssLink[0] = openTracepoint(this.fds.rssStat, "toom_rss_stat") + 1;
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
    if (this.rssLink[0] !== 0) closeFd(this.rssLink[0]! - 1);
    this.rssLink[0] = 0;
    for (const link of this.links.reverse()) link[Symbol.dispose]();
    this.links = [];
  }

  /** Forgets all address spaces. Only while nothing is attached. */
  clear(): void {
    new BigUint64Array(this.keyArray.buffer).fill(0n);
    this.users.clearPages();
  }

  // --------------------------------------------------------------------------------- slots

  /** The address spaces of a user that are in the books. */
  slotsOf(index: number): KernelSlot[] {
    const found: KernelSlot[] = [];
    const keys = new BigUint64Array(this.keyArray.buffer);
    const slots = new DataView(this.slotArray.buffer);
    for (let slot = 0; slot < this.shape.slots; slot++) {
      if (keys[slot]! < 2n) continue;
      const at = slot * Slot.bytes;
      if (slots.getUint32(at + Slot.user, true) !== index) continue;
      found.push({
        index: slot,
        uid: slots.getUint32(at + Slot.uid, true),
        tgid: slots.getUint32(at + Slot.tgid, true),
        isDying: (slots.getUint32(at + Slot.state, true) & SlotState.dying) !== 0,
        pages: pagesOf(slots, slot),
      });
    }
    return found;
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

  /** What other threads need to work with these books. */
  get spec(): KernelBooksSpec {
    const { shape } = this;
    const addresses = {
      control: addressOf(this.control.buffer),
      users: addressOf(this.userRows),
    };
    return { shape, fds: this.fds, addresses, recordBytes: this.recordBytes };
  }

  /** Detaches all; what is mapped stays so. */
  [Symbol.dispose](): void {
    this.detach();
    this.stack.dispose();
  }
}

/** Counted pages of a slot, while programs change it. */
function pagesOf(slots: DataView, slot: number): number {
  let pages = 0;
  for (let member = 0; member < 4; member++) {
    pages += Number(slots.getBigInt64(slot * Slot.bytes + Slot.pages + 8 * member, true));
  }
  return pages;
}
