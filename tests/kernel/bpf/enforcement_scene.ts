/**
 * A scene for tests of the program that ends who is over: the books, one or two users, and processes.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { BpfLimits } from "../../../kernel/bpf/bpf_trigger.ts";
import { KernelBooks, type KernelSlot, possibleCpus } from "../../../kernel/bpf/kernel_books.ts";
import { Mode } from "../../../kernel/bpf/programs/books_layout.ts";
import { RingBuffer } from "../../../kernel/bpf/ring_buffer.ts";
import { hasCapability } from "../../_support/real_kernel.ts";
import {
  layout,
  scratchUid,
  takeRecords,
  type TestRecord,
  until,
  whyNoBpf,
  type Workload,
  WorkloadProgram,
} from "./support.ts";

export const [UID, OTHER_UID] = [scratchUid(0), scratchUid(1)];
export const [USER, OTHER] = [1, 2];
/** Room for all records of a case: while a user is over each page is one. */
export const RECORD_BYTES = 1 << 22;
export const HUGE_PAGES = 512;
export const MIB_PAGES = 256;
/** What a process uses beside what it was told to: a page of its stack, of its C library. */
export const FEW_PAGES = 16;
export const why = whyNoBpf();
export const canSignalOthers = why === undefined && layout().functions.has("bpf_send_signal_task");
/** To protect a process: CAP_SYS_RESOURCE. */
export const mayProtect = hasCapability(24);
/** Touches of pages at the limit; fewer for slow machines. */
export const RIDE_TOUCHES = Number(Deno.env.get("TOOM_RIDE_TOUCHES") ?? 300_000);

/** The books, of one or two users, and the processes of a test. */
export class Scene implements AsyncDisposable {
  readonly books: KernelBooks;
  private readonly ring: RingBuffer;
  private readonly limits: BpfLimits;
  private readonly program = new WorkloadProgram();
  private workloads: Workload[] = [];
  limitPages = 0;

  constructor() {
    this.books = new KernelBooks(
      layout(),
      { slots: 8192, cpus: possibleCpus(), countMask: 0b1110 },
      RECORD_BYTES,
    );
    this.ring = new RingBuffer(this.books.records.fd, RECORD_BYTES);
    this.limits = new BpfLimits(this.books.spec);
    const setting = { limitPages: 2 ** 40, mode: Mode.book };
    const rows = [UID, OTHER_UID].map((uid) => this.books.users.add(uid, setting));
    assertEquals(rows, [USER, OTHER]);
    this.books.attach();
    this.books.seed();
  }

  start(uid: number, ...args: (string | number)[]): Workload {
    const workload = this.program.start(uid, ...args);
    this.workloads.push(workload);
    return workload;
  }

  /** A process that has so much, and does nothing more. */
  async quiet(mib: number, uid = UID): Promise<Workload> {
    const workload = this.start(uid, "touch", mib);
    await workload.go();
    await workload.says("done");
    return workload;
  }

  /** A process that grows, but not before it is told to go. */
  async hog(mib: number, kind: "hog" | "hughog" | "sharehog" = "hog"): Promise<Workload> {
    const workload = this.start(UID, kind, mib, this.progressPath(this.workloads.length));
    await workload.says("ready");
    return workload;
  }

  private progressPath(index: number): string {
    const path = `${this.program.dirPath}/progress${index}`;
    Deno.writeFileSync(path, new Uint8Array(4096));
    Deno.chmodSync(path, 0o666);
    return path;
  }

  /** Pages that a hog has written to. */
  touchedBy(workload: Workload): number {
    const bytes = Deno.readFileSync(
      `${this.program.dirPath}/progress${this.workloads.indexOf(workload)}`,
    );
    return Number(new DataView(bytes.buffer).getBigUint64(0, true));
  }

  get pages(): number {
    return this.books.users.read(USER).totalPages;
  }

  slotOf(workload: Workload, user = USER): KernelSlot {
    const slot = this.books.slotsOf(user).find(({ tgid }) => tgid === workload.pid);
    if (slot === undefined) throw new Error(`process ${workload.pid} has no slot`);
    return slot;
  }

  /** The limit lies so many pages above what the user has. */
  limit(pagesAbove: number, candidate?: KernelSlot, mode: number = Mode.kill): number {
    const limitPages = this.pages + pagesAbove;
    this.candidate(candidate);
    this.books.users.set(USER, { limitPages, mode });
    this.limitPages = limitPages;
    return limitPages;
  }

  /** What forks have copied counts from here on, as when accounting has heard of them. */
  chargeForks(): void {
    this.limits.chargeInherited(UID, this.books.users.read(USER).inheritedPages);
  }

  candidate(slot: KernelSlot | undefined): void {
    this.books.users.setCandidate(USER, slot?.tgid ?? 0, slot?.index ?? 0);
  }

  /** Those since it was asked last; it must be asked before the ring buffer is full. */
  records(): TestRecord[] {
    return takeRecords(this.ring);
  }

  get kills(): number {
    return this.books.users.read(USER).kills + this.books.users.read(OTHER).kills;
  }

  /** Ends all processes. All that is booked must be gone then. */
  async finish(): Promise<void> {
    this.books.users.setCandidate(USER, 0, 0);
    this.books.users.set(USER, { limitPages: 2 ** 40, mode: Mode.book });
    for (const workload of this.workloads) await workload[Symbol.asyncDispose]();
    this.workloads = [];
    for (const user of [USER, OTHER]) {
      await until(() => this.books.users.read(user).slots === 0);
      const { totalPages, pendingPages, slots, full } = this.books.users.read(user);
      assertEquals({ totalPages, pendingPages, slots, full }, {
        totalPages: 0,
        pendingPages: 0,
        slots: 0,
        full: 0,
      });
    }
    this.records();
    this.books.detach();
    this.books.clear();
    this.books.attach();
    this.books.seed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const workload of this.workloads) await workload[Symbol.asyncDispose]();
    this.books[Symbol.dispose]();
    this.program[Symbol.dispose]();
  }
}
