/**
 * Ends the workers' sleep. Accounting and killer sleep on their bells, in shared memory; who sleeps in
 * poll(2) has an eventfd(2) besides.
 *
 * @module
 */
import { Doorbell } from "../../pipeline/memory/doorbell.ts";
import { Role } from "../../pipeline/memory/layout.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { EventFd } from "../../kernel/ffi/fd.ts";

export class WorkerWakes {
  private readonly accountingBell: Doorbell;
  private readonly readers: readonly EventFd[];
  private readonly sweeper: EventFd;
  private readonly coordinator: EventFd;

  /**
   * @param open Closes the descriptors later.
   * @throws {KernelError}
   */
  constructor(memory: Memory, readers: number, open: AsyncDisposableStack) {
    const openFd = (): EventFd => open.adopt(new EventFd(), (made) => made.close());
    this.accountingBell = new Doorbell(memory, Role.accounting);
    this.readers = Array.from({ length: readers }, openFd);
    this.sweeper = openFd();
    this.coordinator = openFd();
  }

  /** Ends the sleep in poll(2) of a role; the others have none. */
  wake(role: number): void {
    if (role === Role.sweeper) this.sweeper.ring();
    else if (role === Role.coordinator) this.coordinator.ring();
    else if (role >= Role.reader) this.readers[role - Role.reader]!.ring();
  }

  /** Has those look who follow the limits. */
  wakeForLimits(): void {
    this.accountingBell.ring();
    this.sweeper.ring();
    this.coordinator.ring();
  }

  /** What each of those needs who sleep in poll(2). */
  get fds(): {
    readonly readers: readonly number[];
    readonly sweeper: number;
    readonly coordinator: number;
  } {
    return {
      readers: this.readers.map(({ fd }) => fd),
      sweeper: this.sweeper.fd,
      coordinator: this.coordinator.fd,
    };
  }
}
