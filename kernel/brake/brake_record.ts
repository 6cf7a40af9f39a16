/**
 * The file that remembers which processes are lowered, so that the next toom can undo it: lines that are
 * only added, each with its own checksum. What a crash has cut off in the middle of a line does not
 * count, and the lines before it stay as they are. A line is written before the first limit of its
 * family is lowered; as processes end with the machine, nothing need be synced to the disk, and lines
 * of an earlier boot do not count.
 *
 *     toom-brake 1 BOOT-ID                                             first line
 *     + ID SOFT-BYTES SINCE-TICKS PID START-TICKS CHECKSUM             a family begins
 *     - ID CHECKSUM                                                    it has ended
 *
 * @module
 */
import type { BrakeRecord, RecordedFamily } from "../../pipeline/brake/brake_kernel.ts";
import { isFamilyId } from "../../pipeline/brake/marks.ts";
import { Errno, KernelError } from "../ffi/errno.ts";
import { closeFd, openFd, OpenFlag, readTextFile, writeFd } from "../ffi/fd.ts";

export const BRAKE_RECORD_NAME = "brake.record";
/** Written anew when it is longer, bytes. */
const COMPACT_BYTES = 64 * 1024;
const encoder = new TextEncoder();

export class BrakeRecordFile implements BrakeRecord {
  readonly left: readonly RecordedFamily[];
  private readonly path: string;
  private readonly bootId: string;
  private readonly families = new Map<number, RecordedFamily>();
  private fd = -1;
  private bytes = 0;
  /** The last line may not end in a newline. */
  private isTorn = false;

  /** @param dirPath Where the file is, or will be. @throws {KernelError} When it cannot be read. */
  constructor(dirPath: string, bootId: string) {
    this.path = `${dirPath}/${BRAKE_RECORD_NAME}`;
    this.bootId = bootId;
    for (const family of readFamilies(this.path, bootId)) this.families.set(family.id, family);
    this.left = [...this.families.values()];
  }

  prepare(): void {
    this.open();
  }

  begin(family: RecordedFamily): boolean {
    const { id, softBytes, sinceTicks, pid, startTicks } = family;
    if (!this.open()) return false;
    if (!this.write(`+ ${id} ${softBytes} ${sinceTicks} ${pid} ${startTicks}`)) return false;
    this.families.set(id, family);
    return true;
  }

  end(id: number): void {
    if (!this.families.delete(id)) return;
    if (this.open()) this.write(`- ${id}`);
    if (this.bytes > COMPACT_BYTES || this.families.size === 0) this.compact();
  }

  close(): void {
    if (this.fd >= 0) closeFd(this.fd);
    this.fd = -1;
  }

  /** Opens the file as it is, where it is of this boot; else begins a new one. */
  private open(): boolean {
    if (this.fd >= 0) return true;
    return this.compact();
  }

  /** A new file takes the place of the old one: all of it or nothing. */
  private compact(): boolean {
    const temporary = `${this.path}.new`;
    let fd = -1;
    try {
      fd = openFd(temporary, OpenFlag.O_WRONLY | OpenFlag.O_CREAT | OpenFlag.O_TRUNC);
      let text = `toom-brake 1 ${this.bootId}\n`;
      for (const { id, softBytes, sinceTicks, pid, startTicks } of this.families.values()) {
        text += lineOf(`+ ${id} ${softBytes} ${sinceTicks} ${pid} ${startTicks}`);
      }
      writeAll(fd, text);
      Deno.renameSync(temporary, this.path);
      this.close();
      this.fd = fd;
      this.bytes = text.length;
      this.isTorn = false;
      return true;
    } catch {
      if (fd >= 0) closeFd(fd);
      return this.fd >= 0;
    }
  }

  private write(text: string): boolean {
    // What a full disk has cut off must not become part of this line.
    const line = (this.isTorn ? "\n" : "") + lineOf(text);
    try {
      writeAll(this.fd, line);
      this.bytes += line.length;
      this.isTorn = false;
      return true;
    } catch {
      this.isTorn = true;
      return false;
    }
  }
}

/** @throws {KernelError} */
function writeAll(fd: number, text: string): void {
  let rest = encoder.encode(text);
  while (rest.length > 0) {
    const count = writeFd(fd, rest);
    if (count === -Errno.EINTR) continue;
    if (count <= 0) throw new KernelError("write", -count);
    rest = rest.subarray(count);
  }
}

function lineOf(text: string): string {
  return `${text} ${checksum(text)}\n`;
}

/** FNV-1a, 32 bits, in hexadecimal. */
export function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** Families that a file says have begun and not ended. @throws {KernelError} */
function readFamilies(path: string, bootId: string): Iterable<RecordedFamily> {
  let text: string;
  try {
    text = readTextFile(path);
  } catch (error) {
    if (error instanceof KernelError && error.errno === Errno.ENOENT) return [];
    throw error;
  }
  return familiesIn(text, bootId).values();
}

/** As {@link readFamilies}, of a text. What is no whole line of the kind does not count. */
export function familiesIn(text: string, bootId: string): Map<number, RecordedFamily> {
  const families = new Map<number, RecordedFamily>();
  const [head, ...lines] = text.split("\n");
  if (head !== `toom-brake 1 ${bootId}`) return families;
  // Behind the last newline there is nothing, or what a crash has cut off.
  lines.pop();
  for (const line of lines) {
    const [, body, sum] = /^(.*) ([0-9a-f]{8})$/.exec(line) ?? [];
    if (body === undefined || checksum(body) !== sum) continue;
    const begun = /^\+ (\d+) (\d+) (\d+) (\d+) (\d+)$/.exec(body);
    const ended = /^- (\d+)$/.exec(body);
    if (ended !== null) families.delete(Number(ended[1]));
    if (begun === null || !isFamilyId(Number(begun[1]))) continue;
    const [id, , sinceTicks, pid, startTicks] = begun.slice(1).map(Number);
    families.set(id!, {
      id: id!,
      softBytes: BigInt(begun[2]!),
      sinceTicks: sinceTicks!,
      pid: pid!,
      startTicks: startTicks!,
    });
  }
  return families;
}
