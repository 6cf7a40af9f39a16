/**
 * Programs that tell of the lives of near users' tasks: what whose memory is follows from them.
 *
 * @module
 */
import { Assembler } from "../asm/assembler.ts";
import type { Register } from "../asm/encoding.ts";
import { BpfRecord, BpfRecordKind, Slot, SlotState, User } from "./books_layout.ts";
import {
  addressToNumber,
  findSlot,
  findUser,
  slotAt,
  type Target,
  uidOf,
  userAt,
} from "./parts.ts";
import { emitOutput, emitRecordPage, recordMembers, Wakeup } from "./record.ts";

/** Offset from r10 of the record of a task. */
export const TASK_RECORD_AT = -64;
const AT = TASK_RECORD_AT;
/** What {@link BpfRecord.result} of an exit says. */
export const GROUP_DEAD_UNKNOWN = -1;

/**
 * Writes a record of a task, if its user is near. Changes r0 to r5 and r9.
 * @param task Register, kept over calls, with the task.
 * @param fill Stores `other` and `result`; may change r1.
 */
export function emitTaskRecord(
  a: Assembler,
  task: Register,
  kind: number,
  target: Target,
  fill: () => void,
): void {
  uidOf(a, task, target);
  a.op("r4", "=", "r0", "real uid");
  findUser(a, "r4", "r9", "end", "user");
  userAt(a, "r1", "r9", "r2");
  a.load("r1", "u32", "r1", User.uid, "of whom it is charged to");
  a.store("u32", "r10", AT + BpfRecord.uid, "r1");
  a.store("u64", "r10", AT + BpfRecord.pages, 0).store("u64", "r10", AT + BpfRecord.totalPages, 0);
  a.store("u32", "r10", AT + BpfRecord.member, 0).store("u32", "r10", AT + BpfRecord.mmId, 0);
  fill();
  emitOutput(a, target, AT, kind, "task", Wakeup.never);
}

/** At sched:sched_process_exec: the task runs another program, and may have another number. */
export function execProgram(target: Target): Assembler {
  const { kernel } = target;
  const a = new Assembler();
  a.load("r7", "u64", "r1", 0, "the task");
  a.load("r8", "u64", "r1", 8, "its number before").op32("r8", "=", "r8");
  a.load("r6", "u64", "r7", kernel.task.mm, "the mm that it has built, and runs on now");
  addressToNumber(a, "r6", "its address is its key");
  findSlot(a, "r6", "found", target);
  a.jump("tell");
  a.label("found");
  a.op("r6", "=", "r1", "offset of the key");
  slotAt(a, "r9", "r6", "r1");
  a.load("r1", "u32", "r9", Slot.user);
  userAt(a, "r2", "r1", "r3");
  a.load("r1", "u64", "r9", Slot.inherited).negate("r1");
  a.atomic("fetchAdd", "u64", "r2", User.inheritedPages, "r1", "nothing of it was inherited");
  a.store("u64", "r9", Slot.inherited, 0);
  a.load("r1", "u32", "r9", Slot.state).op("r1", "&=", SlotState.dying);
  a.store("u32", "r9", Slot.state, "r1", "it is built");
  recordMembers(a, "r6", target);
  a.label("tell");
  emitTaskRecord(a, "r7", BpfRecordKind.exec, target, () => {
    a.load("r1", "u32", "r7", target.kernel.task.pid, "its number now");
    a.store("u32", "r10", AT + BpfRecord.other, "r1");
    a.store("u64", "r10", AT + BpfRecord.result, "r8");
  });
  a.label("end").op("r0", "=", 0).exit();
  emitRecordPage(a, target);
  return a;
}

/** At sched:sched_process_exit: the task ends; its memory goes later. */
export function exitProgram(target: Target): Assembler {
  const a = new Assembler();
  a.load("r7", "u64", "r1", 0, "the task");
  if (target.kernel.tellsGroupDead) {
    a.load("r8", "u64", "r1", 8, "whether it is the last of its process").op("r8", "&=", 1);
  } else a.op("r8", "=", GROUP_DEAD_UNKNOWN);
  emitTaskRecord(a, "r7", BpfRecordKind.exit, target, () => {
    a.load("r1", "u32", "r7", target.kernel.task.pid, "its number");
    a.store("u32", "r10", AT + BpfRecord.other, "r1");
    a.store("u64", "r10", AT + BpfRecord.result, "r8");
  });
  a.label("end").op("r0", "=", 0).exit();
  return a;
}

/** At sched:sched_process_free: the task is no more, and its number may come back. */
export function freeProgram(target: Target): Assembler {
  const a = new Assembler();
  a.load("r7", "u64", "r1", 0, "the task");
  emitTaskRecord(a, "r7", BpfRecordKind.free, target, () => {
    a.load("r1", "u32", "r7", target.kernel.task.pid, "its number");
    a.store("u32", "r10", AT + BpfRecord.other, "r1");
    a.store("u64", "r10", AT + BpfRecord.result, 0);
  });
  a.label("end").op("r0", "=", 0).exit();
  return a;
}
