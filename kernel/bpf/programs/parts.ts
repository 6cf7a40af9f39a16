/**
 * Parts that the programs are made of. Each says which registers it reads, and which it changes; those
 * that call lose r0 to r5.
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";
import type { Register } from "../asm/encoding.ts";
import {
  BooksMap,
  type BooksShape,
  CHAIN_MAX,
  Control,
  HEAD_BITS,
  HEAD_BYTES,
  HEAD_SPREAD,
  KEY_BYTES,
  SEEN_BYTES,
  Slot,
  User,
  USERS_MAX,
  WAYS,
} from "./books_layout.ts";
import type { KernelLayout } from "../types/kernel_layout.ts";
import { callHelper } from "./helpers.ts";

/** What programs are assembled for. */
export interface Target {
  readonly kernel: KernelLayout;
  readonly shape: BooksShape;
  /** Size of the ring buffer. */
  readonly recordBytes: number;
}

/** 2^64 divided by the golden ratio: spreads addresses, whose lower bits are alike. */
const SPREAD = 0x9e3779b97f4a7c15n;
/** The bits of a product that depend on all bits of the address. */
const SPREAD_SHIFT = 40;
const WAYS_SHIFT = Math.log2(WAYS * KEY_BYTES);

/**
 * Makes an address of the kernel a number: the verifier allows no arithmetic on what it takes for a
 * pointer, but takes a negated pointer for a number.
 */
export function addressToNumber(a: Assembler, register: Register, comment: string): void {
  a.negate(register, comment).negate(register, "and back");
}

/**
 * r0 = r1, seen as a structure of the kernel that may be read from. Inlined by the verifier.
 * @param type BTF id.
 */
function castTo(a: Assembler, type: number, comment: string): void {
  a.number("r2", BigInt(type), comment);
  a.callKernel("bpf_rdonly_cast", "r0 = r1, to be read from");
}

/** r0 = the percpu_counter whose address is in r1. */
export function castToCounter(a: Assembler, { kernel }: Target): void {
  castTo(a, kernel.ids.counter, "struct percpu_counter");
}

/** `destination` = the s32 whose address is in r1. Changes r0 to r5. */
export function readInt(a: Assembler, destination: Register, { kernel }: Target): void {
  castTo(a, kernel.ids.int, "a structure that begins with an int");
  a.load(destination, "u32", "r0", 0, "the int");
  a.signExtend(destination, "which is signed");
}

/**
 * r1 = offset of the first key of the bucket for the mm in `mm`. Changes r2.
 */
export function bucketOf(a: Assembler, mm: Register, { shape }: Target): void {
  a.op("r1", "=", mm, "where the mm may be:")
    .number("r2", SPREAD, "2^64 / golden ratio")
    .op("r1", "*=", "r2")
    .op("r1", ">>=", SPREAD_SHIFT, "bits that depend on all bits of the address")
    .op("r1", "&=", shape.slots / WAYS - 1, "number of the bucket")
    .op("r1", "<<=", WAYS_SHIFT, "offset of its first key");
}

/**
 * Finds the slot of an mm. r1 = offset of its key. Changes r2 and r3.
 * @param mm Register with the address.
 * @param found Label to jump to; what follows is run when there is none.
 */
export function findSlot(a: Assembler, mm: Register, found: string, target: Target): void {
  bucketOf(a, mm, target);
  a.mapValue("r2", BooksMap.keys, 0, "the keys").op("r2", "+=", "r1", "the bucket");
  for (let way = 0; way < WAYS; way++) {
    if (way > 0) a.op("r1", "+=", KEY_BYTES, "the next way");
    a.load("r3", "u64", "r2", way * KEY_BYTES, "its key");
    a.jumpIf("r3", "==", mm, found, "it is this mm's");
  }
}

/**
 * `destination` = address of a slot. Changes nothing else.
 * @param key Register with the offset of its key, at most that of the last.
 */
export function slotAt(
  a: Assembler,
  destination: Register,
  key: Register,
  scratch: Register,
): void {
  a.op(scratch, "=", key).op(scratch, "<<=", Slot.shiftFromKey, "offset of the slot");
  a.mapValue(destination, BooksMap.slots, 0, "the slots").op(
    destination,
    "+=",
    scratch,
    "the slot",
  );
}

/**
 * `destination` = address of a user. `index` is 0 to {@link USERS_MAX} - 1 afterwards. Changes scratch.
 */
export function userAt(
  a: Assembler,
  destination: Register,
  index: Register,
  scratch: Register,
): void {
  a.op(index, "&=", USERS_MAX - 1, "so that the verifier knows its range");
  a.op(scratch, "=", index).op(scratch, "<<=", User.shift, "offset of the user");
  a.mapValue(destination, BooksMap.users, 0, "the users").op(
    destination,
    "+=",
    scratch,
    "the user",
  );
}

/**
 * `user` = index of the user that is charged for the real uid in `uid`. Changes r0 to r3, r5.
 * @param none Label to jump to when it is not near.
 */
export function findUser(
  a: Assembler,
  uid: Register,
  user: Register,
  none: string,
  prefix: string,
): void {
  const found = `${prefix}_found`;
  a.op("r3", "=", uid).op32("r3", "*=", HEAD_SPREAD, "uids that lie far apart spread too");
  a.op32("r3", ">>=", 32 - HEAD_BITS, "number of the list");
  a.op("r3", "<<=", Math.log2(HEAD_BYTES), "offset of its head");
  a.mapValue("r1", BooksMap.control, Control.heads, "heads of the lists").op("r1", "+=", "r3");
  a.load(user, "u16", "r1", 0, "index of its first user");
  a.jumpIf(user, "==", 0, none, "there is none: most events end here");
  for (let step = 0; step < CHAIN_MAX; step++) {
    userAt(a, "r1", user, "r2");
    a.load("r3", "u32", "r1", User.uid, "its uid");
    a.jumpIf32("r3", "==", uid, found, "it is the one");
    a.load(user, "u32", "r1", User.next, "the next in the list");
    a.jumpIf(user, "==", 0, none, "there is none");
  }
  a.jump(none, "the list is longer than allowed");
  a.label(found);
  a.load(user, "u32", "r1", User.account, "whom its pages are charged to");
}

/**
 * Leaves for `none` when a member does not count for a user. Adds nothing where the same count for all.
 * Changes user, scratch and other.
 * @param user Register with the index of the user.
 */
export function unlessCounted(
  a: Assembler,
  { shape }: Target,
  user: Register,
  member: Register,
  none: string,
  [scratch, other]: readonly [Register, Register],
): void {
  if (shape.isPerUser !== true) return;
  userAt(a, scratch, user, other);
  a.load(scratch, "u32", scratch, User.countMask, "what counts for the user");
  a.op(scratch, ">>=", member).op(scratch, "&=", 1);
  a.jumpIf(scratch, "==", 0, none, "this does not");
}

/**
 * r0 = address of what a CPU has booked of a slot; 0 when there is no such CPU. Changes r0 to r5.
 * @param key Register, kept over calls, with the offset of the slot's key.
 * @param cpuAt Offset from r10 of a u32 with the number of the CPU.
 */
export function seenAt(a: Assembler, key: Register, cpuAt: number, none: string): void {
  a.map("r1", BooksMap.seen, "what the CPUs have booked");
  a.op("r2", "=", "r10").op("r2", "+=", cpuAt, "number of the CPU");
  callHelper(a, "map_lookup_elem", "r0 = that CPU's; inlined");
  a.jumpIf("r0", "==", 0, none, "no such CPU");
  a.op("r1", "=", key).op("r1", "<<=", Math.log2(SEEN_BYTES / KEY_BYTES), "offset of the slot's");
  a.op("r0", "+=", "r1", "what it has booked of the slot");
}

/** Adds to a counter of the control map. Changes r1 and r2. */
export function count(a: Assembler, offsetBytes: number, comment: string): void {
  a.mapValue("r1", BooksMap.control, offsetBytes, comment);
  a.op("r2", "=", 1).atomic("fetchAdd", "u64", "r1", 0, "r2");
}

/**
 * r0 = the real uid of the task at `task`, a pointer that may be read from. Changes r0 only.
 */
export function uidOf(a: Assembler, task: Register, { kernel }: Target): void {
  a.load("r0", "u64", task, kernel.task.cred, "its credentials");
  a.load("r0", "u32", "r0", kernel.credUid, "real uid");
}
