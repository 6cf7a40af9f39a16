/**
 * Function of the program at rss_stat: what is done about a user that is over its limit.
 *
 * @module
 */
import type { Assembler } from "../asm/assembler.ts";
import {
  BooksMap,
  BpfRecordKind,
  countedMembers,
  KEY_BUSY,
  KEY_BYTES,
  Mode,
  Slot,
  SlotState,
  TELL_EVERY_NS,
  User,
} from "./books_layout.ts";
import { keepCounted, partAddress, sumOf } from "./enroll.ts";
import { callHelper } from "./helpers.ts";
import {
  addressToNumber,
  castToCounter,
  readInt,
  slotAt,
  type Target,
  uidOf,
  userAt,
} from "./parts.ts";
import { emitRecord } from "./record.ts";

/** signal(7) */
const SIGKILL = 9;
/** Of bpf_send_signal_task(): the whole process. enum pid_type, linux/pid_types.h */
const PIDTYPE_TGID = 1;
/** A process with it asked never to be chosen; neither does toom. proc_pid_oom_score_adj(5) */
const OOM_SCORE_ADJ_NEVER = -1000;
/** What a program says of a refusal that is its own. */
export const Refused = {
  /** No candidate is armed, or the armed one is not what it was. */
  noCandidate: -1001,
  /** It is protected, or another user's. */
  protected: -1002,
  /** It is another process, and this kernel cannot signal it from a program. */
  notCurrent: -1003,
} as const;

/** Offsets from r10. */
const Stack = {
  /** s64: pages without what is pending, as it was first seen. */
  effective: -16,
  /** s64: what is booked of the mm, and what its counters say. */
  booked: -24,
  truth: -32,
  result: -48,
  beganNs: -56,
  keyOfEvent: -72,
  parts: (member: number): number => -112 + 8 * member,
  count: (member: number): number => -144 + 8 * member,
  record: -208,
} as const;

/**
 * `enforce`: ends the candidate of a user, or tells this process, when the user is over its limit
 * without what is pending (I2). r1 index of the user, r2 offset of the key of the mm that has grown.
 */
export function emitEnforce(a: Assembler, target: Target): void {
  const { shape } = target;
  a.label("enforce");
  a.store("u64", "r10", Stack.keyOfEvent, "r2");
  userAt(a, "r6", "r1", "r3");
  a.load("r1", "u32", "r6", User.mode);
  a.jumpIf("r1", "==", Mode.book, "enforce_end", "only the books are kept");
  effectivePages(a, "r7");
  a.load("r1", "u64", "r6", User.limitPages);
  a.jumpIf("r7", "s<=", "r1", "enforce_end", "what is pending suffices");
  a.op("r0", "=", 0).op("r1", "=", 1);
  a.atomic("compareExchange", "u64", "r6", User.busy, "r1", "one CPU decides at a time");
  a.jumpIf("r0", "!=", 0, "enforce_end");
  effectivePages(a, "r7");
  a.load("r1", "u64", "r6", User.limitPages);
  a.jumpIf("r7", "s<=", "r1", "enforce_spare", "another CPU has decided meanwhile");
  a.store("u64", "r10", Stack.effective, "r7");
  confirm(a, target);
  a.store("u64", "r10", Stack.effective, "r7", "what is told");
  callHelper(a, "ktime_get_ns", "r0 = begin of the signal");
  a.store("u64", "r10", Stack.beganNs, "r0");

  // Who goes.
  a.op("r1", "=", Refused.noCandidate).store("u64", "r10", Stack.result, "r1");
  a.load("r2", "u64", "r10", Stack.keyOfEvent, "told of, unless there is a candidate");
  a.op("r2", "&=", shape.slots * KEY_BYTES - KEY_BYTES);
  slotAt(a, "r8", "r2", "r3");
  a.load("r1", "u32", "r6", User.mode);
  a.jumpIf("r1", "!=", Mode.kill, "enforce_tell", "this process decides");
  a.load("r9", "u64", "r6", User.candidate);
  a.jumpIf("r9", "==", 0, "enforce_tell", "nobody is armed");
  a.op("r1", "=", "r9").op("r1", ">>=", 32, "index of the candidate's slot");
  a.op("r1", "&=", shape.slots - 1).op("r1", "<<=", 3, "offset of its key");
  slotAt(a, "r7", "r1", "r2");
  a.mapValue("r2", BooksMap.keys, 0).op("r2", "+=", "r1").load("r2", "u64", "r2", 0, "its mm");
  a.jumpIf("r2", "<", 2, "enforce_tell", "it is gone");
  a.load("r3", "u32", "r7", Slot.tgid);
  a.jumpIf32("r3", "!=", "r9", "enforce_tell", "the slot is another process's now");
  a.load("r3", "u32", "r7", Slot.user);
  a.op("r4", "=", "r6").mapValue("r5", BooksMap.users, 0).op("r4", "-=", "r5");
  a.op("r4", ">>=", User.shift, "index of this user");
  a.jumpIf32("r3", "!=", "r4", "enforce_tell", "or another user's");
  a.load("r3", "u32", "r7", Slot.state).op("r3", "&=", SlotState.dying);
  a.jumpIf("r3", "!=", 0, "enforce_tell", "it is dying, and more is needed");
  a.op("r8", "=", "r7", "r8 = slot of the victim").op("r9", "=", "r2", "r9 = its mm");
  sendSignal(a, target);

  // What came of it.
  a.load("r1", "u64", "r10", Stack.result);
  a.jumpIf("r1", "!=", 0, "enforce_refused");
  markDying(a, target);
  a.op("r1", "=", 1).atomic("fetchAdd", "u64", "r6", User.kills, "r1");
  callHelper(a, "ktime_get_ns", "r0 = end of the signal");
  a.load("r1", "u64", "r10", Stack.beganNs).op("r0", "-=", "r1");
  a.store("u64", "r10", Stack.result, "r0", "how long it took");
  a.load("r9", "u64", "r10", Stack.effective);
  emitRecord(a, BpfRecordKind.killed, {
    at: Stack.record,
    userPointer: "r6",
    slotPointer: "r8",
    totalPages: "r9",
    pages: "r7",
    result: Stack.result,
  }, target);
  a.jump("enforce_unlock");

  a.label("enforce_refused");
  a.store("u64", "r6", User.lastError, "r1");
  a.op("r1", "=", 1).atomic("fetchAdd", "u64", "r6", User.refusals, "r1");
  a.label("enforce_tell");
  callHelper(a, "ktime_get_ns", "r0 = now");
  a.load("r1", "u64", "r6", User.toldNs).op("r1", "+=", TELL_EVERY_NS, "not before");
  a.jumpIf("r0", "<", "r1", "enforce_unlock", "it was told a moment ago");
  a.store("u64", "r6", User.toldNs, "r0");
  a.load("r9", "u64", "r10", Stack.effective);
  emitRecord(a, BpfRecordKind.over, {
    at: Stack.record,
    userPointer: "r6",
    slotPointer: "r8",
    totalPages: "r9",
    result: Stack.result,
  }, target);
  a.jump("enforce_unlock");
  a.label("enforce_spare");
  a.op("r1", "=", 1).atomic("fetchAdd", "u64", "r6", User.unconfirmed, "r1");
  a.label("enforce_unlock");
  a.op("r1", "=", 0).atomic("exchange", "u64", "r6", User.busy, "r1");
  a.label("enforce_end");
  a.op("r0", "=", 0).exit();
}

/** `destination` = pages of the user at r6, without what is pending. Changes r1. */
function effectivePages(a: Assembler, destination: "r7"): void {
  a.load(destination, "u64", "r6", User.totalPages, "what the user has");
  a.load("r1", "u64", "r6", User.pendingPages).op(destination, "-=", "r1", "less what goes");
  a.load("r1", "u64", "r6", User.inheritedPages);
  a.op(destination, "-=", "r1", "less what forks have copied a moment ago");
}

/**
 * Sums the mm of the event over all CPUs, once: another thread may be between a carry and its event,
 * and then its part is booked twice. A sum while others carry may be too low by what they carry, not too
 * high; then nobody dies of this page, and the next is looked at in the same way. r7 = pages of the user.
 */
function confirm(a: Assembler, target: Target): void {
  const { kernel, shape } = target;
  const members = countedMembers(shape);
  a.load("r8", "u64", "r10", Stack.keyOfEvent).op("r8", "&=", shape.slots * KEY_BYTES - KEY_BYTES);
  slotAt(a, "r5", "r8", "r1");
  sumOf(a, "r2", "r5", members);
  a.store("u64", "r10", Stack.booked, "r2", "what is booked");
  a.mapValue("r1", BooksMap.keys, 0).op("r1", "+=", "r8").load("r9", "u64", "r1", 0, "the mm");
  a.store("u64", "r10", Stack.truth, 0);
  for (const member of members) {
    counterOf(a, member, target);
    a.load("r1", "u64", "r0", kernel.counter.count, `member ${member}`);
    a.load("r2", "u64", "r0", kernel.counter.parts);
    a.store("u64", "r10", Stack.parts(member), "r2");
    a.store("u64", "r10", Stack.count(member), "r1");
  }
  a.op("r7", "=", 0, "CPU");
  a.label("confirm_cpu");
  for (const member of members) {
    partAddress(a, "r7", Stack.parts(member), shape.cpus, "confirm_summed");
    readInt(a, "r3", target);
    zeroUnlessCounted(a, "r3", member, target);
    a.load("r1", "u64", "r10", Stack.truth).op("r1", "+=", "r3");
    a.store("u64", "r10", Stack.truth, "r1");
  }
  a.op("r7", "+=", 1);
  a.jumpIf("r7", "<", shape.cpus, "confirm_cpu");
  a.label("confirm_summed");
  for (const member of members) {
    counterOf(a, member, target);
    a.load("r1", "u64", "r0", kernel.counter.count, "did a CPU carry meanwhile?");
    a.load("r2", "u64", "r10", Stack.count(member));
    a.jumpIf("r2", "s<=", "r1", `confirm_count${member}`);
    a.op("r2", "=", "r1", "the lower counts");
    a.label(`confirm_count${member}`);
    zeroUnlessCounted(a, "r2", member, target);
    a.load("r1", "u64", "r10", Stack.truth).op("r1", "+=", "r2");
    a.store("u64", "r10", Stack.truth, "r1");
  }
  effectivePages(a, "r7");
  a.load("r1", "u64", "r10", Stack.effective);
  a.jumpIf("r7", "s<=", "r1", "confirm_lower");
  a.op("r7", "=", "r1", "over at both looks: the lower counts");
  a.label("confirm_lower");
  a.load("r2", "u64", "r6", User.limitPages);
  a.jumpIf("r7", "s<=", "r2", "enforce_spare", "it is not over any more");
  a.load("r3", "u64", "r10", Stack.truth).load("r1", "u64", "r10", Stack.booked);
  a.op("r3", "-=", "r1", "what is booked too little");
  a.jumpIf("r3", "s>=", 0, "confirmed");
  a.op("r3", "+=", "r7", "or too much: corrected by the full sum");
  a.jumpIf("r3", "s<=", "r2", "enforce_spare", "it is not over");
  a.label("confirmed");
}

/** `pages` = 0 when a member does not count for the user at r6, where users differ. Changes r1. */
function zeroUnlessCounted(
  a: Assembler,
  pages: "r2" | "r3",
  member: number,
  { shape }: Target,
): void {
  if (shape.isPerUser !== true) return;
  a.load("r1", "u32", "r6", User.countMask, "what counts for the user");
  keepCounted(a, pages, "r1", member);
}

/** r0 = the counter of a member of the mm in r9. */
function counterOf(a: Assembler, member: number, target: Target): void {
  const { kernel } = target;
  a.op("r1", "=", "r9").op("r1", "+=", kernel.mm.rssStat + member * kernel.counter.bytes);
  castToCounter(a, target);
}

/**
 * Signals the process of the slot at r8 whose mm is in r9, if it is still the user's at r6 and nothing
 * protects it (I1). The result is put on the stack. Changes r0 to r5 and r7.
 */
function sendSignal(a: Assembler, target: Target): void {
  const { kernel } = target;
  const canSignalOthers = kernel.functions.has("bpf_send_signal_task") &&
    kernel.functions.has("bpf_task_from_pid") && kernel.functions.has("bpf_task_release");
  callHelper(a, "get_current_task_btf", "r0 = who runs this");
  a.op("r7", "=", "r0");
  a.load("r1", "u64", "r7", kernel.task.mm, "its mm");
  addressToNumber(a, "r1", "as a number");
  a.jumpIf("r1", "!=", "r9", "other", "the victim is another process");
  judge(a, "r7", "refuse_current", target);
  a.op("r1", "=", SIGKILL);
  callHelper(a, "send_signal", "ends this process before it can use the page");
  a.store("u64", "r10", Stack.result, "r0").jump("signalled");
  a.label("refuse_current");
  a.op("r0", "=", Refused.protected).store("u64", "r10", Stack.result, "r0").jump("signalled");

  a.label("other");
  if (!canSignalOthers) {
    a.op("r0", "=", Refused.notCurrent).store("u64", "r10", Stack.result, "r0");
    a.label("signalled");
    return;
  }
  a.load("r1", "u32", "r8", Slot.tgid);
  a.callKernel("bpf_task_from_pid", "r0 = that process, kept from going");
  a.jumpIf("r0", "==", 0, "no_task");
  a.op("r7", "=", "r0");
  a.load("r1", "u64", "r7", kernel.task.mm, "its mm");
  addressToNumber(a, "r1", "as a number");
  a.jumpIf("r1", "!=", "r9", "refuse_other", "it has another program by now, or is ending");
  judge(a, "r7", "refuse_other", target);
  a.op("r1", "=", "r7").op("r2", "=", SIGKILL).op("r3", "=", PIDTYPE_TGID).op("r4", "=", 0);
  a.callKernel("bpf_send_signal_task", "ends it");
  a.store("u64", "r10", Stack.result, "r0").jump("release");
  a.label("refuse_other");
  a.op("r0", "=", Refused.protected).store("u64", "r10", Stack.result, "r0");
  a.label("release");
  a.op("r1", "=", "r7").callKernel("bpf_task_release").jump("signalled");
  a.label("no_task");
  a.op("r0", "=", Refused.noCandidate).store("u64", "r10", Stack.result, "r0");
  a.label("signalled");
}

/** Jumps to `refuse` when the task at `task` has not the uid of the slot at r8, or is protected. */
function judge(a: Assembler, task: "r7", refuse: string, target: Target): void {
  const { kernel } = target;
  uidOf(a, task, target);
  a.load("r1", "u32", "r8", Slot.uid);
  a.jumpIf32("r0", "!=", "r1", refuse, "its real uid is another by now");
  a.load("r1", "u64", task, kernel.task.signal);
  a.load("r1", "u16", "r1", kernel.oomScoreAdj).op("r1", "<<=", 48).op("r1", "s>>=", 48);
  a.jumpIf("r1", "==", OOM_SCORE_ADJ_NEVER, refuse, "it asked never to be chosen");
}

/** The slot at r8 is dying: what it has is pending for the user at r6. r7 = its pages. Changes r0 to r5. */
export function markDying(a: Assembler, { shape }: Target): void {
  a.op("r5", "=", "r8").mapValue("r1", BooksMap.slots, 0).op("r5", "-=", "r1");
  a.op("r5", ">>=", Slot.shiftFromKey, "offset of its key");
  a.op("r5", "&=", shape.slots * KEY_BYTES - KEY_BYTES);
  a.mapValue("r4", BooksMap.keys, 0).op("r4", "+=", "r5", "its key");
  a.load("r5", "u64", "r4", 0, "its mm");
  sumOf(a, "r7", "r8", countedMembers(shape));
  a.jumpIf("r5", "==", 0, "dying_there", "the slot is nobody's");
  a.jumpIf("r5", "&", KEY_BUSY, "dying_there", "it is being given back");
  // After the sum: what is freed during it may be pending for too long, but is never taken off twice.
  a.store("u32", "r8", Slot.state, SlotState.dying, "from here on each change is pending too");
  a.op("r1", "=", "r7").atomic("fetchAdd", "u64", "r8", Slot.credited, "r1");
  a.op("r1", "=", "r7").atomic("fetchAdd", "u64", "r6", User.pendingPages, "r1");
  a.load("r1", "u64", "r4", 0, "its key, again");
  a.jumpIf("r1", "==", "r5", "dying_there", "its end takes back what is pending");
  a.store("u32", "r8", Slot.state, 0, "it has ended meanwhile: taken back here,");
  a.op("r3", "=", 0).atomic("exchange", "u64", "r8", Slot.credited, "r3", "unless its end has");
  a.negate("r3").atomic("fetchAdd", "u64", "r6", User.pendingPages, "r3");
  a.label("dying_there");
}
