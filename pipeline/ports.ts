/**
 * What the roles of the pipeline need of the world, as interfaces: the kernel's side is in `kernel/`,
 * the simulator's in the tests. Named as the kernel's side names it; more of them are beside the role
 * that needs them (kill_kernel.ts).
 *
 * @module
 */

/** CLOCK_MONOTONIC, which the kernel stamps events with. clock_gettime(2) */
export interface Clock {
  /** Nanoseconds since some moment before the boot. */
  nowNs(): number;
  /** How long the machine has been suspended since its boot, nanoseconds. */
  suspendedNs(): number;
}

/** States of {@link ProcStatus.state} in which a process has no memory any more. */
export const STATE_ZOMBIE = 0x5a;
export const STATE_DEAD = 0x58;

/** What /proc/PID/status says of a process or a thread. proc_pid_status(5) Reuse one. */
export class ProcStatus {
  /** Its thread group: of a thread's id, the process that the thread belongs to. */
  tgid = 0;
  ppid = 0;
  /** 0 to 4294967295. */
  realUid = 0;
  /** 0 to 4294967295. */
  effectiveUid = 0;
  /** Code of the state's letter, e.g. {@link STATE_ZOMBIE}. */
  state = 0;
  threads = 0;
  /** A thread of the kernel: it has no memory, and no signal ends it. */
  kthread = false;
  /** It has an address space: no kernel thread, no zombie, and not in the middle of its exit. */
  hasMemory = false;
  rssAnonKib = 0;
  rssFileKib = 0;
  rssShmemKib = 0;
  vmSwapKib = 0;
}

/** What tells one process, and one program in it, from all others. proc_pid_stat(5) Reuse one. */
export class ProcIdentity {
  ppid = 0;
  /** Clock ticks since the boot. */
  startTicks = 0;
  /** Where the stack begins, which an exec changes (by chance, ASLR, not with personality(2)). */
  stackStart = 0;
}

/**
 * /proc, for one role. What is gone is a return value; what cannot be read for another reason, such as
 * too many open files, throws something of which {@link isFailure} is true.
 */
export interface Proc {
  /** Whether what was thrown says that /proc could not be read at that moment. */
  isFailure(error: unknown): boolean;
  /**
   * @param pid A process, or any thread: then `tgid` says whose, and `state` is the thread's own.
   * @param out Filled in; its contents are undefined when the result is false.
   * @returns false when it is gone.
   */
  readStatus(pid: number, out: ProcStatus): boolean;
  /** As {@link readStatus}. */
  readIdentity(pid: number, out: ProcIdentity): boolean;
  /**
   * The processes of the machine, without their other threads.
   *
   * @param out Filled from the start, ascending.
   * @returns How many there are. If this is more than `out.length`, the rest was left out.
   */
  listPids(out: Int32Array): number;
  /** Threads of a process, ascending; empty when it is gone. */
  listTids(pid: number): number[];
  /** Children of a process's main thread; empty when the kernel does not tell. */
  listChildren(pid: number): number[];
  /** Whether two processes run on one address space. kcmp(2) */
  sharesMm(pidA: number, pidB: number): boolean;
}

/** The list of tasks whose events the kernel records; their children are recorded too. */
export interface TraceList {
  /** Ids of the tasks on it. */
  readPids(): number[];
  /** These and no others. May take 40 ms. */
  writePids(tids: Iterable<number>): void;
  /** These too. May take 40 ms. */
  appendPids(tids: Iterable<number>): void;
  /** As {@link appendPids}, on another thread. */
  appendPidsAsync(tids: Iterable<number>): Promise<void>;
}

/** Users whose usage must be exact and as of now, because somebody decides by it. */
export interface ExactUsers {
  /** @param uid Real uid. @returns false: not yet, as the user is not known. */
  setExact(uid: number, isExact: boolean): boolean;
}

/** Users whose tasks the kernel records, whichever these are: then no task need be on a list. */
export interface RecordedUsers {
  /** Has the kernel record a real uid. @returns false: there is no room for it. */
  admit(uid: number): boolean;
  /** There was no room lately for a user or an address space: only /proc tells what it has. */
  readonly isShort: boolean;
  /** What the kernel has refused since the last call, in words; undefined: nothing. */
  takeRefusal(): string | undefined;
  /** Limits have changed: who has none is recorded no more. */
  rulesChanged(): void;
  /** Books the processes that those have who were admitted since the last time. */
  settle(): void;
  /** Whether each page of them is booked; else {@link look} must be called. */
  readonly isAttached: boolean;
  /** Has each page booked from here on. @returns false: the kernel refuses it at this moment. */
  attach(): boolean;
  /** Pages cost nothing any more. */
  detach(): void;
  /** While it is not attached: somebody was admitted whom nobody has looked at, or must be exact. */
  readonly hasNews: boolean;
  /**
   * While it is not attached: books what each user has at this moment.
   * @returns false: the kernel refuses it.
   */
  look(): boolean;
  /** How far each user is from its soft limit as of the last look, pages; negative: above it. */
  distances(visit: (uid: number, pages: number) => void): void;
  /** A process has changed its user. */
  userChanged(): void;
  /** Programs end nobody of a user until the killer has armed somebody again. @param uid As in the tables. */
  disarm(uid: number): void;
  /** When {@link catchUp} has something to do; Infinity: nothing is missing. Nanoseconds. */
  readonly nextNs: number;
  /**
   * Has events written of what was booked and not told, which is little for each process, and books what
   * processes have who changed their user.
   */
  catchUp(nowNs: number): void;
}

/** Where a reader's events come from. What they say goes to the writer that it was opened with. */
export interface TraceSource {
  /** A CPU that it reads; -1: of all CPUs, merged by the kernel. */
  readonly firstCpu: number;
  /**
   * Reads what there is, without waiting. HOT.
   *
   * @param isChasing Goes on while more is being written; else only takes what had gathered.
   * @returns Bytes read; 0 when there is nothing.
   * @throws {Error} When it cannot be read any more.
   */
  read(isChasing: boolean): number;
  /** Writes what it has counted into the counters that it was opened with. HOT. */
  storeCounts(): void;
  /**
   * Waits until there is something to read, or until another thread ends the waiting.
   *
   * @returns Whether the kernel says that there is something, which may not be so.
   */
  wait(timeoutMs: number): boolean;
  /** Decodes so many made-up reads, to have code and data at hand. */
  rehearse(reads: number): void;
}

/** Files of toom's trace instances, which whoever is root can write to. */
export interface GuardedInstance {
  /** For the log, one a file; their order is the index below. */
  readonly names: readonly string[];
  /** @returns What a file says that it must not say, for the log; undefined: it is right. */
  look(index: number): string | undefined;
  /** Puts a file right. @returns Why that cannot be done; undefined when it is. */
  mend(index: number): string | undefined;
}

/** What the kernel counts of the pipes that toom's readers read. */
export interface TraceCounts {
  /** Events that anybody has read from them, all CPUs; minus the error number: not to be told now. */
  eventsRead(): number;
}

/** What calls of {@link Sockets} give when they fail, all below 0. */
export const SocketFailure = {
  /** There is nothing, or no room, at this moment. */
  again: -1,
  /** The other end, or the process, is gone. */
  gone: -2,
  /** No descriptor, watch or memory is left. */
  exhausted: -3,
  /** Anything else: the kernel cannot do it. */
  refused: -4,
} as const;

/**
 * A set of handles to wait for; may itself be in another set, and is ready when one of its own is.
 * What is ready stays so until it has been taken. epoll(7)
 */
export interface ReadySet {
  /** Of the set itself. */
  readonly handle: number;
  /** @param key What {@link key} tells of it, 0 to 2^31 - 1. @returns 0 or a {@link SocketFailure}. */
  add(handle: number, key: number): number;
  /** Takes a handle out. One that is closed leaves by itself. */
  remove(handle: number): void;
  /**
   * Waits until a handle is ready. HOT.
   *
   * @param timeoutMs At most this long; 0 looks without waiting.
   * @returns How many are ready, for {@link key}.
   */
  wait(timeoutMs: number): number;
  /** Key of a ready handle, `index` below what {@link wait} gave. HOT. */
  key(index: number): number;
}

/** A socket that listens. */
export interface Listener {
  readonly handle: number;
  /** Its messages follow one another without a mark between them. */
  readonly isStream: boolean;
}

/**
 * Local sockets whose messages say who sent them, for one role. Nothing here ever waits but
 * {@link ReadySet.wait}. Handles are numbers from 0 on; on Linux descriptors, which belong to the
 * process and outlive a worker that throws.
 */
export interface Sockets {
  readonly listeners: readonly Listener[];
  /** Is ready when another thread has rung. */
  readonly wakeHandle: number;
  /** The message of the last {@link receive}, from its start. */
  readonly message: Uint8Array<ArrayBuffer>;
  /** Its sender; 0 when the kernel did not say. */
  readonly senderPid: number;
  /** The sender's real uid, unsigned. */
  readonly senderUid: number;
  /** Makes it unready again. @returns Whether anybody had rung. */
  drainWake(): boolean;
  /** @param readyMax The most that one wait tells of. @returns undefined: the kernel gives none. */
  openSet(readyMax: number): ReadySet | undefined;
  /** Takes a connection. @returns Its handle or a {@link SocketFailure}. */
  accept(listener: Listener): number;
  /** Real uid of who connected, unsigned; -1 when it is not to be had. */
  peerUid(handle: number): number;
  /**
   * Takes a message, or of a stream what has come of it. HOT.
   *
   * @param bytesMax Of a stream no more than so many. A longer message is cut.
   * @returns Its bytes, `bytesMax + 1` when it was cut; 0 when the other end has closed; or a
   *   {@link SocketFailure}.
   */
  receive(handle: number, bytesMax: number): number;
  /** Sends a message. HOT. @returns Its bytes or a {@link SocketFailure}. */
  send(handle: number, message: Uint8Array<ArrayBuffer>): number;
  /** Opens a process: the handle is ready when it ends. @returns It or a {@link SocketFailure}. */
  openProcess(pid: number): number;
  close(handle: number): void;
}
