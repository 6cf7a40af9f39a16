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
 * At every moment a user's total is at most what is booked of its mms: what grows is booked before it
 * counts, what shrinks is booked after. So `enforce`, which has what is booked of an mm corrected by its
 * full sum, never takes a user for larger than it is, wherever the other CPUs are held up.
 *
 * @module
 */
import { Assembler } from "../asm/assembler.ts";
import { BooksMap, BpfRecordKind, Slot, User } from "./books_layout.ts";
import { emitEnforce } from "./enforce.ts";
import { emitEnroll } from "./enroll.ts";
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
  userAt,
} from "./parts.ts";
import { emitRecord } from "./record.ts";

/** Offsets from r10. */
const Stack = {
  cpu: -4,
  member: -8,
  /** Address of the percpu_counter. */
  counter: -16,
  /** Address of what this CPU has booked of the member. */
  seen: -24,
  record: -96,
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
  a.op("r1", "=", "r6", "mm").op("r2", "=", "r4", "uid").op("r3", "=", "r9", "user");
  a.load("r4", "u32", "r8", kernel.task.tgid, "process");
  a.callLocal("enroll", "books all that there is");
  a.label("end");
  a.op("r0", "=", 0).exit();

  a.label("book");
  a.op("r8", "=", "r1", "offset of the key");
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
  a.op("r1", "=", "r7").op("r1", "-=", "r9").op("r9", "=", "r1", "r9 = pages added in the part");
  slotAt(a, "r6", "r8", "r1");
  a.jumpIf("r7", "==", 0, "carry", "else the part holds the whole change");

  a.label("total");
  a.jumpIf("r9", "s<=", 0, "shrinks");
  a.store("u32", "r0", 0, "r7", "what grows is booked before it counts; only this CPU writes it");
  a.label("shrinks");
  a.load("r2", "u32", "r6", Slot.user);
  userAt(a, "r5", "r2", "r1");
  a.op("r1", "=", "r9");
  a.atomic("fetchAdd", "u64", "r5", User.totalPages, "r1", "r1 = before");
  a.op("r1", "+=", "r9", "what the user has now");
  a.store("u32", "r0", 0, "r7", "what shrinks is booked after it counts");
  a.load("r2", "u32", "r6", Slot.dying);
  a.jumpIf("r2", "==", 0, "compare", "mostly");
  pending(a, "r9");
  a.label("compare");
  a.jumpIf("r9", "s<=", 0, "end", "who shrinks does not go over");
  a.load("r2", "u64", "r5", User.limitPages);
  a.jumpIf("r1", "s>", "r2", "over");
  a.load("r2", "u64", "r5", User.recordAbovePages);
  a.jumpIf("r1", "s<=", "r2", "end", "not near enough to be recorded");
  a.op("r9", "=", "r1");
  emitRecord(a, BpfRecordKind.page, {
    at: Stack.record,
    userPointer: "r5",
    slotPointer: "r6",
    totalPages: "r9",
    memberAt: Stack.member,
    result: 0,
  });
  a.jump("end");

  a.label("over");
  a.load("r1", "u32", "r6", Slot.user).op("r2", "=", "r8", "key");
  a.callLocal("enforce", "it may be over its limit");
  a.jump("end");
  a.label("carry");
  bookCount(a, target);
  a.jump("total");
  emitEnroll(a, target);
  emitEnforce(a, target);
  return a;
}

/**
 * Books what the common count of the member has changed by. In: r0 what this CPU has booked, r6 slot,
 * r8 offset of its key, r9 pages added in the part, which is 0. Out: the same, with r7 = 0 and the
 * change in r9 where it does not count yet.
 */
function bookCount(a: Assembler, target: Target): void {
  a.store("u64", "r10", Stack.seen, "r0");
  a.load("r1", "u32", "r10", Stack.member).op("r1", "&=", 3).op("r1", "<<=", 3);
  a.op("r6", "+=", "r1", "the member's count of the slot, less its offset");
  for (let attempt = 0; attempt < 4; attempt++) {
    const [again, shrinks] = [`again${attempt}`, `count_shrinks${attempt}`];
    // In this order: when another CPU books a count in between, the exchange fails. With a count that
    // was read before, it would put an old one back.
    a.load("r7", "u64", "r6", Slot.last, "common count booked last");
    a.load("r1", "u64", "r10", Stack.counter);
    castToCounter(a, target);
    a.load("r3", "u64", "r0", target.kernel.counter.count, "the count as it is now").op(
      "r4",
      "=",
      "r3",
    );
    a.op("r3", "-=", "r7", "pages that were carried");
    a.jumpIf("r3", "==", 0, "counted", "none, or another CPU has booked them");
    a.op("r0", "=", "r7");
    a.jumpIf("r3", "s<", 0, shrinks);
    a.atomic("compareExchange", "u64", "r6", Slot.last, "r4", "book them: they count below");
    a.jumpIf("r0", "!=", "r7", again, "another CPU was first");
    a.op("r9", "+=", "r3").jump("counted");

    a.label(shrinks);
    slotAt(a, "r1", "r8", "r2");
    a.load("r1", "u32", "r1", Slot.user);
    userAt(a, "r5", "r1", "r2");
    a.op("r1", "=", "r3").atomic("fetchAdd", "u64", "r5", User.totalPages, "r1", "they count,");
    a.atomic("compareExchange", "u64", "r6", Slot.last, "r4", "and then are booked");
    a.jumpIf("r0", "==", "r7", "count_shrunk");
    a.op("r1", "=", "r3").negate("r1");
    a.atomic(
      "fetchAdd",
      "u64",
      "r5",
      User.totalPages,
      "r1",
      "another CPU was first: it has counted",
    );
    a.label(again);
  }
  a.jump("counted", "the next event of this CPU books it");
  a.label("count_shrunk");
  slotAt(a, "r6", "r8", "r1");
  a.load("r1", "u32", "r6", Slot.dying);
  a.jumpIf("r1", "==", 0, "counted");
  pending(a, "r3");
  a.label("counted");
  slotAt(a, "r6", "r8", "r1");
  a.load("r0", "u64", "r10", Stack.seen).op("r7", "=", 0);
}

/** What a dying mm has changed by changes what is pending: slot at r6, user at r5. Changes r2. */
function pending(a: Assembler, pages: "r3" | "r9"): void {
  a.op("r2", "=", pages).atomic("fetchAdd", "u64", "r6", Slot.credited, "r2", "it is being freed:");
  a.op("r2", "=", pages).atomic("fetchAdd", "u64", "r5", User.pendingPages, "r2", "so are these");
}
