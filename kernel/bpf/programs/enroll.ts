/**
 * Functions of programs that give an address space a slot, and take it away again.
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";
import type { Register } from "../asm/encoding.ts";
import {
  BooksMap,
  Control,
  countedMembers,
  KEY_BUSY,
  KEY_BYTES,
  Slot,
  SlotState,
  User,
  WAYS,
} from "./books_layout.ts";
import {
  bucketOf,
  castToCounter,
  count,
  readInt,
  seenAt,
  slotAt,
  type Target,
  userAt,
} from "./parts.ts";

/** Offsets from r10 in both functions. */
const Stack = {
  cpu: -4,
  tgid: -8,
  state: -12,
  bucket: -24,
  /** Address of each member's parts, by member. */
  parts: (member: number): number => -64 + 8 * member,
  /** s32 read for each member. */
  part: (member: number): number => -80 + 4 * member,
  /** Sum of each member's parts. */
  sum: (member: number): number => -112 + 8 * member,
} as const;

/**
 * `enroll`: takes a free slot for an mm and books all that its counters say.
 *
 * r1 mm, r2 uid, r3 index of the user, r4 process, r5 {@link SlotState}. Result: offset of the slot's key, or -1: another CPU
 * is doing it, or there is no room.
 */
export function emitEnroll(a: Assembler, target: Target): void {
  const { shape } = target;
  a.label("enroll");
  a.op("r6", "=", "r1", "mm").op("r7", "=", "r2", "uid").op("r8", "=", "r3", "user");
  a.store("u32", "r10", Stack.tgid, "r4", "process").store("u32", "r10", Stack.state, "r5");
  bucketOf(a, "r6", target);
  a.store("u64", "r10", Stack.bucket, "r1", "offset of the bucket");
  a.mapValue("r5", BooksMap.keys, 0, "the keys").op("r5", "+=", "r1", "the bucket");
  a.op("r4", "=", "r6").op("r4", "|=", KEY_BUSY, "key of the mm while its slot is filled");
  for (let way = 0; way < WAYS; way++) {
    a.load("r3", "u64", "r5", way * KEY_BYTES, "who is there");
    a.op("r3", "|=", KEY_BUSY);
    a.jumpIf("r3", "==", "r4", "enroll_refuse", "it has a slot, or gets one at this moment");
  }
  for (let way = 0; way < WAYS; way++) {
    a.op("r9", "=", way * KEY_BYTES);
    a.op("r0", "=", 0, "expected: free");
    a.op("r3", "=", "r4");
    a.atomic("compareExchange", "u64", "r5", way * KEY_BYTES, "r3", "take it");
    a.jumpIf("r0", "==", 0, "enroll_taken");
  }
  count(a, Control.full, "no way is free: told to this process");
  userAt(a, "r1", "r8", "r2");
  a.op("r2", "=", 1).atomic("fetchAdd", "u64", "r1", User.full, "r2", "and to that user's row");
  a.label("enroll_refuse");
  a.op("r0", "=", -1).exit();

  a.label("enroll_taken");
  a.op("r0", "=", 0, "ways that are this mm's: two CPUs may take one each");
  for (let way = 0; way < WAYS; way++) {
    const next = `enroll_way${way}`;
    a.load("r3", "u64", "r5", way * KEY_BYTES).op("r3", "|=", KEY_BUSY);
    a.jumpIf("r3", "!=", "r4", next).op("r0", "+=", 1).label(next);
  }
  a.load("r1", "u64", "r10", Stack.bucket);
  a.op("r9", "+=", "r1", "offset of the key");
  // The verifier has lost the range over the stack.
  a.op("r9", "&=", shape.slots * KEY_BYTES - KEY_BYTES, "at most the last key");
  a.jumpIf("r0", "==", 1, "enroll_own", "nobody else takes one");
  a.mapValue("r5", BooksMap.keys, 0).op("r5", "+=", "r9", "the key");
  a.op("r3", "=", 0).atomic(
    "exchange",
    "u64",
    "r5",
    0,
    "r3",
    "both give back: the next event tries",
  );
  a.jump("enroll_refuse");

  a.label("enroll_own");
  slotAt(a, "r5", "r9", "r1");
  a.store("u32", "r5", Slot.uid, "r7", "fill the slot");
  a.store("u32", "r5", Slot.user, "r8");
  a.load("r1", "u32", "r10", Stack.tgid);
  a.store("u32", "r5", Slot.tgid, "r1");
  a.load("r1", "u32", "r10", Stack.state).store("u32", "r5", Slot.state, "r1");
  a.store("u64", "r5", Slot.inherited, 0);
  a.store("u64", "r5", Slot.credited, 0);
  a.store("u64", "r5", Slot.recorded, 0).store("u64", "r5", Slot.recorded + 8, 0);
  a.load("r1", "u32", "r5", Slot.generation).op("r1", "+=", 1);
  a.store("u32", "r5", Slot.generation, "r1", "another address space from here on");
  for (let member = 0; member < 4; member++) {
    a.store("u64", "r5", Slot.last + 8 * member, 0).store("u64", "r5", Slot.pages + 8 * member, 0);
  }
  a.op("r1", "=", "r9").op("r2", "=", "r6");
  a.callLocal("fill", "r0 = all its pages");
  a.op("r3", "=", "r0");
  slotAt(a, "r5", "r9", "r1");
  userAt(a, "r1", "r8", "r2");
  a.load("r2", "u32", "r10", Stack.state).op("r2", "&=", SlotState.building);
  a.jumpIf("r2", "==", 0, "enroll_charge");
  a.store("u64", "r5", Slot.inherited, "r3", "what there is, is built");
  a.op("r2", "=", "r3").atomic("fetchAdd", "u64", "r1", User.inheritedPages, "r2");
  a.label("enroll_charge");
  a.atomic("fetchAdd", "u64", "r1", User.totalPages, "r3", "the user has it");
  a.op("r3", "=", 1).atomic("fetchAdd", "u64", "r1", User.slots, "r3");
  count(a, Control.enrolled, "slots given so far");
  a.mapValue("r5", BooksMap.keys, 0).op("r5", "+=", "r9", "the key");
  a.atomic("exchange", "u64", "r5", 0, "r6", "from here on it is found");
  a.op("r0", "=", "r9").exit("offset of the key");
}

/**
 * `fill`: books what the counters of an mm say, all parts of all CPUs, whatever was booked before. r1
 * offset of the slot's key, r2 mm. Result: pages that it has more than were booked.
 */
export function emitFill(a: Assembler, target: Target): void {
  const { shape, kernel } = target;
  const members = countedMembers(shape);
  a.label("fill");
  a.op("r9", "=", "r1").op("r9", "&=", shape.slots * KEY_BYTES - KEY_BYTES, "at most the last key");
  a.op("r6", "=", "r2");
  slotAt(a, "r5", "r9", "r1");
  sumOf(a, "r8", "r5", members);
  for (const member of members) {
    a.op("r1", "=", "r6").op("r1", "+=", kernel.mm.rssStat + member * kernel.counter.bytes);
    castToCounter(a, target);
    a.load("r3", "u64", "r0", kernel.counter.count, `member ${member}: common count`);
    a.load("r4", "u64", "r0", kernel.counter.parts, "where the CPUs' parts are");
    a.store("u64", "r10", Stack.parts(member), "r4");
    slotAt(a, "r5", "r9", "r1");
    a.store("u64", "r5", Slot.last + 8 * member, "r3");
    a.store("u64", "r10", Stack.sum(member), "r3");
  }
  a.store("u32", "r10", Stack.cpu, 0);
  a.op("r7", "=", 0, "CPU");
  a.label("fill_cpu");
  for (const member of members) {
    partAddress(a, "r7", Stack.parts(member), shape.cpus, "fill_summed");
    readInt(a, "r3", target);
    a.store("u32", "r10", Stack.part(member), "r3");
    a.load("r1", "u64", "r10", Stack.sum(member)).op("r1", "+=", "r3");
    a.store("u64", "r10", Stack.sum(member), "r1");
  }
  seenAt(a, "r9", Stack.cpu, "fill_summed");
  for (let member = 0; member < 4; member++) {
    if (members.includes(member)) a.load("r3", "u32", "r10", Stack.part(member));
    else a.op("r3", "=", 0);
    a.store("u32", "r0", 4 * member, "r3", `member ${member}: booked so far`);
  }
  a.op("r7", "+=", 1, "the next CPU");
  a.store("u32", "r10", Stack.cpu, "r7");
  a.jumpIf("r7", "<", shape.cpus, "fill_cpu");
  a.label("fill_summed");
  slotAt(a, "r5", "r9", "r1");
  if (shape.isPerUser === true) {
    a.load("r3", "u32", "r5", Slot.user);
    userAt(a, "r2", "r3", "r1");
    a.load("r2", "u32", "r2", User.countMask, "what counts for the user");
  }
  a.op("r0", "=", 0).op("r0", "-=", "r8", "less what was booked");
  for (const member of members) {
    a.load("r1", "u64", "r10", Stack.sum(member));
    if (shape.isPerUser === true) {
      a.op("r3", "=", "r2");
      keepCounted(a, "r1", "r3", member);
    }
    a.store("u64", "r5", Slot.pages + 8 * member, "r1").op("r0", "+=", "r1");
  }
  a.exit("pages more");
}

/**
 * `pages` = 0 when a member is not in the mask. Without a branch, because in a loop over all CPUs each doubles
 * what the verifier looks at. Changes mask.
 * @param mask Register with bits of members.
 */
export function keepCounted(a: Assembler, pages: Register, mask: Register, member: number): void {
  a.op(mask, ">>=", member).op(mask, "&=", 1).negate(mask, "all bits, or none");
  a.op(pages, "&=", mask, `0 where member ${member} does not count`);
}

/**
 * r1 = address of a CPU's part.
 * @param cpu Register with the number of the CPU.
 * @param partsAt Offset from r10 of the address of all parts.
 * @param none Label to jump to when there is no such CPU.
 */
export function partAddress(
  a: Assembler,
  cpu: "r7" | "r8",
  partsAt: number,
  cpus: number,
  none: string,
): void {
  a.op("r2", "=", cpu);
  a.jumpIf("r2", ">=", cpus, none, "never: for the verifier");
  a.op("r2", "<<=", 3).mapValue("r3", BooksMap.offsets, 0, "where each CPU's memory is");
  a.op("r3", "+=", "r2").load("r3", "u64", "r3", 0);
  a.load("r1", "u64", "r10", partsAt).op("r1", "+=", "r3", "address of its part");
}

/** `destination` = counted pages of the slot at `slot`. Changes r1. */
export function sumOf(
  a: Assembler,
  destination: Register,
  slot: Register,
  members: readonly number[],
): void {
  a.op(destination, "=", 0, "sum of the members");
  for (const member of members) {
    a.load("r1", "u64", slot, Slot.pages + 8 * member).op(destination, "+=", "r1");
  }
}

/**
 * `leave`: takes back what is booked of a slot, and frees it. r1 offset of its key, r2 mm. Result 0.
 */
export function emitLeave(a: Assembler, target: Target): void {
  const { shape } = target;
  const members = countedMembers(shape);
  a.label("leave");
  a.op("r9", "=", "r1").op("r6", "=", "r2");
  a.op("r9", "&=", shape.slots * KEY_BYTES - KEY_BYTES, "at most the last key");
  a.mapValue("r5", BooksMap.keys, 0).op("r5", "+=", "r9", "the key");
  a.op("r0", "=", "r6", "expected: this mm");
  a.op("r3", "=", "r6").op("r3", "|=", KEY_BUSY);
  a.atomic("compareExchange", "u64", "r5", 0, "r3", "nobody finds it from here on");
  a.jumpIf("r0", "!=", "r6", "leave_end", "somebody else has done it");
  slotAt(a, "r5", "r9", "r1");
  a.load("r8", "u32", "r5", Slot.user, "whose it is");
  sumOf(a, "r7", "r5", members);
  userAt(a, "r1", "r8", "r2");
  a.op("r3", "=", "r7").negate("r3");
  a.atomic("fetchAdd", "u64", "r1", User.totalPages, "r3", "the user has it no more");
  a.op("r3", "=", 0);
  a.atomic("exchange", "u64", "r5", Slot.credited, "r3", "enforce may credit at this moment");
  a.negate("r3");
  a.atomic("fetchAdd", "u64", "r1", User.pendingPages, "r3", "and it is not pending any more");
  a.load("r3", "u64", "r5", Slot.inherited, "0 but when a fork or exec has failed").negate("r3");
  a.atomic("fetchAdd", "u64", "r1", User.inheritedPages, "r3");
  a.op("r3", "=", -1).atomic("fetchAdd", "u64", "r1", User.slots, "r3");
  a.jumpIf("r7", "==", 0, "leave_zero", "so it is when an mm has ended");
  a.mapValue("r1", BooksMap.control, Control.leftSum).store("u64", "r1", 0, "r7");
  count(a, Control.leftNonZero, "told to this process");
  a.label("leave_zero");
  count(a, Control.left, "slots given back so far");
  a.mapValue("r5", BooksMap.keys, 0).op("r5", "+=", "r9", "the key");
  a.op("r3", "=", 0).atomic("exchange", "u64", "r5", 0, "r3", "the slot is free");
  a.label("leave_end");
  a.op("r0", "=", 0).exit();
}
