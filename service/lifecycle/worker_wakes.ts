/**
 * Ends the sleep of workers, and of the supervisor, by eventfd(2).
 *
 * Nothing here, nor anywhere else in the supervisor, calls Atomics.notify or waitAsync: V8 keeps all
 * waiters of the process under one lock, and hands it on to the one that it wakes. A worker that is
 * stopped at that moment, by a debugger say, never takes it, so that whoever comes next stands still
 * too; and the supervisor must be there to notice. Accounting and killer, which sleep in Atomics.wait,
 * look at least every HEARTBEAT_MS; the sweeper wakes accounting when limits have changed.
 *
 * @module
 */
import { Role } from "../../pipeline/memory/layout.ts";
import { EventFd } from "../../kernel/ffi/fd.ts";
import { readableWithin } from "../../kernel/ffi/readable.ts";
import type { ReportBell } from "../journal/report_pump.ts";

export class WorkerWakes {
  private readonly readers: readonly EventFd[];
  private readonly sweeper: EventFd;
  private readonly coordinator: EventFd;
  private readonly supervisor: EventFd;

  /**
   * @param open Closes the descriptors later.
   * @throws {KernelError}
   */
  constructor(readers: number, open: AsyncDisposableStack) {
    const openFd = (): EventFd => open.adopt(new EventFd(), (made) => made.close());
    this.readers = Array.from({ length: readers }, openFd);
    this.sweeper = openFd();
    this.coordinator = openFd();
    this.supervisor = openFd();
  }

  /** Ends the sleep in poll(2) of a role; the others have none. */
  wake(role: number): void {
    if (role === Role.sweeper) this.sweeper.ring();
    else if (role === Role.coordinator) this.coordinator.ring();
    else if (role >= Role.reader) this.readers[role - Role.reader]!.ring();
  }

  /** Has those look who follow the limits. */
  wakeForLimits(): void {
    this.sweeper.ring();
    this.coordinator.ring();
  }

  /** What workers wake when they have put a report. */
  get reportBell(): ReportBell {
    const { supervisor } = this;
    return {
      rung: async () => {
        await readableWithin(supervisor.fd, -1);
        supervisor.drain();
      },
      ring: () => supervisor.ring(),
    };
  }

  /** For the workers. */
  get fds(): {
    readonly readers: readonly number[];
    readonly sweeper: number;
    readonly coordinator: number;
    readonly supervisor: number;
  } {
    return {
      readers: this.readers.map(({ fd }) => fd),
      sweeper: this.sweeper.fd,
      coordinator: this.coordinator.fd,
      supervisor: this.supervisor.fd,
    };
  }
}
