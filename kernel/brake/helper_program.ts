/**
 * The helper that sets limits where toom may not: without CAP_SYS_RESOURCE, prlimit(2) is allowed only
 * to who has the ids of the process. A program of 200 bytes, made here and kept in memory, so that
 * nothing need be installed or compiled.
 *
 * It closes all descriptors but its socket, takes the user's ids, and answers requests until the socket
 * is closed. A request has 24 bytes: pid, 0, and the new `struct rlimit64` of RLIMIT_DATA. The answer
 * has the pid, the result (0 or minus the error number), and the old one. As its process belongs to the
 * user, the user may end or stop it, and gains nothing: only its own processes are braked by it. Nobody
 * but root can look into it or change it (PR_SET_DUMPABLE), so that it may run before ordinary tasks.
 *
 * The sources are `kernel/brake/helper_x86_64.S` and `kernel/brake/helper_aarch64.S`;
 * `tests/kernel/brake/helper_test.ts` compares the bytes with what the assembler makes of them.
 *
 * @module
 */

/** Code, whose first 8 bytes are the uid and the gid, in hexadecimal. */
export const HELPER_CODE: Readonly<Record<string, string>> = {
  x86_64: "0000000000000000b8b4010000bf01000000beffffffff31d20f05b89d000000bf0f000000488d359700" +
    "00000f05b87400000031ff31f60f0585c0757db8770000008b3dbcffffff89fe89fa0f0585c07568b875" +
    "0000008b3da3ffffff89fe89fa0f0585c07553b89d000000bf0400000031f60f054883ec2031c031ff48" +
    "89e6ba180000000f0583f818752eb82e0100008b3c24be02000000488d5424084989d20f0589442404b8" +
    "0100000031ff4889e6ba180000000f05ebbfb8e700000031ff0f05746f6f6d2d6272616b6500",
  aarch64: "0000000000000000883680d2200080520100801202008052010000d4e81480d2e0018052010600100100" +
    "00d4e81380d2000080d2010080d2010000d4e00400b513feff10a81280d2600640b9e103002ae203002a" +
    "010000d4000400b5681280d2600240b9e103002ae203002a010000d4400300b5e81480d2800080520100" +
    "80d2010000d4ff8300d1e80780d2000080d2e1030091020380d2010000d41f6000f1c1010054a82080d2" +
    "e00340b9410080d2e2230091e30302aa010000d4e00700b9080880d2000080d2e1030091020380d20100" +
    "00d4edffff17c80b80d2000080d2010000d4746f6f6d2d6272616b6500",
};

export const REQUEST_BYTES = 24;

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CODE_OFFSET = HEADER_BYTES + PROGRAM_HEADER_BYTES;
/** Behind the two ids. */
const ENTRY_OFFSET = CODE_OFFSET + 8;
const BASE_ADDRESS = 0x40_0000n;
/** elf(5) */
const ET_EXEC = 2;
const EM_X86_64 = 62;
const EM_AARCH64 = 183;
const PT_LOAD = 1;
const PF_R_X = 5;
const ALIGNMENT = 0x1_0000n;

/** An ELF program of one segment. @throws {RangeError} When there is none for the architecture. */
export function helperProgram(
  uid: number,
  gid: number,
  arch: string = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const hex = HELPER_CODE[arch];
  if (hex === undefined) throw new RangeError(`no helper for the architecture ${arch}`);
  const code = Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
  const program = new Uint8Array(CODE_OFFSET + code.length);
  const view = new DataView(program.buffer);
  const size = BigInt(program.length);
  // e_ident: the magic, 64 bits, little endian, version 1.
  program.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, arch === "x86_64" ? EM_X86_64 : EM_AARCH64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BASE_ADDRESS + BigInt(ENTRY_OFFSET), true);
  view.setBigUint64(32, BigInt(HEADER_BYTES), true);
  view.setUint16(52, HEADER_BYTES, true);
  view.setUint16(54, PROGRAM_HEADER_BYTES, true);
  view.setUint16(56, 1, true);
  view.setUint32(HEADER_BYTES, PT_LOAD, true);
  view.setUint32(HEADER_BYTES + 4, PF_R_X, true);
  view.setBigUint64(HEADER_BYTES + 16, BASE_ADDRESS, true);
  view.setBigUint64(HEADER_BYTES + 24, BASE_ADDRESS, true);
  view.setBigUint64(HEADER_BYTES + 32, size, true);
  view.setBigUint64(HEADER_BYTES + 40, size, true);
  view.setBigUint64(HEADER_BYTES + 48, ALIGNMENT, true);
  program.set(code, CODE_OFFSET);
  view.setUint32(CODE_OFFSET, uid, true);
  view.setUint32(CODE_OFFSET + 4, gid, true);
  return program;
}
