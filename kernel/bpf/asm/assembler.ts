/**
 * Assembles a program of the kernel's BPF machine: each line is an instruction with the reason why it
 * is there. Jumps name labels, immediates may name maps and functions of the kernel; both become
 * numbers when the program is encoded.
 *
 * @module
 */
import {
  ALU_NEGATE,
  AluOp,
  AtomicOp,
  CallKind,
  Class,
  encode,
  type Encoded,
  INSTRUCTION_BYTES,
  JUMP_ALWAYS,
  JUMP_CALL,
  JUMP_EXIT,
  JumpOp,
  Mode,
  placesOf,
  Pseudo,
  Register,
  Source,
  Width,
} from "./encoding.ts";

/** An operand: a register, or a signed 32-bit number. */
export type Operand = Register | number;

/** A program that cannot be encoded: a label, a number or a name is wrong. */
export class AssemblerError extends Error {
  override readonly name = "AssemblerError";
}

/** What a program refers to, by the names that it uses. */
export interface References {
  /** Descriptors of maps. */
  readonly maps: ReadonlyMap<string, number>;
  /** BTF ids of the kernel's functions. */
  readonly functions: ReadonlyMap<string, number>;
}

/** One line: made into an {@link Encoded} when all labels and references are known. */
interface Line {
  /** Labels that stand before it. */
  readonly labels: readonly string[];
  readonly text: string;
  readonly comment: string;
  readonly places: number;
  readonly encode: (refers: Resolver) => Encoded;
}

interface Resolver {
  /** Places from the instruction after this one to a label. */
  distance(label: string): number;
  map(name: string): number;
  kernelFunction(name: string): number;
}

const I16_MIN = -0x8000;
const I16_MAX = 0x7fff;

export class Assembler {
  private readonly lines: Line[] = [];
  private pendingLabels: string[] = [];
  private readonly known = new Set<string>();

  // ---------------------------------------------------------------------------- arithmetic

  /** 64-bit arithmetic: `destination op operand`. */
  op(destination: Register, op: AluOp, operand: Operand, comment = ""): this {
    return this.arithmetic(Class.alu64, destination, op, operand, comment);
  }

  /** 32-bit arithmetic; the upper half of the destination becomes 0. */
  op32(destination: Register, op: AluOp, operand: Operand, comment = ""): this {
    return this.arithmetic(Class.alu32, destination, op, operand, comment);
  }

  private arithmetic(
    kind: number,
    destination: Register,
    op: AluOp,
    operand: Operand,
    comment: string,
  ): this {
    const width = kind === Class.alu32 ? "w" : "";
    return this.add(`${width}${destination} ${op} ${operand}`, comment, {
      opcode: kind | AluOp[op] | sourceOf(operand),
      destination: Register[destination],
      ...operandOf(operand),
      offset: 0,
    });
  }

  /** `destination = -destination` */
  negate(destination: Register, comment = ""): this {
    return this.add(`${destination} = -${destination}`, comment, {
      opcode: Class.alu64 | ALU_NEGATE,
      destination: Register[destination],
      source: 0,
      immediate: 0,
      offset: 0,
    });
  }

  /** A 32-bit number in a register becomes the same signed number in 64 bits. */
  signExtend(destination: Register, comment = ""): this {
    return this.op(destination, "<<=", 32, comment).op(destination, "s>>=", 32);
  }

  // -------------------------------------------------------------------------- 64-bit numbers

  /** A number of 64 bits. */
  number(destination: Register, value: bigint, comment = ""): this {
    return this.wide(destination, Pseudo.number, `${value}`, comment, () => [
      Number(BigInt.asIntN(32, value)),
      Number(BigInt.asIntN(32, value >> 32n)),
    ]);
  }

  /** A map, for a helper's argument. */
  map(destination: Register, name: string, comment = ""): this {
    return this.wide(destination, Pseudo.mapFd, `map ${name}`, comment, (refers) => [
      refers.map(name),
      0,
    ]);
  }

  /** The address of the only value of an array map, and so many bytes more. */
  mapValue(destination: Register, name: string, offsetBytes: number, comment = ""): this {
    return this.wide(
      destination,
      Pseudo.mapValue,
      `&${name}[${offsetBytes}]`,
      comment,
      (refers) => [refers.map(name), offsetBytes],
    );
  }

  private wide(
    destination: Register,
    pseudo: number,
    shown: string,
    comment: string,
    halves: (refers: Resolver) => readonly [number, number],
  ): this {
    return this.push(`${destination} = ${shown}`, comment, 2, (refers) => {
      const [immediate, high] = halves(refers);
      return {
        opcode: Class.ld | Width.u64 | Mode.immediate,
        destination: Register[destination],
        source: pseudo,
        offset: 0,
        immediate,
        high,
      };
    });
  }

  // ----------------------------------------------------------------------------------- memory

  /** `destination = *(width *)(base + offset)` */
  load(
    destination: Register,
    width: Width,
    base: Register,
    offsetBytes: number,
    comment = "",
  ): this {
    return this.add(`${destination} = ${place(width, base, offsetBytes)}`, comment, {
      opcode: Class.ldx | Width[width] | Mode.memory,
      destination: Register[destination],
      source: Register[base],
      offset: offsetBytes,
      immediate: 0,
    });
  }

  /** `*(width *)(base + offset) = operand` */
  store(width: Width, base: Register, offsetBytes: number, operand: Operand, comment = ""): this {
    const kind = typeof operand === "number" ? Class.st : Class.stx;
    return this.add(`${place(width, base, offsetBytes)} = ${operand}`, comment, {
      opcode: kind | Width[width] | Mode.memory,
      destination: Register[base],
      ...operandOf(operand),
      offset: offsetBytes,
    });
  }

  /**
   * Changes memory as one step, and puts what was there before into `operand`; of a compareExchange
   * into r0, which also says what is expected.
   */
  atomic(
    op: AtomicOp,
    width: "u32" | "u64",
    base: Register,
    offsetBytes: number,
    operand: Register,
    comment = "",
  ): this {
    const result = op === "compareExchange" ? "r0" : operand;
    const expected = op === "compareExchange" ? "r0, " : "";
    const text = `${result} = ${op}(${place(width, base, offsetBytes)}, ${expected}${operand})`;
    return this.add(text, comment, {
      opcode: Class.stx | Width[width] | Mode.atomic,
      destination: Register[base],
      source: Register[operand],
      offset: offsetBytes,
      immediate: AtomicOp[op],
    });
  }

  // ------------------------------------------------------------------------------------ jumps

  /** The next instruction can be jumped to, or called, by this name. */
  label(name: string): this {
    if (this.known.has(name)) throw new AssemblerError(`Label ${name} stands twice`);
    this.known.add(name);
    this.pendingLabels.push(name);
    return this;
  }

  jump(label: string, comment = ""): this {
    return this.jumpTo(`goto ${label}`, comment, label, {
      opcode: Class.jmp | JUMP_ALWAYS,
      destination: 0,
      source: 0,
      immediate: 0,
    });
  }

  /** Jumps when `left op right`, both of 64 bits. */
  jumpIf(left: Register, op: JumpOp, right: Operand, label: string, comment = ""): this {
    return this.jumpTo(`if ${left} ${op} ${right} goto ${label}`, comment, label, {
      opcode: Class.jmp | JumpOp[op] | sourceOf(right),
      destination: Register[left],
      ...operandOf(right),
    });
  }

  /** Jumps when `left op right`, comparing the lower 32 bits. */
  jumpIf32(left: Register, op: JumpOp, right: Operand, label: string, comment = ""): this {
    return this.jumpTo(`if w${left} ${op} ${right} goto ${label}`, comment, label, {
      opcode: Class.jmp32 | JumpOp[op] | sourceOf(right),
      destination: Register[left],
      ...operandOf(right),
    });
  }

  private jumpTo(
    text: string,
    comment: string,
    label: string,
    instruction: Omit<Encoded, "offset" | "high">,
  ): this {
    return this.push(text, comment, 1, (refers) => {
      const offset = refers.distance(label);
      if (offset < I16_MIN || offset > I16_MAX) {
        throw new AssemblerError(`Label ${label} is ${offset} places away, expected 16 bits`);
      }
      return { ...instruction, offset };
    });
  }

  /** Calls a helper. bpf-helpers(7) @param name For the listing. */
  callHelper(helper: number, name: string, comment = ""): this {
    return this.add(`call ${name}`, comment, callOf(CallKind.helper, helper));
  }

  /** Calls a function of this program: r1 to r5 are its arguments, r0 its result. */
  callLocal(label: string, comment = ""): this {
    return this.push(
      `call ${label}`,
      comment,
      1,
      (refers) => callOf(CallKind.local, refers.distance(label)),
    );
  }

  /** Calls a function of the kernel that programs may call. Documentation/bpf/kfuncs.rst */
  callKernel(name: string, comment = ""): this {
    return this.push(
      `call ${name}`,
      comment,
      1,
      (refers) => callOf(CallKind.kernel, refers.kernelFunction(name)),
    );
  }

  /** Leaves the function; r0 is its result. */
  exit(comment = ""): this {
    return this.add("exit", comment, {
      opcode: Class.jmp | JUMP_EXIT,
      destination: 0,
      source: 0,
      offset: 0,
      immediate: 0,
    });
  }

  // ----------------------------------------------------------------------------------- result

  private add(text: string, comment: string, instruction: Encoded): this {
    return this.push(text, comment, 1, () => instruction);
  }

  private push(text: string, comment: string, places: number, encodes: Line["encode"]): this {
    const labels = this.pendingLabels;
    this.pendingLabels = [];
    this.lines.push({ labels, text, comment, places, encode: encodes });
    return this;
  }

  /**
   * The program as the kernel takes it.
   * @throws {AssemblerError} A label or reference is unknown, or a number out of its range.
   */
  encode(references: References): Uint8Array<ArrayBuffer> {
    const places = this.places();
    const total = this.lines.reduce((sum, line) => sum + line.places, 0);
    const bytes = new Uint8Array(total * INSTRUCTION_BYTES);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const line of this.lines) {
      const here = at / INSTRUCTION_BYTES;
      const instruction = line.encode({
        distance: (label) => named(places, label, "label") - here - 1,
        map: (name) => named(references.maps, name, "map"),
        kernelFunction: (name) => named(references.functions, name, "function of the kernel"),
      });
      check(instruction, line.text);
      if (placesOf(instruction) !== line.places) {
        throw new AssemblerError(`${line.text}: takes ${placesOf(instruction)} places`);
      }
      at = encode(instruction, view, at);
    }
    return bytes;
  }

  private places(): Map<string, number> {
    const last = this.pendingLabels[0];
    if (last !== undefined) throw new AssemblerError(`No instruction follows label ${last}`);
    const places = new Map<string, number>();
    let place = 0;
    for (const line of this.lines) {
      for (const label of line.labels) places.set(label, place);
      place += line.places;
    }
    return places;
  }

  /** The program to read: place, instruction, and why it is there. */
  listing(): string {
    const lines: string[] = [];
    let place = 0;
    for (const { labels, text, comment, places } of this.lines) {
      for (const label of labels) lines.push(`${label}:`);
      const code = `${String(place).padStart(5)}  ${text}`;
      lines.push(comment === "" ? code : `${code.padEnd(48)} ; ${comment}`);
      place += places;
    }
    return `${lines.join("\n")}\n`;
  }
}

function place(width: Width, base: Register, offsetBytes: number): string {
  const sign = offsetBytes < 0 ? "-" : "+";
  return `*(${width} *)(${base} ${sign} ${Math.abs(offsetBytes)})`;
}

function sourceOf(operand: Operand): number {
  return typeof operand === "number" ? Source.immediate : Source.register;
}

function operandOf(operand: Operand): Pick<Encoded, "source" | "immediate"> {
  return typeof operand === "number"
    ? { source: 0, immediate: operand }
    : { source: Register[operand], immediate: 0 };
}

function callOf(kind: number, immediate: number): Encoded {
  return { opcode: Class.jmp | JUMP_CALL, destination: 0, source: kind, offset: 0, immediate };
}

function named(values: ReadonlyMap<string, number>, name: string, what: string): number {
  const value = values.get(name);
  if (value === undefined) throw new AssemblerError(`There is no ${what} ${name}`);
  return value;
}

function check({ offset, immediate, high = 0 }: Encoded, text: string): void {
  if (!Number.isInteger(offset) || offset < I16_MIN || offset > I16_MAX) {
    throw new AssemblerError(`${text}: offset ${offset}, expected ${I16_MIN} to ${I16_MAX}`);
  }
  for (const number of [immediate, high]) {
    if (!Number.isInteger(number) || number < -0x80000000 || number > 0xffffffff) {
      throw new AssemblerError(`${text}: ${number}, expected a number of 32 bits`);
    }
  }
}
