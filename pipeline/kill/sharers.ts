/**
 * Those who share a victim's mm: what is killed is an mm with all who run on it, as the memory is
 * freed only when the last of them has let go. The kernel's own OOM killer does the same
 * (__oom_kill_process, mm/oom_kill.c).
 *
 * Which processes these are the books know: borrowers, born with CLONE_VM and not as threads, that
 * have not executed a program since. A parent in vfork(2) and its child are such a pair. Of one that
 * /proc says to borrow no more the books do not know yet whether it has executed a program, or has
 * outlived its lender on the same mm: it is one of them until they do, and the kernel is asked before
 * it is signalled.
 *
 * @module
 */
import { ProcessFlag, ProcessState, TABLE_HEADER_BYTES, TableWord } from "../memory/layout.ts";
import { type KillKernel, Refusal, Signal } from "./kill_kernel.ts";
import type { Memory } from "../memory/memory.ts";
import { effectOf, tagOf } from "../rules/tag.ts";
import { Effect } from "../rules/victim_rule.ts";
import { Part, type Verdicts } from "./verdicts.ts";

/** Handles that are kept from the check to the signal; of more, each is opened and checked twice. */
const HANDLES_KEPT = 256;

export class Sharers {
  /** Those that were found. */
  count = 0;
  /** Of those, the first that were opened. */
  private opened = 0;
  private readonly memory: Memory;
  private readonly kernel: KillKernel;
  private readonly verdicts: Verdicts;
  private readonly processHeader: Int32Array;
  /** Grows when a crowd is larger than any before. */
  private slots = new Int32Array(16);
  private readonly handles = new Int32Array(HANDLES_KEPT);
  /** The pid that keeps the mm from being freed, after {@link open} refused; 0 none. */
  protector = 0;

  constructor(memory: Memory, kernel: KillKernel, verdicts: Verdicts) {
    this.memory = memory;
    this.kernel = kernel;
    this.verdicts = verdicts;
    const { buffer, plan } = memory;
    this.processHeader = new Int32Array(buffer, plan.processes, TABLE_HEADER_BYTES / 4);
  }

  /** Finds who runs on the mm of a process, or may, of whatever user. @returns How many. */
  find(ownerSlot: number): number {
    const { flags, state, lenderSlot1, lenderGeneration, generation } = this.memory.processes;
    this.count = 0;
    if ((flags[ownerSlot]! & ProcessFlag.lends) === 0) return 0;
    const ownerGeneration = generation[ownerSlot]!;
    const highWater = Atomics.load(this.processHeader, TableWord.highWater);
    for (let slot = 0; slot < highWater; slot++) {
      if ((flags[slot]! & (ProcessFlag.borrower | ProcessFlag.mayInherit)) === 0) continue;
      if (lenderSlot1[slot] !== ownerSlot + 1 || lenderGeneration[slot] !== ownerGeneration) {
        continue;
      }
      if (state[slot] !== ProcessState.alive) continue;
      if (this.count === this.slots.length) this.enlarge();
      this.slots[this.count++] = slot;
    }
    return this.count;
  }

  private enlarge(): void {
    const slots = new Int32Array(this.slots.length * 2);
    slots.set(this.slots);
    this.slots = slots;
  }

  /**
   * Opens and checks all that were found. Who is gone, or shares the mm no more, is left out; when
   * one must not be killed, none is to be, as the memory would stay.
   *
   * @returns Whether all may be signalled; their handles are open then. Else none is.
   */
  open(ownerPid: number, uid: number): boolean {
    const { processes } = this.memory;
    let kept = 0;
    this.protector = 0;
    for (let i = 0; i < this.count; i++) {
      const slot = this.slots[i]!;
      const pid = processes.tgid[slot]!;
      if (!this.kernel.sharesMm(ownerPid, pid)) {
        // It has executed a program, and the books are about to hear of it.
        this.verdicts.notePart(slot, Part.apart);
        continue;
      }
      const isProtected = effectOf(tagOf(processes, slot)) === Effect.protect;
      const handle = isProtected ? REFUSED : this.openOne(pid, uid);
      if (handle === GONE) continue;
      if (handle < 0) {
        this.opened = kept;
        this.close();
        this.protector = pid;
        return false;
      }
      if (kept < HANDLES_KEPT) this.handles[kept] = handle;
      else this.kernel.close(handle);
      this.slots[kept++] = slot;
    }
    this.count = this.opened = kept;
    return true;
  }

  private openOne(pid: number, uid: number): number {
    const { kernel } = this;
    const handle = kernel.open(pid);
    if (handle < 0) return handle === -ESRCH ? GONE : REFUSED;
    const refusal = kernel.check(handle, pid, uid);
    if (refusal === Refusal.none) return handle;
    kernel.close(handle);
    return refusal === Refusal.gone ? GONE : REFUSED;
  }

  /** Signals all that were opened, one after the other, and lets go of them. @returns How many. */
  kill(uid: number): number {
    const { kernel, verdicts } = this;
    const { tgid } = this.memory.processes;
    let killed = 0;
    for (let i = 0; i < this.count; i++) {
      const slot = this.slots[i]!;
      const pid = tgid[slot]!;
      const handle = i < HANDLES_KEPT ? this.handles[i]! : this.openOne(pid, uid);
      if (handle < 0) continue;
      if (kernel.kill(handle, pid, Signal.kill) === 0) {
        verdicts.notePart(slot, Part.signalled);
        killed++;
      }
      if (i >= HANDLES_KEPT) kernel.close(handle);
    }
    return killed;
  }

  /** After the signals: they come before all ordinary tasks, see {@link KillKernel.hurry}. */
  hurry(): void {
    const { tgid, taskCount } = this.memory.processes;
    for (let i = 0; i < this.count; i++) {
      const slot = this.slots[i]!;
      this.kernel.hurry(tgid[slot]!, taskCount[slot]! > 1);
    }
  }

  /** Lets go of the handles. */
  close(): void {
    const kept = Math.min(this.opened, HANDLES_KEPT);
    for (let i = 0; i < kept; i++) this.kernel.close(this.handles[i]!);
    this.count = this.opened = 0;
  }

  /**
   * Signals those that were found and have not been yet: born since the others were signalled, or
   * heard of since. Each is opened and checked before.
   *
   * @param ownerPid A victim that is thought to have the mm still, to compare with.
   */
  killLate(ownerPid: number, uid: number): void {
    const { kernel, verdicts } = this;
    const { tgid, generation } = this.memory.processes;
    for (let i = 0; i < this.count; i++) {
      const slot = this.slots[i]!;
      if (verdicts.partOf(slot, generation[slot]!) !== Part.unknown) continue;
      const pid = tgid[slot]!;
      if (!kernel.sharesMm(ownerPid, pid)) continue;
      verdicts.notePart(slot, Part.signalled);
      const handle = this.openOne(pid, uid);
      if (handle < 0) continue;
      kernel.kill(handle, pid, Signal.kill);
      kernel.close(handle);
    }
    this.count = 0;
  }
}

/** man 3 errno */
const ESRCH = 3;
const GONE = -ESRCH;
const REFUSED = -1;
