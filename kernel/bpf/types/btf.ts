/**
 * Reads BTF, in which a kernel describes its own types: where a field lies in a structure, and which
 * id a type or a function has. Documentation/bpf/btf.rst, linux/btf.h
 *
 * Only what programs need of it: named structures with their fields, typedefs and functions. A kernel
 * has some 150 000 types in 5 MB; reading their headers takes tens of milliseconds, once.
 *
 * @module
 */

/** Where a kernel keeps its description, for root. */
export const KERNEL_BTF_PATH = "/sys/kernel/btf/vmlinux";

const MAGIC = 0xeb9f;
const VERSION = 1;
const HEADER_BYTES = 24;
const TYPE_BYTES = 12;
const MEMBER_BYTES = 12;

/** BTF_KIND_*, those that are told apart here. */
export const BtfKind = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  function: 12,
  functionProto: 13,
  variable: 14,
  section: 15,
  declTag: 17,
  typeTag: 18,
  enum64: 19,
} as const;
/** Kinds whose size is in their header. */
const SIZED: ReadonlySet<number> = new Set([
  BtfKind.int,
  BtfKind.struct,
  BtfKind.union,
  BtfKind.enum,
  BtfKind.section,
  16, // float
  BtfKind.enum64,
]);

/** Bytes behind the header of a type: a fixed number, and so many for each of its members. */
const TAILS: ReadonlyMap<number, readonly [fixed: number, each: number]> = new Map([
  [BtfKind.int, [4, 0]],
  [BtfKind.array, [12, 0]],
  [BtfKind.struct, [0, MEMBER_BYTES]],
  [BtfKind.union, [0, MEMBER_BYTES]],
  [BtfKind.enum, [0, 8]],
  [BtfKind.functionProto, [0, 8]],
  [BtfKind.variable, [4, 0]],
  [BtfKind.section, [0, 12]],
  [BtfKind.declTag, [4, 0]],
  [BtfKind.enum64, [0, 12]],
]);
/** Kinds that are a header and nothing more: pointer, forward, typedef, qualifiers, function, float. */
const KIND_MAX = 19;
/** More typedefs and qualifiers, or structures within structures, than any kernel has in a row. */
const DEPTH_MAX = 64;

/** It is not BTF, or not as expected. */
export class BtfError extends Error {
  override readonly name = "BtfError";
}

/** A field of a structure. */
export interface BtfField {
  /** From the start of the structure that was asked for. */
  readonly offsetBytes: number;
  /** Id of its type. */
  readonly type: number;
}

/** A type that is looked for; its name ends with a 0. */
interface Wanted {
  readonly key: string;
  readonly kind: number;
  readonly name: Uint8Array;
}

function keyOf(kind: number, name: string): string {
  return `${kind} ${name}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

export class Btf {
  private readonly view: DataView;
  private readonly stringsAt: number;
  private readonly stringsEnd: number;
  /** By id: where the type's header lies; 0 for id 0, which is void. */
  private readonly typeAt: Uint32Array;
  private readonly text = new TextDecoder();
  /** What {@link lookUp} has found, by kind and name; 0 for what is not there. */
  private readonly known = new Map<string, number>();

  /** @throws {BtfError} When it is none. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_BYTES) {
      throw new BtfError(
        `This is no BTF: it has ${bytes.length} bytes, expected a header of ${HEADER_BYTES}`,
      );
    }
    const magic = this.view.getUint16(0, true);
    if (magic !== MAGIC) {
      throw new BtfError(
        `This is no BTF of a little-endian kernel: it begins with ${hex(bytes[0]!)} ${
          hex(bytes[1]!)
        }, expected 9f eb`,
      );
    }
    if (bytes[2] !== VERSION) {
      throw new BtfError(`BTF is of version ${bytes[2]}, expected ${VERSION}`);
    }
    const headerBytes = this.view.getUint32(4, true);
    const typesAt = headerBytes + this.view.getUint32(8, true);
    const typesEnd = typesAt + this.view.getUint32(12, true);
    this.stringsAt = headerBytes + this.view.getUint32(16, true);
    this.stringsEnd = this.stringsAt + this.view.getUint32(20, true);
    const end = Math.max(typesEnd, this.stringsEnd);
    if (end > bytes.length) {
      throw new BtfError(`BTF is cut off: it has ${bytes.length} bytes, expected ${end}`);
    }
    this.typeAt = this.index(typesAt, typesEnd);
  }

  private index(typesAt: number, typesEnd: number): Uint32Array {
    // A type takes at least its header.
    const found = new Uint32Array(1 + Math.floor((typesEnd - typesAt) / TYPE_BYTES));
    let count = 1;
    let at = typesAt;
    while (at + TYPE_BYTES <= typesEnd) {
      found[count++] = at;
      const info = this.view.getUint32(at + 4, true);
      const kind = info >>> 24 & 0x1f;
      if (kind === 0 || kind > KIND_MAX) {
        throw new BtfError(`BTF type ${count - 1} is of kind ${kind}, expected 1 to ${KIND_MAX}`);
      }
      const [fixed, each] = TAILS.get(kind) ?? [0, 0];
      at += TYPE_BYTES + fixed + each * (info & 0xffff);
    }
    if (at !== typesEnd) throw new BtfError("The last type of BTF is cut off");
    return found.subarray(0, count);
  }

  /** Types, void included. */
  get count(): number {
    return this.typeAt.length;
  }

  kindOf(type: number): number {
    return type === 0 ? 0 : this.info(type) >>> 24 & 0x1f;
  }

  private info(type: number): number {
    return this.view.getUint32(this.at(type) + 4, true);
  }

  private at(type: number): number {
    const at = this.typeAt[type];
    if (at === undefined || type === 0) throw new BtfError(`There is no BTF type ${type}`);
    return at;
  }

  /** Empty for what has no name. */
  nameOf(type: number): string {
    return type === 0 ? "void" : this.string(this.view.getUint32(this.at(type), true));
  }

  private string(offset: number): string {
    const start = this.stringsAt + offset;
    if (start > this.stringsEnd) throw new BtfError(`There is no BTF string at ${offset}`);
    let end = start;
    while (end < this.stringsEnd && this.view.getUint8(end) !== 0) end++;
    return this.text.decode(
      new Uint8Array(this.view.buffer, this.view.byteOffset + start, end - start),
    );
  }

  /**
   * The first type of a kind and name.
   * @param kind {@link BtfKind}.
   * @returns Its id; 0 when there is none.
   */
  find(kind: number, name: string): number {
    this.lookUp([[kind, name]]);
    return this.known.get(keyOf(kind, name))!;
  }

  /**
   * Looks many types up in one pass, because a pass over all types takes some milliseconds:
   * {@link find} does not search for these again.
   */
  lookUp(names: readonly (readonly [kind: number, name: string])[]): void {
    const wanted: Wanted[] = [];
    for (const [kind, name] of names) {
      const key = keyOf(kind, name);
      if (this.known.has(key)) continue;
      this.known.set(key, 0);
      wanted.push({ key, kind, name: new TextEncoder().encode(`${name}\0`) });
    }
    if (wanted.length === 0) return;
    // Each name has two bytes, with the 0 behind it; few begin with two that are wanted.
    const isBeginning = new Uint8Array(1 << 16);
    let kinds = 0;
    for (const { kind, name } of wanted) {
      isBeginning[name[0]! | name[1]! << 8] = 1;
      kinds |= 1 << kind;
    }
    for (let type = 1; type < this.count; type++) {
      const at = this.typeAt[type]!;
      const kind = this.view.getUint32(at + 4, true) >>> 24 & 0x1f;
      if ((kinds >>> kind & 1) === 0) continue;
      const start = this.stringsAt + this.view.getUint32(at, true);
      if (start + 2 > this.stringsEnd) continue;
      if (isBeginning[this.view.getUint16(start, true)] === 0) continue;
      for (const one of wanted) {
        if (one.kind !== kind || this.known.get(one.key) !== 0) continue;
        if (this.isNamed(start, one.name)) this.known.set(one.key, type);
      }
    }
  }

  /** Compares bytes, because decoding the names of all types would take a tenth of a second. */
  private isNamed(start: number, wanted: Uint8Array): boolean {
    if (start + wanted.length > this.stringsEnd) return false;
    for (let i = 0; i < wanted.length; i++) {
      if (this.view.getUint8(start + i) !== wanted[i]) return false;
    }
    return true;
  }

  /** As {@link find}. @throws {BtfError} When there is none. */
  get(kind: number, name: string): number {
    const type = this.find(kind, name);
    if (type === 0) throw new BtfError(`This kernel has no type ${name}`);
    return type;
  }

  /** The type behind typedefs and qualifiers. */
  resolve(type: number): number {
    let here = type;
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      switch (this.kindOf(here)) {
        case BtfKind.typedef:
        case BtfKind.volatile:
        case BtfKind.const:
        case BtfKind.restrict:
        case BtfKind.typeTag:
          here = this.target(here);
          break;
        default:
          return here;
      }
    }
    throw new BtfError(`BTF type ${type} is a typedef of itself`);
  }

  /** What a pointer, typedef or qualifier refers to; a function's prototype. */
  target(type: number): number {
    return this.view.getUint32(this.at(type) + 8, true);
  }

  /** Bytes of a value. @throws {BtfError} It has none, such as a function. */
  sizeOf(type: number): number {
    return this.sizeWithin(type, 0);
  }

  private sizeWithin(type: number, depth: number): number {
    const here = this.resolve(type);
    if (this.kindOf(here) === BtfKind.pointer) return 8;
    if (this.kindOf(here) === BtfKind.array) {
      if (depth === DEPTH_MAX) throw new BtfError(`${this.shown(type)} is an array of itself`);
      const { element, length } = this.arrayOf(here);
      return this.sizeWithin(element, depth + 1) * length;
    }
    if (!SIZED.has(this.kindOf(here))) throw new BtfError(`${this.shown(here)} has no size`);
    return this.view.getUint32(this.at(here) + 8, true);
  }

  private shown(type: number): string {
    return this.nameOf(type) || `BTF type ${type}`;
  }

  /** @throws {BtfError} When it is no array. */
  arrayOf(type: number): { readonly element: number; readonly length: number } {
    const here = this.resolve(type);
    if (this.kindOf(here) !== BtfKind.array) {
      throw new BtfError(`${this.shown(type)} is no array`);
    }
    const at = this.at(here) + TYPE_BYTES;
    return { element: this.view.getUint32(at, true), length: this.view.getUint32(at + 8, true) };
  }

  /**
   * A field of a structure, also of those within it that have no name of their own.
   * @returns undefined when it has none of that name that begins at a byte.
   */
  findField(type: number, name: string): BtfField | undefined {
    return this.fieldIn(type, name, []);
  }

  private fieldIn(type: number, name: string, within: readonly number[]): BtfField | undefined {
    const here = this.resolve(type);
    // At once, as one that holds itself often takes time without end.
    if (within.includes(here)) throw new BtfError(`${this.shown(type)} holds itself`);
    const kind = this.kindOf(here);
    if (kind !== BtfKind.struct && kind !== BtfKind.union) return undefined;
    const info = this.info(here);
    const hasBitFields = info >>> 31 === 1;
    for (let i = 0; i < (info & 0xffff); i++) {
      const at = this.at(here) + TYPE_BYTES + i * MEMBER_BYTES;
      const fieldName = this.string(this.view.getUint32(at, true));
      const fieldType = this.view.getUint32(at + 4, true);
      const bits = this.view.getUint32(at + 8, true);
      const offsetBytes = (hasBitFields ? bits & 0xffffff : bits) / 8;
      if (fieldName === name) {
        return Number.isInteger(offsetBytes) ? { offsetBytes, type: fieldType } : undefined;
      }
      if (fieldName !== "") continue;
      const inner = this.fieldIn(fieldType, name, [...within, here]);
      if (inner !== undefined) {
        return { offsetBytes: offsetBytes + inner.offsetBytes, type: inner.type };
      }
    }
    return undefined;
  }

  /** As {@link findField}. @throws {BtfError} When there is none. */
  field(type: number, name: string): BtfField {
    const found = this.findField(type, name);
    if (found === undefined) {
      throw new BtfError(`${this.shown(type)} has no field ${name} in this kernel`);
    }
    return found;
  }

  /**
   * Names of the parameters of a function, a pointer to one or a typedef of that.
   * @throws {BtfError} When it is none.
   */
  parametersOf(type: number): { readonly name: string; readonly type: number }[] {
    let here = this.resolve(type);
    if (this.kindOf(here) === BtfKind.pointer || this.kindOf(here) === BtfKind.function) {
      here = this.resolve(this.target(here));
    }
    if (this.kindOf(here) !== BtfKind.functionProto) {
      throw new BtfError(`${this.shown(type)} is no function`);
    }
    return Array.from({ length: this.info(here) & 0xffff }, (_, i) => {
      const at = this.at(here) + TYPE_BYTES + i * 8;
      return {
        name: this.string(this.view.getUint32(at, true)),
        type: this.view.getUint32(at + 4, true),
      };
    });
  }
}
