/**
 * Writes BTF, for tests of what reads it: types one after the other, each by its header and what is
 * behind it. Documentation/bpf/btf.rst
 *
 * @module
 */
import { BtfKind } from "../../../kernel/bpf/types/btf.ts";

export const HEADER_BYTES = 24;

/** A field of a structure, or a parameter; a field's place in bits. */
export interface BuiltField {
  readonly name: string;
  readonly type: number;
  readonly bits?: number;
  /** Of a bit field: how many bits it has. */
  readonly width?: number;
}

export class BtfBuilder {
  private readonly types: number[] = [];
  private readonly strings: number[] = [0];
  private last = 0;

  /** An integer. @returns The id of the type, as all others. */
  int(name: string, bytes: number): number {
    return this.type(name, BtfKind.int, 0, bytes, [bytes * 8]);
  }

  pointer(target: number): number {
    return this.type("", BtfKind.pointer, 0, target);
  }

  typedef(name: string, target: number): number {
    return this.type(name, BtfKind.typedef, 0, target);
  }

  const(target: number): number {
    return this.type("", BtfKind.const, 0, target);
  }

  /** A type of which there is only the name: BTF_KIND_FWD. */
  forward(name: string): number {
    return this.type(name, 7, 0, 0);
  }

  array(element: number, length: number): number {
    return this.type("", BtfKind.array, 0, 0, [element, 0, length]);
  }

  struct(name: string, bytes: number, fields: readonly BuiltField[]): number {
    return this.fields(BtfKind.struct, name, bytes, fields);
  }

  union(name: string, bytes: number, fields: readonly BuiltField[]): number {
    return this.fields(BtfKind.union, name, bytes, fields);
  }

  private fields(kind: number, name: string, bytes: number, fields: readonly BuiltField[]): number {
    // With a bit field among them, each field's place has its width above 24 bits.
    const hasWidths = fields.some(({ width }) => width !== undefined);
    return this.type(
      name,
      kind,
      fields.length,
      bytes,
      fields.flatMap((field) => [
        this.string(field.name),
        field.type,
        (field.bits ?? 0) | (field.width ?? 0) << 24,
      ]),
      hasWidths,
    );
  }

  /** An enumeration of values 0, 1 and so on. */
  enum(name: string, names: readonly string[]): number {
    const values = names.flatMap((one, value) => [this.string(one), value]);
    return this.type(name, BtfKind.enum, names.length, 4, values);
  }

  prototype(parameters: readonly BuiltField[], result = 0): number {
    const words = parameters.flatMap(({ name, type }) => [this.string(name), type]);
    return this.type("", BtfKind.functionProto, parameters.length, result, words);
  }

  function(name: string, prototype: number): number {
    return this.type(name, BtfKind.function, 0, prototype);
  }

  /** Any header, with the words behind it. */
  type(
    name: string,
    kind: number,
    count: number,
    sizeOrType: number,
    behind: readonly number[] = [],
    flag = false,
  ): number {
    const info = (count | kind << 24 | (flag ? 1 << 31 : 0)) >>> 0;
    this.types.push(this.string(name), info, sizeOrType, ...behind);
    return ++this.last;
  }

  private string(text: string): number {
    if (text === "") return 0;
    const at = this.strings.length;
    this.strings.push(...new TextEncoder().encode(text), 0);
    return at;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const typeBytes = this.types.length * 4;
    const bytes = new Uint8Array(HEADER_BYTES + typeBytes + this.strings.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xeb9f, true);
    view.setUint8(2, 1);
    [HEADER_BYTES, 0, typeBytes, typeBytes, this.strings.length]
      .forEach((word, i) => view.setUint32(4 + 4 * i, word, true));
    this.types.forEach((word, i) => view.setUint32(HEADER_BYTES + 4 * i, word, true));
    bytes.set(this.strings, HEADER_BYTES + typeBytes);
    return bytes;
  }
}
