/**
 * Programs that the kernel runs for each task when this process reads their iterator.
 * Documentation/bpf/bpf_iterators.rst
 *
 * @module
 */
import { Assembler } from "../asm/assembler.ts";
import { KEY_BYTES, Slot, User } from "./books_layout.ts";
import { emitEnroll, emitFill, emitLeave } from "./enroll.ts";
import { recordLatecomers } from "./record.ts";
import {
  addressToNumber,
  findSlot,
  findUser,
  slotAt,
  type Target,
  uidOf,
  userAt,
} from "./parts.ts";

/** Offset from r10: a real uid. */
const LOOK_UID_AT = -80;
/** Of a task's flags: a thread of the kernel, which may borrow an mm. linux/sched.h */
const PF_KTHREAD = 0x00200000;

/**
 * r7 = the task that the program is run for, r6 = the address of its mm, r8 = the task that owns that mm.
 * Leaves for `end` when it has none. Changes r1.
 */
function taskWithMm(a: Assembler, { kernel }: Target): void {
  a.load("r7", "u64", "r1", 8, "the task; NULL at the end");
  a.jumpIf("r7", "==", 0, "end");
  a.load("r1", "u32", "r7", kernel.task.flags).op("r1", "&=", PF_KTHREAD);
  a.jumpIf("r1", "!=", 0, "end", "a thread of the kernel");
  a.load("r6", "u64", "r7", kernel.task.mm, "its mm");
  a.jumpIf("r6", "==", 0, "end", "it has ended");
  a.load("r8", "u64", "r6", kernel.mm.owner, "whose process's the mm is");
  addressToNumber(a, "r6", "its address is its key");
}

/**
 * Run for each task by an iterator: books those of near users that were there before, and moves those
 * whose process has changed its user since. An event on another CPU at that moment may be booked for
 * the user before; who changes its user has one thread as a rule.
 */
export function seedProgram(target: Target): Assembler {
  const { kernel } = target;
  const a = new Assembler();
  taskWithMm(a, target);
  a.jumpIf("r8", "==", 0, "end");
  findSlot(a, "r6", "booked", target);
  a.jump("new");
  a.label("booked");
  a.op("r9", "=", "r1", "offset of the key");
  uidOf(a, "r8", target);
  slotAt(a, "r5", "r9", "r1");
  a.load("r1", "u32", "r5", Slot.uid);
  a.jumpIf32("r1", "==", "r0", "end", "it is whose it was");
  a.op("r1", "=", "r9").op("r2", "=", "r6");
  a.callLocal("leave", "its process has changed its user: its pages go from one to the other");
  a.label("new");
  uidOf(a, "r8", target);
  a.op("r4", "=", "r0");
  findUser(a, "r4", "r9", "end", "user");
  a.op("r1", "=", "r6", "mm").op("r2", "=", "r4", "uid").op("r3", "=", "r9", "user");
  a.load("r4", "u32", "r8", kernel.task.tgid, "process").op("r5", "=", 0, "in use");
  a.callLocal("enroll");
  a.jumpIf("r0", "s<", 0, "end", "another CPU was first, or there is no room");
  a.load("r1", "u64", "r7", kernel.task.mm, "has it ended meanwhile?");
  addressToNumber(a, "r1", "");
  a.jumpIf("r1", "==", "r6", "end", "no: its end will be told");
  a.op("r1", "=", "r0").op("r2", "=", "r6");
  a.callLocal("leave", "yes, and nobody else would say so");
  a.label("end").op("r0", "=", 0).exit();
  emitEnroll(a, target);
  emitFill(a, target);
  emitLeave(a, target);
  return a;
}

/**
 * Run for each task by an iterator while the program at rss_stat is not attached: books what each address
 * space of a near user has at this moment, and records what has changed since the last time.
 */
export function lookProgram(target: Target): Assembler {
  const { kernel } = target;
  const a = new Assembler();
  taskWithMm(a, target);
  a.op("r1", "=", "r7");
  addressToNumber(a, "r1", "the task's address");
  a.op("r2", "=", "r8");
  addressToNumber(a, "r2", "the owner's");
  a.jumpIf("r1", "!=", "r2", "end", "each mm once: for its owner");
  uidOf(a, "r7", target);
  a.store("u32", "r10", LOOK_UID_AT, "r0", "real uid");
  findSlot(a, "r6", "known", target);
  a.jump("new");
  a.label("known");
  a.op("r8", "=", "r1", "offset of the key");
  slotAt(a, "r5", "r8", "r2");
  a.load("r1", "u32", "r5", Slot.uid).load("r2", "u32", "r10", LOOK_UID_AT);
  a.jumpIf32("r1", "==", "r2", "same", "it is whose it was");
  a.op("r1", "=", "r8").op("r2", "=", "r6");
  a.callLocal("leave", "its process has changed its user");
  a.label("new");
  a.load("r4", "u32", "r10", LOOK_UID_AT);
  findUser(a, "r4", "r9", "end", "user");
  a.op("r1", "=", "r6", "mm").op("r2", "=", "r4", "uid").op("r3", "=", "r9", "user");
  a.load("r4", "u32", "r7", kernel.task.tgid, "process").op("r5", "=", 0, "in use");
  a.callLocal("enroll", "it is new");
  a.jumpIf("r0", "s<", 0, "end", "there is no room");
  a.op("r9", "=", "r0").load("r1", "u64", "r7", kernel.task.mm, "has it ended meanwhile?");
  addressToNumber(a, "r1", "");
  a.jumpIf("r1", "==", "r6", "record", "no: its end will be told");
  a.op("r1", "=", "r9").op("r2", "=", "r6").callLocal("leave").jump("end");
  a.label("same");
  a.op("r9", "=", "r8").op("r1", "=", "r8").op("r2", "=", "r6");
  a.callLocal("fill", "r0 = pages more than at the last look");
  a.op("r9", "&=", (target.shape.slots - 1) * KEY_BYTES, "at most the last key");
  slotAt(a, "r5", "r9", "r1");
  a.load("r3", "u32", "r5", Slot.user);
  userAt(a, "r1", "r3", "r2");
  a.atomic("fetchAdd", "u64", "r1", User.totalPages, "r0");
  a.label("record");
  a.op("r6", "=", "r9").op(
    "r6",
    "&=",
    (target.shape.slots - 1) * KEY_BYTES,
    "at most the last key",
  );
  slotAt(a, "r8", "r6", "r1");
  recordLatecomers(a, "r6", target);
  a.label("end").op("r0", "=", 0).exit();
  emitEnroll(a, target);
  emitFill(a, target);
  emitLeave(a, target);
  return a;
}

/** Run for each task by an iterator: records what was booked and not recorded. */
export function recordProgram(target: Target): Assembler {
  const { kernel } = target;
  const a = new Assembler();
  a.load("r7", "u64", "r1", 8, "the task; NULL at the end");
  a.jumpIf("r7", "==", 0, "end");
  a.load("r6", "u64", "r7", kernel.task.mm, "its mm");
  addressToNumber(a, "r6", "its address is its key");
  a.jumpIf("r6", "==", 0, "end", "it has none");
  findSlot(a, "r6", "found", target);
  a.label("end").op("r0", "=", 0).exit();
  a.label("found");
  a.op("r6", "=", "r1", "offset of the key");
  slotAt(a, "r8", "r6", "r1");
  recordLatecomers(a, "r6", target);
  a.jump("end");
  return a;
}
