/**
 * What tests of the kernel's books share: a workload in C, and the truth about a user from /proc.
 *
 * @module
 */
import { BpfRecord, BpfRecordKind } from "../../../kernel/bpf/programs/books_layout.ts";
import type { RingBuffer } from "../../../kernel/bpf/ring_buffer.ts";
import { Btf, KERNEL_BTF_PATH } from "../../../kernel/bpf/types/btf.ts";
import { type KernelLayout, kernelLayout } from "../../../kernel/bpf/types/kernel_layout.ts";
import { hasFile, isRoot } from "../../_support/real_kernel.ts";

const SOURCE = new URL("./workload.c", import.meta.url).pathname;
const COMPILER = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].find(hasFile);
const PAGE_KIB = 4;
const COUNTED = ["RssAnon", "RssShmem", "VmSwap"];

/** Why these tests cannot run here; undefined when they can. */
export function whyNoBpf(): string | undefined {
  if (!isRoot()) return "needs root";
  if (!hasFile(KERNEL_BTF_PATH)) return `this kernel has no ${KERNEL_BTF_PATH}`;
  if (COMPILER === undefined) return "needs a C compiler for its workload";
  try {
    layout();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return undefined;
}

let known: KernelLayout | undefined;

export function layout(): KernelLayout {
  return known ??= kernelLayout(new Btf(Deno.readFileSync(KERNEL_BTF_PATH)));
}

/** The workload's program, where its user can run it. */
export class WorkloadProgram implements Disposable {
  readonly dirPath = Deno.makeTempDirSync({ prefix: "toom-bpf-" });
  private readonly path = `${this.dirPath}/workload`;

  constructor() {
    Deno.chmodSync(this.dirPath, 0o755);
    const { success, stderr } = new Deno.Command(COMPILER!, {
      args: ["-O2", "-pthread", "-Wl,-z,now", "-o", this.path, SOURCE],
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  /** Starts it as a user; it waits until {@link Workload.go}. */
  start(uid: number, ...args: (string | number)[]): Workload {
    return new Workload(
      new Deno.Command(this.path, {
        args: args.map(String),
        uid,
        gid: uid,
        cwd: "/",
        stdin: "piped",
        stdout: "piped",
      }).spawn(),
    );
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dirPath, { recursive: true });
  }
}

/** A uid that no other run of the tests has, though two may run at the same time; some above 61000. */
export function scratchUid(index: number): number {
  return 61_000 + Deno.pid % 4096 * 8 + index;
}

export class Workload implements AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  private readonly text = new TextDecoder();
  private said = "";

  constructor(child: Deno.ChildProcess) {
    this.pid = child.pid;
    this.status = child.status;
    this.reader = child.stdout.getReader();
    this.writer = child.stdin.getWriter();
  }

  /** @returns Whether it said so before it ended. */
  async says(word: string): Promise<boolean> {
    while (!this.said.includes(word)) {
      const { value, done } = await this.reader.read();
      if (done) return false;
      this.said += this.text.decode(value);
    }
    return true;
  }

  /** How often it has said a letter. */
  async saysTimes(letter: string, times: number): Promise<void> {
    while (this.said.split(letter).length - 1 < times) {
      const { value, done } = await this.reader.read();
      if (done) return;
      this.said += this.text.decode(value);
    }
  }

  async go(): Promise<void> {
    await this.says("ready");
    await this.goOn();
    await this.says("go");
  }

  /** Gives it the byte that it waits for. */
  async goOn(): Promise<void> {
    await this.writer.write(new Uint8Array([1]));
  }

  /** Forgets what it has said, to wait for the same word again. */
  forget(): void {
    this.said = "";
  }

  /** Lets it end. */
  async end(): Promise<Deno.CommandStatus> {
    await this.writer.close().catch(() => {});
    const status = await this.status;
    await this.reader.cancel();
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(this.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.end();
  }
}

/** A kill that a program has recorded, or that somebody is over; pages. */
export interface TestRecord {
  readonly kind: number;
  readonly tsNs: number;
  /** Of a kill the victim's process. */
  readonly other: number;
  readonly uid: number;
  readonly pages: number;
  readonly totalPages: number;
  readonly result: number;
}

/** Takes the records that there are, and gives those of some kinds. */
export function takeRecords(
  ring: RingBuffer,
  kinds: readonly number[] = [BpfRecordKind.killed, BpfRecordKind.over],
): TestRecord[] {
  const records: TestRecord[] = [];
  const { buffer, byteOffset } = ring.words;
  const data = new DataView(buffer, byteOffset);
  ring.read((word) => {
    const at = word * 4;
    const number = (field: number): number => Number(data.getBigInt64(at + field, true));
    const kind = data.getUint32(at + BpfRecord.kind, true);
    if (!kinds.includes(kind)) return;
    records.push({
      kind,
      tsNs: number(BpfRecord.tsNs),
      other: data.getUint32(at + BpfRecord.other, true),
      uid: data.getUint32(at + BpfRecord.uid, true),
      pages: number(BpfRecord.pages),
      totalPages: number(BpfRecord.totalPages),
      result: number(BpfRecord.result),
    });
  });
  return records;
}

/** Processes of a user. */
export function pidsOf(uid: number): number[] {
  const pids: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (/^\d+$/.test(name) && uidIn(statusOf(name)) === uid) pids.push(Number(name));
  }
  return pids;
}

/** Counted pages of a user: the sum over its processes, of which those share no mm. */
export function truePagesOf(uid: number, fields: readonly string[] = COUNTED): number {
  let pages = 0;
  for (const pid of pidsOf(uid)) {
    // A leader that has ended has no memory to tell of; its other threads have.
    for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const status = statusOf(`${pid}/task/${tid}`);
      if (!status.includes("RssAnon")) continue;
      for (const field of fields) {
        const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
        pages += Number(kib ?? 0) / PAGE_KIB;
      }
      break;
    }
  }
  return pages;
}

function statusOf(path: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${path}/status`);
  } catch {
    return "";
  }
}

function uidIn(status: string): number {
  return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? -1);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until something is so, or five seconds. */
export async function until(isSo: () => boolean): Promise<boolean> {
  for (let i = 0; i < 500; i++) {
    if (isSo()) return true;
    await sleep(10);
  }
  return isSo();
}
