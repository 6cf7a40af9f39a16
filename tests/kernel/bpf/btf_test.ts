import { assertEquals, assertThrows } from "@std/assert";
import { Btf, BtfError, BtfKind } from "../../../kernel/bpf/types/btf.ts";
import { BtfBuilder, HEADER_BYTES } from "./btf_builder.ts";

Deno.test("Btf finds types by kind and name, one by one and many at once", () => {
  const b = new BtfBuilder();
  const int = b.int("int", 4);
  const struct = b.struct("thing", 4, [{ name: "a", type: int, bits: 0 }]);
  b.struct("thing", 8, []);
  const typedef = b.typedef("thing", struct);
  const thin = b.struct("thin", 0, []);
  const one = b.struct("x", 0, []);
  b.enum("names", ["first", "second"]);
  const last = b.function("f", b.prototype([]));
  const names: [kind: number, name: string, want: number][] = [
    [BtfKind.struct, "thing", struct],
    [BtfKind.typedef, "thing", typedef],
    // A beginning of another's name, and a name that has another's as its beginning.
    [BtfKind.struct, "thin", thin],
    [BtfKind.struct, "things", 0],
    [BtfKind.struct, "x", one],
    [BtfKind.union, "thing", 0],
    [BtfKind.struct, "first", 0],
    [BtfKind.function, "f", last],
    [BtfKind.function, "", 0],
  ];
  const single = new Btf(b.bytes());
  assertEquals(names.map(([kind, name]) => single.find(kind, name)), names.map(([, , id]) => id));
  const many = new Btf(b.bytes());
  many.lookUp(names.map(([kind, name]) => [kind, name]));
  assertEquals(names.map(([kind, name]) => many.find(kind, name)), names.map(([, , id]) => id));
  assertEquals(many.count, last + 1);
  assertEquals([many.nameOf(0), many.nameOf(struct), many.kindOf(0)], ["void", "thing", 0]);
  assertThrows(() => many.get(BtfKind.struct, "none"), BtfError, "This kernel has no type none");
});

Deno.test("Btf finds fields, also in what has no name, and beside bit fields", () => {
  const b = new BtfBuilder();
  const int = b.int("int", 4);
  const inner = b.struct("", 8, [
    { name: "low", type: int, bits: 0 },
    { name: "high", type: int, bits: 32 },
  ]);
  const either = b.union("", 8, [
    { name: "whole", type: int, bits: 0 },
    { name: "", type: inner, bits: 0 },
  ]);
  const outer = b.const(b.typedef(
    "outer_t",
    b.struct("outer", 24, [
      { name: "flag", type: int, bits: 3, width: 1 },
      { name: "kind", type: int, bits: 8, width: 8 },
      { name: "", type: either, bits: 64 },
      { name: "named", type: inner, bits: 128 },
    ]),
  ));
  const btf = new Btf(b.bytes());
  for (
    const [name, offsetBytes] of [["kind", 1], ["whole", 8], ["low", 8], ["high", 12]] as const
  ) {
    assertEquals(btf.field(outer, name), { offsetBytes, type: int }, name);
  }
  assertEquals(btf.field(outer, "named"), { offsetBytes: 16, type: inner });
  assertEquals(btf.findField(outer, "flag"), undefined, "it begins within a byte");
  assertEquals(btf.findField(int, "low"), undefined);
  assertThrows(() => btf.field(outer, "none"), BtfError, "has no field none in this kernel");
});

Deno.test("Btf knows sizes, arrays and parameters behind typedefs and pointers", () => {
  const b = new BtfBuilder();
  const int = b.int("int", 4);
  const count = b.typedef("count_t", b.typedef("s32", b.const(int)));
  const array = b.array(count, 6);
  const table = b.array(array, 2);
  const struct = b.struct("thing", 40, []);
  const pointer = b.pointer(struct);
  const prototype = b.prototype([{ name: "data", type: b.pointer(0) }, { name: "n", type: count }]);
  const handler = b.typedef("handler_t", b.pointer(prototype));
  const f = b.function("f", prototype);
  const hidden = b.forward("hidden");
  const endless = b.typedef("endless", hidden + 1);
  const btf = new Btf(b.bytes());
  assertEquals([count, array, table, struct, pointer].map((id) => btf.sizeOf(id)), [
    4,
    24,
    48,
    40,
    8,
  ]);
  assertEquals([btf.resolve(count), btf.target(pointer)], [int, struct]);
  assertEquals(btf.arrayOf(table), { element: array, length: 2 });
  for (const id of [handler, f, prototype]) {
    assertEquals(btf.parametersOf(id).map(({ name }) => name), ["data", "n"]);
  }
  assertThrows(() => btf.arrayOf(struct), BtfError, "thing is no array");
  assertThrows(() => btf.parametersOf(int), BtfError, "int is no function");
  assertThrows(() => btf.sizeOf(f), BtfError, "f has no size");
  assertThrows(() => btf.sizeOf(hidden), BtfError, "hidden has no size");
  assertThrows(() => btf.sizeOf(endless + 1), BtfError, `There is no BTF type ${endless + 1}`);
  assertThrows(() => btf.resolve(endless), BtfError, `BTF type ${endless} is a typedef of itself`);
});

Deno.test("Btf refuses a structure that holds itself", () => {
  const b = new BtfBuilder();
  const self = b.struct("self", 8, [{ name: "", type: 1, bits: 0 }]);
  assertThrows(() => new Btf(b.bytes()).findField(self, "none"), BtfError, "self holds itself");
});

Deno.test("Btf refuses an array of itself, and a name that lies behind all names", () => {
  const b = new BtfBuilder();
  const array = b.array(1, 2);
  const int = b.int("int", 4);
  const bytes = b.bytes();
  assertThrows(() => new Btf(bytes).sizeOf(array), BtfError, "is an array of itself");
  const at = HEADER_BYTES + 24;
  assertEquals(new Btf(bytes).nameOf(int), "int");
  new DataView(bytes.buffer).setUint32(at, 0xfffffffe, true);
  assertThrows(() => new Btf(bytes).nameOf(int), BtfError, "There is no BTF string at 4294967294");
});

/** Each is made of a good one; what is said of it. */
const WRONG: readonly [name: string, spoil: (bytes: Uint8Array) => Uint8Array, says: string][] = [
  ["nothing", () => new Uint8Array(0), "it has 0 bytes, expected a header of 24"],
  ["less than a header", (bytes) => bytes.slice(0, 23), "it has 23 bytes, expected a header of 24"],
  ["an ELF file", (bytes) => with8(bytes, 0, 0x7f, 0x45), "it begins with 7f 45, expected 9f eb"],
  ["one of a big-endian kernel", (bytes) => with8(bytes, 0, 0xeb, 0x9f), "it begins with eb 9f"],
  ["another version", (bytes) => with8(bytes, 2, 2), "BTF is of version 2, expected 1"],
  ["one whose names are cut off", (bytes) => bytes.slice(0, -1), "BTF is cut off: it has "],
  ["one whose types are cut off", (bytes) => bytes.slice(0, 40), "BTF is cut off: it has 40 bytes"],
  ["a type cut off by its header", (bytes) => with8(bytes, 12, 12), "The last type of BTF is cut"],
  [
    "a type of a kind that is not known",
    (bytes) => with8(bytes, HEADER_BYTES + 7, 20),
    "BTF type 1 is of kind 20, expected 1 to 19",
  ],
  ["a type of no kind", (bytes) => with8(bytes, HEADER_BYTES + 7, 0), "BTF type 1 is of kind 0"],
];

function with8(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const changed = bytes.slice();
  changed.set(values, at);
  return changed;
}

Deno.test("Btf refuses what is none, and says what it is", async (t) => {
  const b = new BtfBuilder();
  b.int("int", 4);
  const good = b.bytes();
  assertEquals(new Btf(good).count, 2);
  for (const [name, spoil, says] of WRONG) {
    await t.step(name, () => {
      assertThrows(() => new Btf(new Uint8Array(spoil(good))), BtfError, says);
    });
  }
});
