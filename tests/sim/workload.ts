/**
 * What happens on the machine: processes of users who do as they like.
 *
 * @module
 */
import { Member } from "../../pipeline/memory/layout.ts";
import type { SimContext } from "./context.ts";
import type { FakeProcess } from "./kernel/tasks.ts";
import { ASKING_UID, FIRST_UID, LYING_UID } from "./options.ts";

export class Workload {
  /** First process of each user, which only forks. */
  readonly roots: FakeProcess[] = [];
  private readonly sim: SimContext;

  constructor(sim: SimContext) {
    this.sim = sim;
    for (let user = 0; user < sim.options.users; user++) {
      this.roots.push(sim.kernel.spawn(FIRST_UID + user));
    }
  }

  /** Processes that may do something. */
  private runnable(): FakeProcess[] {
    return this.sim.kernel.alive().filter((process) =>
      !process.suspended && !this.roots.includes(process) && process.uid !== ASKING_UID &&
      process.uid !== LYING_UID
    );
  }

  /** Something happens. */
  step(): void {
    this.happens(this.runnable());
  }

  /** Something happens to somebody who is of none of these users. */
  stepOthers(uids: readonly number[]): void {
    const runnable = this.runnable().filter(({ uid }) => !uids.includes(uid));
    if (runnable.length >= 2) this.happens(runnable);
  }

  private happens(runnable: readonly FakeProcess[]): void {
    const { kernel, random, options } = this.sim;
    kernel.onAnyCpu();
    const { length } = runnable;
    if (length < 2 || (length < options.processesMax && random.oneIn(25))) {
      this.begin();
      return;
    }
    const process = random.pick(runnable);
    this.sim.note(`uid ${process.uid} pid ${process.pid}`);
    if (options.brakes && random.oneIn(20)) this.limit(process);
    else if (process.lender !== undefined) this.borrow(process);
    else this.act(process, runnable, length >= options.processesMax);
  }

  private begin(): void {
    const { kernel, random, options } = this.sim;
    const user = random.below(options.users);
    const process = options.logins
      ? kernel.spawn(FIRST_UID + user)
      : kernel.fork(this.roots[user]!)!;
    process.isProtected = random.oneIn(8);
    kernel.grow(process, Member.anon, random.between(1, 10));
    // Nobody announces its birth; its shell is a program that it executes.
    if (options.logins) kernel.tracing.executed(process.pid);
    this.sim.note(`begins pid ${process.pid} of uid ${process.uid}`);
  }

  /** It sets its own limit: to a lower one, which stays, or as high as it may. */
  private limit(process: FakeProcess): void {
    const { kernel, random } = this.sim;
    // What prlimit(2) overwrites between the brake's reading and setting can be put back, but whom that
    // process forks before has inherited it: brake_test.ts has what is done about it.
    if (this.sim.isMeanwhile) return;
    const pages = BigInt(random.between(20, 400));
    const softBytes = random.oneIn(2) ? process.hardBytes : pages * 4096n;
    this.sim.note(`sets its limit to ${softBytes}`);
    kernel.setOwnLimit(process, softBytes);
  }

  /** A child on its parent's mm may only fault, execute something, or end. */
  private borrow(process: FakeProcess): void {
    const { kernel, random } = this.sim;
    const what = random.below(100);
    if (what < 20 || process.diesAtNs !== Infinity) kernel.grow(process, Member.anon, 1);
    else if (what < 80) kernel.exec(process);
    else kernel.exit(process);
  }

  private act(process: FakeProcess, runnable: readonly FakeProcess[], isFull: boolean): void {
    const { kernel, random, options } = this.sim;
    // With SIGKILL pending, a process neither forks nor executes anything: it may only fault.
    const what = process.diesAtNs === Infinity ? random.below(100) : random.below(63);
    if (what < 45) {
      const member = random.pick([Member.anon, Member.anon, Member.file, Member.shmem]);
      const pages = random.between(1, 30);
      this.sim.note(`member ${member} +${pages}`);
      kernel.grow(process, member, pages);
    } else if (what < 60) {
      const member = random.pick([Member.anon, Member.file, Member.shmem, Member.swap]);
      const pages = process.mm.pages[member]!;
      if (pages === 0) return;
      const less = random.between(1, pages);
      this.sim.note(`member ${member} -${less}`);
      kernel.grow(process, member, -less);
    } else if (what < 63) {
      this.sim.note("swaps out");
      kernel.swapOut(process);
    } else if (what < 70) {
      if (isFull) return;
      const child = kernel.fork(process, random.oneIn(6));
      this.sim.note(`forks ${child?.pid ?? "in vain"}`);
    } else if (what < 77) {
      if (!isFull) this.sim.note(`vforks ${kernel.vfork(process).pid}`);
    } else if (what < 82) {
      this.sim.note("execs");
      kernel.exec(process);
    } else if (what < 88) {
      if (process.tids.length >= 5) return;
      this.sim.note("starts a thread");
      kernel.thread(process);
    } else if (what < 91) {
      this.sim.note("ends a thread");
      kernel.endThread(process);
    } else if (what < 94) {
      this.sim.note("exits");
      kernel.exit(process);
    } else if (what < 96 && options.foreign) {
      const actor = random.pick(runnable);
      this.sim.note(`is written to by ${actor.pid}`);
      kernel.foreign(actor.pid, process, Member.anon, random.between(1, 5));
    } else if (what < 98 && options.changesUsers) {
      // setuid(3) is for all threads, and would wait for one that waits for its child.
      if (kernel.alive().some(({ lender }) => lender === process)) return;
      const uid = FIRST_UID + random.below(options.users);
      this.sim.note(`becomes uid ${uid}`);
      kernel.setUid(process, uid);
    } else if (options.shares) this.share(process, random.pick(runnable));
  }

  private share(process: FakeProcess, other: FakeProcess): void {
    const { kernel, random } = this.sim;
    if (random.oneIn(2) || other.uid !== process.uid) {
      this.sim.note("copies");
      kernel.copy(process, random.between(1, 60));
    } else {
      this.sim.note(`maps what ${other.pid} has`);
      kernel.mapShared(process, other);
    }
  }
}
