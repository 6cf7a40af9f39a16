/**
 * The sweeper's world: /proc, the list of traced tasks, the machine's execs, changes of user, pressure,
 * and a wait for all of them. poll(2)
 *
 * @module
 */
import type { BrakeWorld } from "../../pipeline/brake/brake_kernel.ts";
import type { OpenExecs } from "../../pipeline/discovery/exec_stream.ts";
import type { ShareFacts } from "../../pipeline/discovery/share_measure.ts";
import {
  type MachineMemory,
  PSI_STALL_US,
  PSI_WINDOW_US,
} from "../../pipeline/discovery/shortage.ts";
import {
  ChangesRead,
  type SweeperWorld,
  type UserChanges,
  Woken,
} from "../../pipeline/discovery/sweeper_world.ts";
import type { TraceCounts } from "../../pipeline/ports.ts";
import { openBrakeWorld } from "../brake/brake_world.ts";
import { BpfUsers } from "../bpf/bpf_users.ts";
import type { KernelBooksSpec } from "../bpf/kernel_books.ts";
import { MonotonicClock } from "../ffi/clock.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd, EventFd, useSpareDescriptors } from "../ffi/fd.ts";
import { FdReserve } from "../ffi/fd_reserve.ts";
import { POLLIN, POLLPRI, PollSet } from "../ffi/poll.ts";
import { openPsiTrigger } from "../pressure/psi.ts";
import { ProcReader } from "../proc/proc.ts";
import { readMemInfo } from "../proc/mem_info.ts";
import { ProcConnector } from "../proc/proc_connector.ts";
import { readSmapsRollup } from "../proc/smaps.ts";
import { loadPatterns } from "../rules/linear_patterns.ts";
import { ProcProcessFacts } from "../rules/process_facts.ts";
import { setFifo, setOrdinary } from "../process/self_protection.ts";
import { type GuardedFile, InstanceFiles, StatsFiles } from "../trace/guarded_files.ts";
import { openPipes, type PipesSpec } from "../trace/trace_source.ts";
import { TraceInstance } from "../trace/trace_instance.ts";

/** What of the trace instances the sweeper needs. Plain data; descriptors belong to the process. */
export interface DiscoverySpec {
  /** The instance with all execs. */
  readonly logins: PipesSpec;
  /** Name of the instance with the traced users' events. */
  readonly instanceName: string;
  readonly tracefsPath: string;
  /** Where programs in the kernel record users; undefined where the instance records tasks. */
  readonly books: KernelBooksSpec | undefined;
  /** Files of both instances that nobody else may change. */
  readonly guardedFiles: readonly GuardedFile[];
  /** What the kernel counts of each CPU that readers read; empty where they read text. */
  readonly statsFds: readonly number[];
}

export interface SweeperSpec extends DiscoverySpec {
  /** Where it is remembered which processes are lowered; whether any can be, on this machine. */
  readonly brake: { readonly dirPath: string; readonly isPossible: boolean };
  /** eventfd(2) that ends its waiting. */
  readonly wakeFd: number;
}

/** One of a program that stays attached, those of files that are read, and room for the next time. */
const RESERVE_FDS = 8;

class ConnectorChanges implements UserChanges {
  private readonly connector: ProcConnector;

  constructor(connector: ProcConnector) {
    this.connector = connector;
  }

  read(onChange: (tgid: number) => void): ChangesRead {
    const count = this.connector.read(onChange);
    if (count === -Errno.ENOBUFS) return ChangesRead.lost;
    if (count < 0) return ChangesRead.failed;
    return this.connector.hasMore ? ChangesRead.more : ChangesRead.all;
  }
}

/** Where users are recorded, no task need be. */
const NO_LIST: SweeperWorld["list"] = {
  readPids: () => [],
  writePids: () => {},
  appendPids: () => {},
  appendPidsAsync: () => Promise.resolve(),
  hadSentinel: true,
  restoreSentinel: () => {},
};

class LinuxSweeperWorld implements SweeperWorld {
  readonly clock = new MonotonicClock();
  readonly proc = new ProcReader();
  readonly list: SweeperWorld["list"];
  readonly instance: InstanceFiles;
  readonly traceCounts: TraceCounts | undefined;
  readonly userChanges: UserChanges | undefined;
  readonly shares: ShareFacts;
  readonly openExecs: OpenExecs;
  readonly facts = new ProcProcessFacts();
  readonly loadPatterns = loadPatterns;
  readonly brake: BrakeWorld | undefined;
  readonly recordedUsers?: NonNullable<SweeperWorld["recordedUsers"]>;
  private readonly fifoPriority: number;
  private readonly poll: PollSet;
  private readonly wake: EventFd;
  private readonly wakeIndex: number;
  /** Its place in the poll; -1: nobody has asked for it, or there is none. */
  private psiIndex = -1;
  private readonly closers: (() => void)[] = [];
  /** For files of /proc, and for attaching programs, where no descriptor is left. */
  private readonly reserve = new FdReserve(RESERVE_FDS);

  constructor(spec: SweeperSpec, fifoPriority: number) {
    this.fifoPriority = fifoPriority;
    useSpareDescriptors(this.reserve);
    this.closers.push(() => {
      useSpareDescriptors(undefined);
      this.reserve[Symbol.dispose]();
    });
    const { books } = spec;
    if (books !== undefined) {
      this.recordedUsers = (rules, owners) => new BpfUsers(books, rules, owners, this.clock);
    }
    this.list = spec.books === undefined
      ? TraceInstance.attach(spec.instanceName, spec.tracefsPath)
      : NO_LIST;
    this.instance = new InstanceFiles(spec.guardedFiles);
    this.traceCounts = spec.statsFds.length === 0 ? undefined : new StatsFiles(spec.statsFds);
    this.shares = {
      readMinorFaults: (pid) => this.proc.readMinorFaults(pid),
      readRollup: readSmapsRollup,
    };
    this.openExecs = (writer, onPage) => openPipes(spec.logins, writer, onPage);
    this.wake = new EventFd(spec.wakeFd);
    const { pipes } = spec.logins;
    this.poll = new PollSet(pipes.length + 3);
    this.wakeIndex = this.poll.add(spec.wakeFd, POLLIN);
    for (const { fd } of pipes) this.poll.add(fd, POLLIN);
    this.userChanges = this.openChanges();
    this.brake = this.openBrake(spec.brake);
  }

  /** Also where nobody can be braked any more, but somebody was. */
  private openBrake({ dirPath, isPossible }: SweeperSpec["brake"]): BrakeWorld | undefined {
    try {
      const world = openBrakeWorld(dirPath, this.fifoPriority);
      if (isPossible || world.record.left.length > 0) {
        this.closers.push(() => world.close());
        return world;
      }
      world.close();
    } catch (error) {
      // The supervisor has told of a record that cannot be read.
      if (!(error instanceof KernelError)) throw error;
    }
    return undefined;
  }

  private openChanges(): UserChanges | undefined {
    const opened = ProcConnector.open();
    if (!opened.ok) return undefined;
    const { connector } = opened;
    this.closers.push(() => connector.close());
    this.poll.add(connector.fd, POLLIN);
    return new ConnectorChanges(connector);
  }

  listenToPressure(): void {
    if (this.psiIndex >= 0) return;
    const psi = openPsiTrigger({ stallUs: PSI_STALL_US, windowUs: PSI_WINDOW_US });
    if (!psi.ok) return;
    this.closers.push(() => closeFd(psi.fd));
    this.psiIndex = this.poll.add(psi.fd, POLLPRI);
  }

  readMemory(): MachineMemory {
    return readMemInfo();
  }

  wait(timeoutMs: number): number {
    const { poll, wakeIndex, psiIndex } = this;
    this.reserve.refill();
    if (poll.wait(timeoutMs) <= 0) return Woken.none;
    if ((poll.revents(wakeIndex) & POLLIN) !== 0) this.wake.drain();
    const isPressed = psiIndex >= 0 && (poll.revents(psiIndex) & POLLPRI) !== 0;
    return Woken.byWork | (isPressed ? Woken.byPressure : 0);
  }

  setUrgent(isUrgent: boolean): void {
    if (isUrgent) setFifo(this.fifoPriority);
    else setOrdinary();
  }

  close(): void {
    for (const close of this.closers.splice(0)) close();
  }
}

/** @param fifoPriority Of this thread, when it is urgent: SCHED_FIFO, 1 to 99. */
export function openSweeperWorld(spec: SweeperSpec, fifoPriority: number): SweeperWorld {
  return new LinuxSweeperWorld(spec, fifoPriority);
}
