/**
 * Writes records into the ring buffer, where this process reads them.
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";
import type { Register } from "../asm/encoding.ts";
import {
  BooksMap,
  BpfRecord,
  BpfRecordKind,
  Control,
  countedMembers,
  KEY_BYTES,
  PAGE_CURR,
  Slot,
  User,
} from "./books_layout.ts";
import { callHelper } from "./helpers.ts";
import { addressToNumber, count, slotAt, type Target, userAt } from "./parts.ts";

/** BPF_RB_AVAIL_DATA */
const AVAILABLE_DATA = 0;
/** Of the ring buffer, kept free of pages. */
const KEPT_BYTES = 16 * 1024;

/** BPF_RB_*: whether who waits for the ring buffer is woken. */
export const Wakeup = { never: 1, always: 2 } as const;

/**
 * Fills in when, where and by whom, and hands the record over. Changes r0 to r5.
 *
 * @param at Offset from r10 of 64 bytes with all other fields.
 * @param name Of this place in the program, for labels.
 * @param wakeup {@link Wakeup}, or a register.
 * @param process Register with the process that it is of; who runs this, when left out.
 */
export function emitOutput(
  a: Assembler,
  { recordBytes }: Target,
  at: number,
  kind: number,
  name: string,
  wakeup: number | Register,
  process?: Register,
): void {
  a.store("u32", "r10", at + BpfRecord.kind, kind);
  callHelper(a, "get_smp_processor_id", "r0 = this CPU");
  a.store("u32", "r10", at + BpfRecord.cpu, "r0");
  if (process === undefined) {
    callHelper(a, "get_current_pid_tgid", "r0 = process in the upper half, task in the lower");
    a.store("u32", "r10", at + BpfRecord.tid, "r0");
    a.op("r0", ">>=", 32).store("u32", "r10", at + BpfRecord.tgid, "r0");
  } else {
    a.store("u32", "r10", at + BpfRecord.tid, process);
    a.store("u32", "r10", at + BpfRecord.tgid, process);
  }
  callHelper(a, "ktime_get_ns", "r0 = CLOCK_MONOTONIC");
  a.store("u64", "r10", at + BpfRecord.tsNs, "r0");
  if (kind === BpfRecordKind.page) {
    // Pages must not take the room of what is told once, such as a kill.
    a.map("r1", BooksMap.records, "the ring buffer").op("r2", "=", AVAILABLE_DATA);
    callHelper(a, "ringbuf_query", "r0 = bytes that nobody has read");
    a.jumpIf("r0", ">", recordBytes - Math.min(KEPT_BYTES, recordBytes / 4), `${name}_shed`);
  }
  a.op("r4", "=", wakeup, "whether the reader is woken");
  a.map("r1", BooksMap.records, "the ring buffer");
  a.op("r2", "=", "r10").op("r2", "+=", at, "the record");
  a.op("r3", "=", BpfRecord.bytes);
  callHelper(a, "ringbuf_output");
  a.jumpIf("r0", "==", 0, `${name}_put`);
  a.label(`${name}_shed`);
  count(a, Control.recordsShed, "no room: counted, and told as a loss");
  a.label(`${name}_put`).op("r0", "=", 0);
}

export interface RecordParts {
  /** Offset from r10 at which it is put together: 64 bytes that nothing else uses. */
  readonly at: number;
  /** Registers with the addresses of user and slot. */
  readonly userPointer: Register;
  readonly slotPointer: Register;
  /** Register with the user's pages. */
  readonly totalPages: Register;
  /** Register with a number of pages. */
  readonly pages?: Register;
  /** Offset from r10 of a number of 64 bits. */
  readonly result: number;
}

/** A record of a kill or of a user that is over. Changes r0 to r5. One of a kind in a program. */
export function emitRecord(
  a: Assembler,
  kind: number,
  parts: RecordParts,
  target: Target,
): void {
  const { at, userPointer, slotPointer, totalPages } = parts;
  a.store("u64", "r10", at + BpfRecord.totalPages, totalPages, "the record, on the stack");
  a.load("r1", "u32", slotPointer, Slot.tgid).store("u32", "r10", at + BpfRecord.other, "r1");
  a.load("r1", "u32", userPointer, User.uid).store("u32", "r10", at + BpfRecord.uid, "r1");
  a.store("u32", "r10", at + BpfRecord.member, 0);
  a.op("r2", "=", slotPointer).mapValue("r1", BooksMap.slots, 0).op("r2", "-=", "r1");
  a.op("r2", ">>=", Math.log2(Slot.bytes), "index of the slot");
  storeMmId(a, at, slotPointer, "r2", target);
  a.store("u64", "r10", at + BpfRecord.pages, parts.pages ?? 0);
  a.load("r1", "u64", "r10", parts.result).store("u64", "r10", at + BpfRecord.result, "r1");
  emitOutput(a, target, at, kind, `record${kind}`, Wakeup.always);
}

/** Changes r1 and `index`. @param index Register with the index of the slot. */
function storeMmId(
  a: Assembler,
  at: number,
  slotPointer: Register,
  index: Register,
  { shape }: Target,
): void {
  a.load("r1", "u32", slotPointer, Slot.generation).op("r1", "<<=", Math.log2(shape.slots));
  a.op("r1", "|=", index).store("u32", "r10", at + BpfRecord.mmId, "r1", "generation and slot");
}

const PAGE_RECORD_AT = -64;

/**
 * `record_page`: a record of the pages that a member of an mm has. r1 offset of the slot's key, r2
 * member. Wakes the reader if it waits; it does so no more often than limits/urgency.ts lets it.
 */
export function emitRecordPage(a: Assembler, target: Target): void {
  const { kernel, shape } = target;
  const at = PAGE_RECORD_AT;
  a.label("record_page");
  a.op("r6", "=", "r1").op("r6", "&=", (shape.slots - 1) * KEY_BYTES, "at most the last key");
  a.op("r7", "=", "r2").op("r7", "&=", 3, "member");
  slotAt(a, "r8", "r6", "r1");
  a.op("r1", "=", "r7").op("r1", "<<=", 3).op("r1", "+=", "r8");
  a.load("r1", "u64", "r1", Slot.pages).store("u64", "r10", at + BpfRecord.pages, "r1");
  a.op("r2", "=", "r7").op("r2", "<<=", 2).op("r2", "+=", "r8");
  a.store("u32", "r2", Slot.recorded, "r1", "recorded from here on");
  a.load("r1", "u32", "r8", Slot.user);
  userAt(a, "r9", "r1", "r2");
  a.load("r1", "u32", "r9", User.uid).store("u32", "r10", at + BpfRecord.uid, "r1");
  a.load("r1", "u64", "r9", User.totalPages).store("u64", "r10", at + BpfRecord.totalPages, "r1");
  a.op("r9", "=", Wakeup.never);
  // Not the kernel's own rule, which wakes only who has read all: some records wake nobody.
  a.mapValue("r1", BooksMap.control, Control.readerWaits).load("r2", "u32", "r1", 0);
  a.jumpIf("r2", "==", 0, "record_page_awake", "it reads, or was woken");
  a.store("u32", "r1", 0, 0, "woken once");
  a.op("r9", "=", Wakeup.always);
  a.label("record_page_awake");
  a.op("r2", "=", "r6").op("r2", ">>=", Math.log2(KEY_BYTES), "index of the slot");
  storeMmId(a, at, "r8", "r2", target);
  a.store("u32", "r10", at + BpfRecord.other, 0).store("u64", "r10", at + BpfRecord.result, 0);
  a.mapValue("r1", BooksMap.keys, 0).op("r1", "+=", "r6").load("r8", "u64", "r1", 0, "the mm");
  callHelper(a, "get_current_task_btf", "r0 = who runs this");
  a.load("r1", "u64", "r0", kernel.task.mm);
  addressToNumber(a, "r1", "its mm");
  a.jumpIf("r1", "!=", "r8", "record_page_other");
  a.op("r7", "|=", PAGE_CURR, "it runs on this mm");
  a.label("record_page_other");
  a.store("u32", "r10", at + BpfRecord.member, "r7");
  emitOutput(a, target, at, BpfRecordKind.page, "page", "r9");
  a.op("r0", "=", 0).exit();
}

/**
 * A record of the pages of each counted member: of an mm that is built, all is known then. Changes r0 to
 * r5. @param key Register, kept over calls, with the offset of the slot's key.
 */
export function recordMembers(a: Assembler, key: Register, { shape }: Target): void {
  for (const member of countedMembers(shape)) {
    a.op("r1", "=", key).op("r2", "=", member).callLocal("record_page");
  }
}

/**
 * Records each member of the slot at r8 that is not recorded as it is: as if its process told of itself.
 * Changes r0 to r5, r7 and r9.
 * @param key Register, kept over calls, with the offset of the slot's key.
 */
export function recordLatecomers(a: Assembler, key: Register, target: Target): void {
  const at = PAGE_RECORD_AT;
  const { shape } = target;
  a.load("r1", "u32", "r8", Slot.user);
  userAt(a, "r9", "r1", "r2");
  a.load("r1", "u32", "r9", User.uid).store("u32", "r10", at + BpfRecord.uid, "r1");
  a.load("r1", "u64", "r9", User.totalPages).store("u64", "r10", at + BpfRecord.totalPages, "r1");
  a.op("r2", "=", key).op("r2", ">>=", Math.log2(KEY_BYTES), "index of the slot");
  storeMmId(a, at, "r8", "r2", target);
  a.store("u32", "r10", at + BpfRecord.other, 0).store("u64", "r10", at + BpfRecord.result, 0);
  a.load("r7", "u32", "r8", Slot.tgid);
  for (const member of countedMembers(shape)) {
    const next = `late${member}_next`;
    a.load("r1", "u64", "r8", Slot.pages + 8 * member);
    a.load("r2", "u32", "r8", Slot.recorded + 4 * member).signExtend("r2");
    a.jumpIf("r1", "==", "r2", next, "it is recorded");
    a.store("u64", "r10", at + BpfRecord.pages, "r1");
    a.store("u32", "r8", Slot.recorded + 4 * member, "r1");
    a.store("u32", "r10", at + BpfRecord.member, member | PAGE_CURR);
    emitOutput(a, target, at, BpfRecordKind.page, `late${member}`, Wakeup.never, "r7");
    a.label(next);
  }
}

/** A record that an mm has ended. Changes r0 to r5, r8 and r9. @param key Register, kept over calls. */
export function emitMmEnd(a: Assembler, key: Register, target: Target): void {
  const at = PAGE_RECORD_AT;
  slotAt(a, "r8", key, "r1");
  a.load("r1", "u32", "r8", Slot.uid).store("u32", "r10", at + BpfRecord.uid, "r1");
  a.store("u64", "r10", at + BpfRecord.pages, 0).store("u64", "r10", at + BpfRecord.totalPages, 0);
  a.store("u64", "r10", at + BpfRecord.result, 0).store("u32", "r10", at + BpfRecord.other, 0);
  a.store("u32", "r10", at + BpfRecord.member, 0);
  a.op("r2", "=", key).op("r2", ">>=", Math.log2(KEY_BYTES), "index of the slot");
  storeMmId(a, at, "r8", "r2", target);
  emitOutput(a, target, at, BpfRecordKind.mmEnd, "mm_end", Wakeup.never);
}
