/**
 * The program at the tracepoint kmem:rss_stat: keeps the pages of near users, exactly, in a time that
 * does not depend on the number of CPUs, and has those looked at that are over.
 *
 * The kernel keeps each member of an mm as a percpu_counter: a common count, and a part for each CPU
 * that is carried over to the common count when it becomes large (lib/percpu_counter.c). The program
 * runs on the CPU whose part has just changed. It books the difference to what it has booked of that
 * part, and looks at the common count only when the part is 0: a carry leaves it so, and any other
 * value proves that the whole change is in the part. Looking at the count each time would book what
 * other CPUs have carried and not told of yet.
 *
 * At every moment a user's total is at most what is booked of its mms: what grows is booked of the mm
 * first, what shrinks is taken off the user first. So `enforce`, which has what is booked of an mm
 * corrected by its full sum, never takes a user for larger than it is, wherever other CPUs are held up.
 *
 * @module
 */
import { Assembler } from "../asm/assembler.ts";
import { BooksMap, Control, Slot, SlotState, User } from "./books_layout.ts";
import { emitEnforce } from "./enforce.ts";
import { emitEnroll, emitFill } from "./enroll.ts";
import { callHelper } from "./helpers.ts";
import {
  addressToNumber,
  castToCounter,
  findSlot,
  findUser,
  readInt,
  seenAt,
  slotAt,
  type Target,
  uidOf,
  unlessCounted,
  userAt,
} from "./parts.ts";
import { emitRecordPage } from "./record.ts";

/** Offsets from r10. */
const Stack = {
  cpu: -4,
  member: -8,
  uid: -44,
  /** Address of the percpu_counter. */
  counter: -32,
} as const;

export function rssStatProgram(target: Target): Assembler {
  const { kernel, shape } = target;
  const a = new Assembler();
  a.load("r6", "u64", "r1", 0, "mm");
  a.load("r7", "u64", "r1", 8, "member");
  a.op32("r7", "=", "r7", "an int");
  a.jumpIf("r7", ">", 3, "end", "no member that is known");
  a.op("r2", "=", shape.countMask).op("r2", ">>=", "r7").op("r2", "&=", 1);
  a.jumpIf("r2", "==", 0, "end", "it is not counted");
  a.load("r8", "u64", "r6", kernel.mm.owner, "owner, a task; NULL when the mm is being torn down");
  addressToNumber(a, "r6", "the mm's address is its key");
  a.op("r4", "=", 0, "no uid").op("r9", "=", 0, "and no user: for the verifier");
  a.jumpIf("r8", "==", 0, "find", "then only an mm that has a slot counts");
  uidOf(a, "r8", target);
  a.op("r4", "=", "r0", "real uid");
  findUser(a, "r4", "r9", "end", "user");
  a.label("find");
  findSlot(a, "r6", "book", target);
  a.jumpIf("r8", "==", 0, "end", "it is torn down, and nobody's");
  a.store("u32", "r10", Stack.uid, "r4");
  if (shape.isPerUser === true) a.op("r2", "=", "r9");
  unlessCounted(a, target, "r2", "r7", "end", ["r5", "r3"]);
  stateOf(a, target);
  a.load("r4", "u32", "r8", kernel.task.tgid, "process");
  a.op("r1", "=", "r6", "mm").load("r2", "u32", "r10", Stack.uid).op("r3", "=", "r9", "user");
  a.callLocal("enroll", "books all that there is");
  a.jumpIf("r0", "s<", 0, "end", "another CPU does, or there is no room");
  a.op("r1", "=", "r0").op("r2", "=", "r7", "member");
  a.callLocal("record_page", "the first of an mm is always told");
  a.label("end");
  a.op("r0", "=", 0).exit();

  a.label("book");
  a.op("r8", "=", "r1", "offset of the key");
  if (shape.isPerUser === true) {
    slotAt(a, "r2", "r8", "r3");
    a.load("r2", "u32", "r2", Slot.user);
  }
  unlessCounted(a, target, "r2", "r7", "end", ["r5", "r3"]);
  a.store("u32", "r10", Stack.member, "r7");
  a.op("r1", "=", "r7").op("r1", "*=", kernel.counter.bytes);
  a.op("r1", "+=", kernel.mm.rssStat).op("r1", "+=", "r6", "address of the counter");
  a.store("u64", "r10", Stack.counter, "r1");
  castToCounter(a, target);
  a.load("r9", "u64", "r0", kernel.counter.parts, "the CPUs' parts");
  callHelper(a, "get_smp_processor_id", "r0 = this CPU; inlined");
  a.jumpIf("r0", ">=", shape.cpus, "end", "never: for the verifier");
  a.store("u32", "r10", Stack.cpu, "r0");
  a.op("r0", "<<=", 3).mapValue("r1", BooksMap.offsets, 0, "where this CPU's memory is");
  a.op("r1", "+=", "r0").load("r1", "u64", "r1", 0);
  a.op("r1", "+=", "r9", "address of this CPU's part");
  readInt(a, "r7", target);
  seenAt(a, "r8", Stack.cpu, "end");
  a.load("r1", "u32", "r10", Stack.member).op("r1", "&=", 3).op("r1", "<<=", 2);
  a.op("r0", "+=", "r1", "what this CPU has booked of the member");
  a.load("r9", "u32", "r0", 0).signExtend("r9");
  a.store("u32", "r0", 0, "r7", "only this CPU writes it");
  a.op("r1", "=", "r7").op("r1", "-=", "r9").op("r9", "=", "r1", "r9 = pages added in the part");
  slotAt(a, "r6", "r8", "r1");
  a.jumpIf("r7", "!=", 0, "total", "no carry: the part holds the whole change");

  a.load("r1", "u32", "r10", Stack.member).op("r1", "&=", 3).op("r1", "<<=", 3);
  a.op("r6", "+=", "r1", "the member's count of the slot, less its offset");
  for (let attempt = 0; attempt < 4; attempt++) {
    // In this order: when another CPU books a count in between, the exchange fails. With a count that
    // was read before, it would put an old one back.
    a.load("r7", "u64", "r6", Slot.last, "common count booked last");
    a.load("r1", "u64", "r10", Stack.counter);
    castToCounter(a, target);
    a.load("r3", "u64", "r0", kernel.counter.count, "the count as it is now");
    a.jumpIf("r7", "==", "r3", "counted", "nothing was carried, or another CPU has booked it");
    a.op("r0", "=", "r7").op("r5", "=", "r3");
    a.atomic("compareExchange", "u64", "r6", Slot.last, "r5", "book the new one");
    a.jumpIf("r0", "!=", "r7", `again${attempt}`, "another CPU was first");
    a.op("r9", "+=", "r3").op("r9", "-=", "r7", "pages that were carried").jump("counted");
    a.label(`again${attempt}`);
  }
  a.label("counted");
  slotAt(a, "r6", "r8", "r1");
  a.op("r7", "=", 0, "the part");

  a.label("total");
  a.jumpIf("r9", "==", 0, "end", "all was booked before");
  a.load("r1", "u32", "r10", Stack.member).op("r1", "&=", 3).op("r1", "<<=", 3);
  a.op("r0", "=", "r6").op("r0", "+=", "r1", "the member's pages of the slot, less their offset");
  a.load("r4", "u32", "r6", Slot.user);
  a.op("r3", "=", "r4");
  userAt(a, "r5", "r4", "r1");
  a.op("r1", "=", "r9").op("r4", "=", "r9");
  a.load("r2", "u32", "r6", Slot.state, "0 mostly");
  a.jumpIf("r9", "s<", 0, "shrinks");
  a.atomic("fetchAdd", "u64", "r0", Slot.pages, "r4", "the mm has them,");
  a.jumpIf("r2", "!=", 0, "aside");
  a.atomic("fetchAdd", "u64", "r5", User.totalPages, "r1", "then the user");
  a.op("r1", "+=", "r9", "what the user has now").jump("compare");
  a.label("aside");
  setAside(a, "grown");
  a.atomic("fetchAdd", "u64", "r5", User.totalPages, "r1", "set aside before they count");
  a.op("r1", "+=", "r9");
  a.op("r2", "&=", SlotState.building).jumpIf("r2", "!=", 0, "recorded", "not charged");
  a.jump("compare");
  a.label("shrinks");
  a.atomic("fetchAdd", "u64", "r5", User.totalPages, "r1", "the user has them no more,");
  a.op("r1", "+=", "r9");
  a.atomic("fetchAdd", "u64", "r0", Slot.pages, "r4", "then the mm");
  a.jumpIf("r2", "==", 0, "recorded", "who shrinks does not go over");
  setAside(a, "shrunk");
  a.jump("recorded");
  a.label("compare");
  a.load("r2", "u64", "r5", User.limitPages);
  a.jumpIf("r1", "s<=", "r2", "recorded");
  a.op("r1", "=", "r3", "user").op("r2", "=", "r8", "key");
  a.callLocal("enforce", "it may be over its limit");
  a.jump("record");
  a.label("recorded");
  a.jumpIf("r7", "==", 0, "record", "a carry is told: one of some 32 pages");
  a.load("r2", "u64", "r5", User.recordAbovePages);
  a.jumpIf("r1", "s>", "r2", "record", "each page is told");
  a.load("r2", "u32", "r5", User.recordAll);
  a.jumpIf("r2", "!=", 0, "record", "each is, of who asks for memory");
  a.mapValue("r1", BooksMap.control, Control.unrecorded).load("r2", "u32", "r1", 0);
  a.jumpIf("r2", "!=", 0, "end", "known already");
  a.store("u32", "r1", 0, 1, "to be recorded when there is time");
  a.jump("end");
  a.label("record");
  a.op("r1", "=", "r8", "key").load("r2", "u32", "r10", Stack.member);
  a.callLocal("record_page");
  a.jump("end");
  emitEnroll(a, target);
  emitFill(a, target);
  emitEnforce(a, target);
  emitRecordPage(a, target);
  return a;
}

/**
 * Sets the pages in r9 aside by the state in r2 of the slot at r6: those of an mm that a fork builds are
 * inherited, those of one that is being freed are pending. User at r5. Changes r4.
 */
function setAside(a: Assembler, name: string): void {
  a.op("r4", "=", "r2").op("r4", "&=", SlotState.building);
  a.jumpIf("r4", "==", 0, `${name}_pending`);
  a.op("r4", "=", "r9").atomic("fetchAdd", "u64", "r6", Slot.inherited, "r4", "a fork copies it:");
  a.op("r4", "=", "r9").atomic("fetchAdd", "u64", "r5", User.inheritedPages, "r4", "not charged");
  a.jump(`${name}_aside`);
  a.label(`${name}_pending`);
  a.op("r4", "=", "r9").atomic("fetchAdd", "u64", "r6", Slot.credited, "r4", "it is being freed:");
  a.op("r4", "=", "r9").atomic("fetchAdd", "u64", "r5", User.pendingPages, "r4", "so are these");
  a.label(`${name}_aside`);
}

/**
 * r5 = state of a new slot: whether the mm at r6, whose owner is at r8, is being built by who runs this.
 * Then the owner is this task, or its child, which is a copy of it up to its number (kernel/fork.c).
 * Changes r0, r1 and r5.
 */
function stateOf(a: Assembler, { kernel }: Target): void {
  callHelper(a, "get_current_task_btf", "r0 = who runs this");
  a.op("r5", "=", 0, "in use");
  a.load("r1", "u64", "r0", kernel.task.mm);
  addressToNumber(a, "r1", "its mm");
  a.jumpIf("r1", "==", "r6", "state_known", "it runs on it");
  a.load("r1", "u32", "r0", kernel.task.pid);
  a.load("r0", "u32", "r8", kernel.task.pid);
  a.jumpIf32("r1", "!=", "r0", "state_known", "somebody else's");
  a.op("r5", "=", SlotState.building);
  a.label("state_known");
}
