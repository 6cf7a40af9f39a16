/**
 * Programs that follow the life of an address space, and those that are run once.
 *
 * @module
 */
import { Assembler } from "../asm/assembler.ts";
import {
  BooksMap,
  BpfRecord,
  BpfRecordKind,
  DyingContext,
  KEY_BYTES,
  Slot,
  SlotState,
} from "./books_layout.ts";
import { markDying } from "./enforce.ts";
import { emitLeave } from "./enroll.ts";
import { callHelper } from "./helpers.ts";
import { emitMmEnd, emitRecordPage, recordMembers } from "./record.ts";
import { emitTaskRecord, TASK_RECORD_AT } from "./tasks.ts";
import { addressToNumber, findSlot, slotAt, type Target, userAt } from "./parts.ts";

/** Of clone(2): the child runs on the mm of its parent. linux/sched.h */
const CLONE_VM = 0x100;
/** Offset from r10: what a child has inherited. */
const INHERITED_AT = -72;

/** At mmap:exit_mmap: the mm has no pages any more, its slot is given back. */
export function exitMmapProgram(target: Target): Assembler {
  const a = new Assembler();
  a.load("r6", "u64", "r1", 0, "mm");
  addressToNumber(a, "r6", "its address is its key");
  findSlot(a, "r6", "found", target);
  a.label("end").op("r0", "=", 0).exit("it has no slot");
  a.label("found");
  a.op("r7", "=", "r1", "offset of the key");
  emitMmEnd(a, "r7", target);
  a.op("r1", "=", "r7").op("r2", "=", "r6");
  a.callLocal("leave").jump("end");
  emitLeave(a, target);
  return a;
}

/**
 * At task:task_newtask: tells of the new task. A child's mm is filled before the child has its number,
 * and was booked under that of its parent (kernel/fork.c: dup_mm() is before alloc_pid()).
 */
export function newTaskProgram(target: Target): Assembler {
  const { kernel } = target;
  const a = new Assembler();
  a.load("r7", "u64", "r1", 0, "the new task");
  a.load("r8", "u64", "r1", 8, "flags of clone(2)");
  a.store("u64", "r10", INHERITED_AT, 0);
  a.op("r1", "=", "r8").op("r1", "&=", CLONE_VM);
  a.jumpIf("r1", "!=", 0, "tell", "it runs on its parent's mm");
  a.load("r6", "u64", "r7", kernel.task.mm, "mm");
  addressToNumber(a, "r6", "its address is its key");
  a.jumpIf("r6", "==", 0, "end", "a thread of the kernel");
  findSlot(a, "r6", "found", target);
  a.jump("tell");
  a.label("found");
  a.op("r6", "=", "r1", "offset of the key");
  slotAt(a, "r5", "r6", "r2");
  a.load("r1", "u32", "r7", kernel.task.tgid, "the number that it has now");
  a.store("u32", "r5", Slot.tgid, "r1");
  a.load("r1", "u64", "r5", Slot.inherited).store("u64", "r10", INHERITED_AT, "r1", "told of");
  a.store("u64", "r5", Slot.inherited, 0, "it stays off its user until this process has heard");
  a.store("u32", "r5", Slot.state, 0, "it is built");
  recordMembers(a, "r6", target);
  a.label("tell");
  emitTaskRecord(a, "r7", BpfRecordKind.newTask, target, () => {
    a.load("r1", "u32", "r7", kernel.task.pid, "number of the new task");
    a.store("u32", "r10", TASK_RECORD_AT + BpfRecord.other, "r1");
    a.store("u64", "r10", TASK_RECORD_AT + BpfRecord.result, "r8");
    a.load("r1", "u64", "r10", INHERITED_AT);
    a.store("u64", "r10", TASK_RECORD_AT + BpfRecord.pages, "r1");
  });
  a.label("end").op("r0", "=", 0).exit();
  emitRecordPage(a, target);
  return a;
}

/** Run when this process has signalled a process: what it has is pending. */
export function dyingProgram(target: Target): Assembler {
  const { shape } = target;
  const a = new Assembler();
  a.load("r2", "u32", "r1", DyingContext.slot, "index of the slot").op("r2", "&=", shape.slots - 1);
  a.load("r3", "u32", "r1", DyingContext.tgid, "its process");
  a.load("r4", "u32", "r1", DyingContext.user, "index of the user");
  a.op("r2", "<<=", Math.log2(KEY_BYTES), "offset of the key");
  slotAt(a, "r8", "r2", "r5");
  a.load("r1", "u32", "r8", Slot.tgid).jumpIf("r1", "!=", "r3", "end", "it is another's by now");
  a.load("r1", "u32", "r8", Slot.user).jumpIf("r1", "!=", "r4", "end");
  a.load("r1", "u32", "r8", Slot.state).op("r1", "&=", SlotState.dying);
  a.jumpIf("r1", "!=", 0, "end", "a program has ended it");
  userAt(a, "r6", "r4", "r1");
  markDying(a, target);
  a.label("end").op("r0", "=", 0).exit();
  return a;
}

/**
 * Run once: finds where each CPU's memory is. A per-CPU map tells it without the kernel's symbols: the
 * address of its value on a CPU, less what the map has noted as the address of all.
 */
export function offsetsProgram({ kernel, shape }: Target): Assembler {
  const a = new Assembler();
  a.map("r3", BooksMap.perCpu, "a map, whose first field the array is");
  addressToNumber(a, "r3", "its address");
  a.op("r3", "+=", kernel.arrayPerCpu, "where it has noted the address of its values");
  a.op("r1", "=", "r10").op("r1", "+=", -16).op("r2", "=", 8);
  callHelper(a, "probe_read_kernel", "read that");
  a.jumpIf("r0", "!=", 0, "end", "refused");
  a.op("r6", "=", 0, "CPU");
  a.label("cpu");
  a.store("u32", "r10", -4, 0, "key of the map's only value");
  a.map("r1", BooksMap.perCpu).op("r2", "=", "r10").op("r2", "+=", -4).op("r3", "=", "r6");
  callHelper(a, "map_lookup_percpu_elem", "r0 = address of the value on that CPU");
  a.jumpIf("r0", "==", 0, "next", "no such CPU");
  addressToNumber(a, "r0", "as a number");
  a.load("r1", "u64", "r10", -16).op("r0", "-=", "r1", "where that CPU's memory is");
  a.op("r2", "=", "r6").jumpIf("r2", ">=", shape.cpus, "end", "never: for the verifier");
  a.op("r2", "<<=", 3).mapValue("r1", BooksMap.offsets, 0).op("r1", "+=", "r2");
  a.store("u64", "r1", 0, "r0");
  a.label("next");
  a.op("r6", "+=", 1).jumpIf("r6", "<", shape.cpus, "cpu");
  a.op("r0", "=", 0);
  a.label("end").exit();
  return a;
}
