/**
 * Writes a record into the ring buffer, where this process reads it.
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";
import type { Register } from "../asm/encoding.ts";
import { BooksMap, BpfRecord, BpfRecordKind, Control, Slot, User } from "./books_layout.ts";
import { callHelper } from "./helpers.ts";
import { count } from "./parts.ts";

/** BPF_RB_*: whether who waits for the ring buffer is woken. */
const NO_WAKEUP = 1;
const FORCE_WAKEUP = 2;

export interface RecordParts {
  /** Offset from r10 at which it is put together: 64 bytes that nothing else uses. */
  readonly at: number;
  /** Registers with the addresses of user and slot, kept over calls where they are used after it. */
  readonly userPointer: Register;
  readonly slotPointer: Register;
  /** Register with the user's pages. */
  readonly totalPages: Register;
  /** Offset from r10 of a u32; a page's member. */
  readonly memberAt?: number;
  /** Register with a number of pages; the event's are not known. */
  readonly pages?: Register;
  /** A number, or offset from r10 of one of 64 bits. */
  readonly result: number;
}

/**
 * Changes r0 to r5. One of a kind in a program.
 * @param kind {@link BpfRecordKind}; all but a page wake the reader.
 */
export function emitRecord(a: Assembler, kind: number, parts: RecordParts): void {
  const { userPointer, slotPointer, totalPages } = parts;
  const at = (field: number): number => parts.at + field;
  const done = `record${kind}_done`;
  a.store("u64", "r10", at(BpfRecord.totalPages), totalPages, "the record, on the stack");
  a.load("r1", "u64", userPointer, User.limitPages);
  a.store("u64", "r10", at(BpfRecord.limitPages), "r1");
  a.load("r1", "u32", slotPointer, Slot.tgid).store("u32", "r10", at(BpfRecord.tgid), "r1");
  a.load("r1", "u32", userPointer, User.uid).store("u32", "r10", at(BpfRecord.uid), "r1");
  a.store("u32", "r10", at(BpfRecord.kind), kind);
  if (parts.memberAt === undefined) a.store("u32", "r10", at(BpfRecord.member), 0);
  else {
    a.load("r1", "u32", "r10", parts.memberAt).store("u32", "r10", at(BpfRecord.member), "r1");
  }
  a.store("u64", "r10", at(BpfRecord.pages), parts.pages ?? 0);
  a.store("u64", "r10", at(BpfRecord.mm), 0);
  if (parts.result === 0) a.store("u64", "r10", at(BpfRecord.result), 0);
  else {
    a.load("r1", "u64", "r10", parts.result).store("u64", "r10", at(BpfRecord.result), "r1");
  }
  callHelper(a, "ktime_get_ns", "r0 = CLOCK_MONOTONIC");
  a.store("u64", "r10", at(BpfRecord.tsNs), "r0");
  a.map("r1", BooksMap.records, "the ring buffer");
  a.op("r2", "=", "r10").op("r2", "+=", parts.at, "the record");
  a.op("r3", "=", BpfRecord.bytes);
  a.op("r4", "=", kind === BpfRecordKind.page ? NO_WAKEUP : FORCE_WAKEUP);
  callHelper(a, "ringbuf_output");
  a.jumpIf("r0", "==", 0, done);
  count(a, Control.recordsShed, "no room: counted");
  a.label(done).op("r0", "=", 0);
}
