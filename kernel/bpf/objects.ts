/**
 * Maps, programs and links of the kernel's BPF machine, each a descriptor: when the process ends, in
 * whatever way, they are gone. Nothing is pinned to a file. bpf(2), linux/bpf.h
 *
 * @module
 */
import { BpfAttributes, bpfCall } from "../ffi/bpf_call.ts";
import { Errno, errnoName, KernelError } from "../ffi/errno.ts";
import { closeFd, cString, readFd } from "../ffi/fd.ts";
import { mapFd } from "../ffi/mapping.ts";

const Command = {
  mapCreate: 0,
  mapUpdate: 2,
  programLoad: 5,
  programRun: 10,
  rawTracepointOpen: 17,
  linkCreate: 28,
  iteratorCreate: 33,
} as const;

/** BPF_MAP_TYPE_* */
export const MapType = { array: 2, perCpuArray: 6, ringBuffer: 27 } as const;
/** BPF_PROG_TYPE_* */
export const ProgramType = { tracing: 26, syscall: 31 } as const;
/** BPF_TRACE_*: to what a tracing program is attached. */
export const AttachType = { none: 0, rawTracepoint: 23, iterator: 28 } as const;

const MAP_MMAPABLE = 1 << 10;
const PROGRAM_SLEEPABLE = 1 << 4;
/** Some helpers and functions of the kernel are for programs with a licence that it knows. */
const LICENCE = cString("GPL");
const LOG_BYTES = 1 << 20;
const PAGE_BYTES = 4096;

/** A map. */
export class BpfMap implements Disposable {
  readonly fd: number;
  readonly name: string;

  /** @throws {KernelError} */
  constructor(name: string, type: number, sizes: {
    readonly keyBytes: number;
    readonly valueBytes: number;
    readonly entries: number;
    readonly flags?: number;
  }) {
    const attributes = new BpfAttributes().u32(0, type).u32(4, sizes.keyBytes)
      .u32(8, sizes.valueBytes).u32(12, sizes.entries).u32(16, sizes.flags ?? 0).name(28, name);
    this.name = name;
    this.fd = check(bpfCall(Command.mapCreate, attributes), "bpf(MAP_CREATE)", name);
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/**
 * Fills the only value of an array with zeros.
 * @throws {KernelError}
 */
export function clearArray(fd: number, name: string, bytes: number): void {
  const key = new Uint8Array(4);
  const attributes = new BpfAttributes().u32(0, fd).address(8, key)
    .address(16, new Uint8Array(bytes));
  check(bpfCall(Command.mapUpdate, attributes), "bpf(MAP_UPDATE_ELEM)", name);
}

/** An array map whose values this process reads and writes as memory. */
export class MappedArray implements Disposable {
  readonly map: BpfMap;
  private readonly bytes: number;
  private mapped: ArrayBuffer | undefined;

  /**
   * @param valueBytes A multiple of 8.
   * @throws {KernelError}
   */
  constructor(name: string, valueBytes: number, entries = 1) {
    this.bytes = valueBytes * entries;
    this.map = new BpfMap(name, MapType.array, {
      keyBytes: 4,
      valueBytes,
      entries,
      flags: MAP_MMAPABLE,
    });
  }

  /**
   * All values, one after the other. Mapped when it is asked for: the kernel maps all pages at once, and
   * they count as this process's.
   * @throws {KernelError}
   */
  get buffer(): ArrayBuffer {
    const bytes = Math.ceil(this.bytes / PAGE_BYTES) * PAGE_BYTES;
    return this.mapped ??= mapFd(this.map.fd, bytes);
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
  }
}

/** The kernel refused a program; `log` is what its verifier said. */
export class VerifierError extends KernelError {
  readonly log: string;

  constructor(program: string, errno: number, log: string) {
    const reason = log.trim().split("\n").findLast((line) =>
      line !== "" && !/^(processed|verification)/.test(line)
    );
    // Who may not load programs is refused before the verifier has seen one.
    super("bpf(PROG_LOAD)", errno, { detail: `program ${program}: ${reason ?? hintOf(errno)}` });
    this.log = log;
  }
}

export interface ProgramOptions {
  readonly name: string;
  /** {@link ProgramType} */
  readonly type: number;
  /** {@link AttachType} */
  readonly attachType: number;
  /** BTF id of what it is attached to; 0 for a program that is only run. */
  readonly attachTo: number;
  readonly instructions: Uint8Array<ArrayBuffer>;
}

export class BpfProgram implements Disposable {
  readonly fd: number;
  readonly name: string;

  /** @throws {VerifierError} With the verifier's log. */
  constructor(options: ProgramOptions) {
    this.name = options.name;
    let result = load(options, undefined);
    if (result < 0) {
      // The log costs a megabyte and time, so that it is asked for only when there is an error.
      const log = new Uint8Array(LOG_BYTES);
      const errno = -result;
      result = load(options, log);
      if (result < 0) throw new VerifierError(options.name, errno, cText(log));
    }
    this.fd = result;
  }

  /** As {@link runProgram}. */
  run(context: Uint8Array<ArrayBuffer>): number {
    return runProgram(this.fd, this.name, context);
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/**
 * Runs a program of type syscall.
 * @param programFd Of the {@link BpfProgram}; any thread may.
 * @param name For the error.
 * @param context Bytes that it may read and write.
 * @returns What it returned.
 * @throws {KernelError}
 */
export function runProgram(
  programFd: number,
  name: string,
  context: Uint8Array<ArrayBuffer>,
): number {
  const attributes = new BpfAttributes().u32(0, programFd);
  if (context.length > 0) attributes.u32(40, context.length).address(48, context);
  check(bpfCall(Command.programRun, attributes), "bpf(PROG_TEST_RUN)", name);
  return attributes.getU32(4);
}

function load(options: ProgramOptions, log: Uint8Array<ArrayBuffer> | undefined): number {
  const { type, attachType, attachTo, instructions, name } = options;
  const attributes = new BpfAttributes()
    .u32(0, type).u32(4, instructions.length / 8).address(8, instructions).address(16, LICENCE)
    .u32(44, type === ProgramType.syscall ? PROGRAM_SLEEPABLE : 0).name(48, name)
    .u32(68, attachType).u32(108, attachTo);
  if (log !== undefined) attributes.u32(24, 1).u32(28, log.length).address(32, log);
  return bpfCall(Command.programLoad, attributes);
}

/** A program that runs at a tracepoint for as long as the link is there. */
export class TracepointLink implements Disposable {
  readonly fd: number;

  /** @throws {KernelError} */
  constructor(program: BpfProgram) {
    this.fd = openTracepoint(program.fd, program.name);
  }

  /** No program that began before it returns is guaranteed to have ended. */
  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/**
 * Attaches a program to its tracepoint; any thread may.
 * @returns Descriptor of the link.
 * @throws {KernelError}
 */
export function openTracepoint(programFd: number, name: string): number {
  const attributes = new BpfAttributes().u32(8, programFd);
  return check(
    bpfCall(Command.rawTracepointOpen, attributes),
    "bpf(RAW_TRACEPOINT_OPEN)",
    name,
  );
}

/** A program that the kernel runs for each of its objects, such as tasks, when somebody reads. */
export class IteratorLink implements Disposable {
  readonly fd: number;
  private readonly name: string;

  /** @throws {KernelError} */
  constructor(program: BpfProgram) {
    this.name = program.name;
    const attributes = new BpfAttributes().u32(0, program.fd).u32(8, AttachType.iterator);
    this.fd = check(bpfCall(Command.linkCreate, attributes), "bpf(LINK_CREATE)", program.name);
  }

  /** As {@link runIterator}. */
  run(buffer: Uint8Array<ArrayBuffer>, take?: (bytes: Uint8Array<ArrayBuffer>) => void): void {
    runIterator(this.fd, this.name, buffer, take);
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
  }
}

/**
 * Has an iterator run for all objects.
 *
 * @param linkFd Of its {@link IteratorLink}; any thread may.
 * @param name For the error.
 * @param take Called with what the program wrote, piece by piece; a piece is valid until it returns.
 * @throws {KernelError}
 */
export function runIterator(
  linkFd: number,
  name: string,
  buffer: Uint8Array<ArrayBuffer>,
  take?: (bytes: Uint8Array<ArrayBuffer>) => void,
): void {
  const attributes = new BpfAttributes().u32(0, linkFd);
  const fd = check(bpfCall(Command.iteratorCreate, attributes), "bpf(ITER_CREATE)", name);
  try {
    for (;;) {
      const count = readFd(fd, buffer);
      if (count === 0) return;
      // An iterator that wrote nothing for a thousand objects asks to be read again.
      if (count === -Errno.EAGAIN || count === -Errno.EINTR) continue;
      if (count < 0) throw new KernelError("read", -count, { detail: `iterator ${name}` });
      take?.(buffer.subarray(0, count));
    }
  } finally {
    closeFd(fd);
  }
}

function check(result: number, call: string, name: string): number {
  if (result < 0) throw new KernelError(call, -result, { detail: `${name}: ${hintOf(-result)}` });
  return result;
}

function hintOf(errno: number): string {
  if (errno === Errno.EPERM) return "expected CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN";
  if (errno === Errno.EINVAL || errno === Errno.E2BIG) return "this kernel does not know it";
  return errnoName(errno);
}

function cText(bytes: Uint8Array<ArrayBuffer>): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
