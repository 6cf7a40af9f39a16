/**
 * How an instruction of the kernel's BPF machine is encoded: eight bytes, opcode u8, destination in the
 * low and source in the high half of a byte, offset s16, immediate s32.
 * Documentation/bpf/standardization/instruction-set.rst
 *
 * @module
 */

/** Bytes of an instruction; those with a 64-bit immediate take two. */
export const INSTRUCTION_BYTES = 8;

/** Registers: r0 result; r1 to r5 arguments, lost over calls; r6 to r9 kept; r10 the stack's top. */
export const Register = {
  r0: 0,
  r1: 1,
  r2: 2,
  r3: 3,
  r4: 4,
  r5: 5,
  r6: 6,
  r7: 7,
  r8: 8,
  r9: 9,
  r10: 10,
} as const;
export type Register = keyof typeof Register;

/** Low three bits of an opcode. */
export const Class = {
  ld: 0x00,
  ldx: 0x01,
  st: 0x02,
  stx: 0x03,
  alu32: 0x04,
  jmp: 0x05,
  jmp32: 0x06,
  alu64: 0x07,
} as const;

/** Of arithmetic and jumps: the second operand is the immediate, or the source register. */
export const Source = { immediate: 0x00, register: 0x08 } as const;

/** Arithmetic, by the operator that a listing shows. */
export const AluOp = {
  "+=": 0x00,
  "-=": 0x10,
  "*=": 0x20,
  "/=": 0x30,
  "|=": 0x40,
  "&=": 0x50,
  "<<=": 0x60,
  ">>=": 0x70,
  "%=": 0x90,
  "^=": 0xa0,
  "=": 0xb0,
  "s>>=": 0xc0,
} as const;
export type AluOp = keyof typeof AluOp;
/** The only arithmetic with one operand. */
export const ALU_NEGATE = 0x80;

/** Conditions of jumps; "s" compares as signed, "&" whether a bit is in common. */
export const JumpOp = {
  "==": 0x10,
  ">": 0x20,
  ">=": 0x30,
  "&": 0x40,
  "!=": 0x50,
  "s>": 0x60,
  "s>=": 0x70,
  "<": 0xa0,
  "<=": 0xb0,
  "s<": 0xc0,
  "s<=": 0xd0,
} as const;
export type JumpOp = keyof typeof JumpOp;
export const JUMP_ALWAYS = 0x00;
export const JUMP_CALL = 0x80;
export const JUMP_EXIT = 0x90;

/** Width of a load or store. */
export const Width = { u8: 0x10, u16: 0x08, u32: 0x00, u64: 0x18 } as const;
export type Width = keyof typeof Width;

/** Mode of a load or store. */
export const Mode = { immediate: 0x00, memory: 0x60, atomic: 0xc0 } as const;

/** Immediate of an atomic store; each gives back what was there before. */
export const AtomicOp = { fetchAdd: 0x01, exchange: 0xe1, compareExchange: 0xf1 } as const;
export type AtomicOp = keyof typeof AtomicOp;

/** Source register of a 64-bit immediate: what the number stands for. linux/bpf.h BPF_PSEUDO_* */
export const Pseudo = { number: 0, mapFd: 1, mapValue: 2, btfId: 3 } as const;

/** Source register of a call: a helper by its number, a function of the program, one of the kernel's. */
export const CallKind = { helper: 0, local: 1, kernel: 2 } as const;

/** One instruction, or with `high` a 64-bit immediate. */
export interface Encoded {
  readonly opcode: number;
  readonly destination: number;
  readonly source: number;
  /** -32768 to 32767. */
  readonly offset: number;
  /** Signed or unsigned 32 bits. */
  readonly immediate: number;
  /** Upper 32 bits of a 64-bit immediate. */
  readonly high?: number;
}

/** @returns How many places of eight bytes it takes. */
export function placesOf(instruction: Encoded): number {
  return instruction.high === undefined ? 1 : 2;
}

/** Writes one instruction, little endian. @returns The byte behind it. */
export function encode(instruction: Encoded, view: DataView, at: number): number {
  view.setUint8(at, instruction.opcode);
  view.setUint8(at + 1, instruction.destination | instruction.source << 4);
  view.setInt16(at + 2, instruction.offset, true);
  view.setInt32(at + 4, instruction.immediate, true);
  if (instruction.high === undefined) return at + INSTRUCTION_BYTES;
  view.setUint32(at + INSTRUCTION_BYTES, 0, true);
  view.setInt32(at + INSTRUCTION_BYTES + 4, instruction.high, true);
  return at + 2 * INSTRUCTION_BYTES;
}
