/**
 * How a program is linked: what a library can be put before. elf(5)
 *
 * @module
 */

const ELF_MAGIC = 0x7f454c46;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_INTERP = 3;
const PHOFF = 32;
const PHENTSIZE = 54;
const PHNUM = 56;
/** Headers lie at the start in practice; what lies beyond is not looked for. */
const HEAD_BYTES = 16_384;

/**
 * `static`: without a dynamic loader; `musl`: with one that is not glibc's; `dynamic`: as usual;
 * `other`: no program of this machine, such as a script.
 */
export type Linkage = "static" | "musl" | "dynamic" | "other";

/** Tells how a program is linked by its first bytes. */
export function linkageOf(head: Uint8Array): Linkage {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < 64 || view.getUint32(0) !== ELF_MAGIC) return "other";
  if (head[4] !== CLASS_64 || head[5] !== LITTLE_ENDIAN) return "other";
  const table = Number(view.getBigUint64(PHOFF, true));
  const entryBytes = view.getUint16(PHENTSIZE, true);
  const count = view.getUint16(PHNUM, true);
  for (let index = 0; index < count; index++) {
    const at = table + index * entryBytes;
    if (at + 40 > head.length) return "other";
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const start = Number(view.getBigUint64(at + 8, true));
    const bytes = Number(view.getBigUint64(at + 32, true));
    const loader = new TextDecoder().decode(head.subarray(start, start + bytes));
    return loader.includes("ld-musl") ? "musl" : "dynamic";
  }
  return "static";
}

/** Tells how a file is linked; `other` when it cannot be read. */
export function linkageOfFile(path: string): Linkage {
  try {
    using file = Deno.openSync(path);
    const head = new Uint8Array(HEAD_BYTES);
    let length = 0;
    for (let count = file.readSync(head); count !== null && count > 0;) {
      length += count;
      count = length < head.length ? file.readSync(head.subarray(length)) : 0;
    }
    return linkageOf(head.subarray(0, length));
  } catch {
    return "other";
  }
}
