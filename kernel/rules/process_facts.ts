/**
 * What a process says of itself, for rules: each text from one read of at most
 * {@link TEXT_BYTES_MAX} bytes, however long it is. proc(5)
 *
 * @module
 */
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd, OpenFlag, preadFd, tryOpenBytes } from "../ffi/fd.ts";
import { isGone, PATH_BYTES_MAX, writePath } from "../proc/proc_path.ts";
import { parseStatus } from "../proc/proc_status.ts";
import { ascii, numberAt, statField } from "../proc/proc_text.ts";
import { ProcStatus } from "../../pipeline/ports.ts";
import type { ProcessFacts } from "../../pipeline/rules/matcher.ts";
import { TEXT_BYTES_MAX } from "../../pipeline/rules/victim_rule.ts";

const FILES = {
  stat: ascii("/stat\0"),
  status: ascii("/status\0"),
  cmdline: ascii("/cmdline\0"),
  cgroup: ascii("/cgroup\0"),
  oom_score_adj: ascii("/oom_score_adj\0"),
} as const;
/** Field 6 of /proc/PID/stat: its session, by the pid of the first process of it. */
const SESSION_FIELD = 6;
/** What the kernel puts behind the path of a program whose file is gone. */
const DELETED = " (deleted)";
const NUL = 0;
const BLANK = 32;

/** Bytes that are no UTF-8 become U+FFFD: a name may be any bytes. */
const DECODER = new TextDecoder();

/** Reads processes with one buffer that it reuses: not for two threads at once. */
export class ProcProcessFacts implements ProcessFacts {
  private readonly buffer = new Uint8Array(TEXT_BYTES_MAX);
  private readonly path = new Uint8Array(PATH_BYTES_MAX);
  private readonly status = new ProcStatus();
  private pid = 0;
  private hasStat = false;
  private name: string | undefined;
  private session = 0;

  begin(pid: number): void {
    this.pid = pid;
    this.hasStat = false;
  }

  realUid(): number | undefined {
    const length = this.read("status");
    if (length < 0) return undefined;
    parseStatus(this.buffer, length, this.status);
    return this.status.realUid;
  }

  command(): string | undefined {
    this.readStat();
    return this.name;
  }

  isSessionLeader(): boolean | undefined {
    this.readStat();
    return this.name === undefined ? undefined : this.session === this.pid;
  }

  executable(): string | undefined {
    const path = this.link("exe");
    return path?.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
  }

  directory(): string | undefined {
    return this.link("cwd");
  }

  /** Arguments end with NUL, each; a program may have put anything in their place. */
  commandLine(): string | undefined {
    let length = this.read("cmdline");
    if (length < 0) return undefined;
    const { buffer } = this;
    while (length > 0 && buffer[length - 1] === NUL) length--;
    for (let at = 0; at < length; at++) if (buffer[at] === NUL) buffer[at] = BLANK;
    return DECODER.decode(buffer.subarray(0, length));
  }

  /** Of the unified hierarchy, where it has one there; else as systemd has it. cgroups(7) */
  cgroup(): string | undefined {
    const length = this.read("cgroup");
    if (length < 0) return undefined;
    const lines = DECODER.decode(this.buffer.subarray(0, length)).split("\n");
    const pathOf = (line: string): string =>
      line.slice(line.indexOf(":", line.indexOf(":") + 1) + 1);
    const unified = lines.find((line) => line.startsWith("0::"));
    const systemd = lines.find((line) => line.includes(":name=systemd:"));
    const line = unified !== undefined && pathOf(unified) !== "/" ? unified : systemd ?? unified;
    return line === undefined ? undefined : pathOf(line);
  }

  oomScoreAdj(): number | undefined {
    return this.read("oom_score_adj") < 0 ? undefined : numberAt(this.buffer, 0);
  }

  /** The name may hold anything, parentheses included: it ends with the last one. */
  private readStat(): void {
    if (this.hasStat) return;
    this.hasStat = true;
    this.name = undefined;
    const length = this.read("stat");
    if (length <= 0) return;
    const { buffer } = this;
    const begin = buffer.indexOf(0x28) + 1;
    const end = buffer.lastIndexOf(0x29, length - 1);
    this.name = DECODER.decode(buffer.subarray(begin, end));
    this.session = statField(buffer, length, SESSION_FIELD);
  }

  /** Bytes of a file in the buffer; -1: the process is gone. @throws {KernelError} */
  private read(file: keyof typeof FILES): number {
    writePath(this.path, this.pid, FILES[file]);
    const fd = tryOpenBytes(this.path, OpenFlag.O_RDONLY);
    if (fd < 0) {
      if (isGone(fd)) return -1;
      throw new KernelError("open", -fd, { path: `/proc/${this.pid}/${file}` });
    }
    let length = preadFd(fd, this.buffer, 0);
    while (length === -Errno.EINTR) length = preadFd(fd, this.buffer, 0);
    closeFd(fd);
    if (length >= 0) return length;
    if (isGone(length)) return -1;
    throw new KernelError("read", -length, { path: `/proc/${this.pid}/${file}` });
  }

  private link(name: string): string | undefined {
    try {
      return Deno.readLinkSync(`/proc/${this.pid}/${name}`);
    } catch {
      // It is gone, a thread of the kernel, or ends at this moment.
      return undefined;
    }
  }
}
