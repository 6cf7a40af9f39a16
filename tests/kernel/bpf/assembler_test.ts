import { assertEquals, assertThrows } from "@std/assert";
import { Assembler, AssemblerError, type References } from "../../../kernel/bpf/asm/assembler.ts";

const NOTHING: References = { maps: new Map(), functions: new Map() };
const KNOWN: References = {
  maps: new Map([["keys", 5]]),
  functions: new Map([["bpf_task_release", 65_910]]),
};

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is written, and its bytes: opcode, registers, offset, immediate (instruction-set.rst). */
const CASES: readonly [name: string, write: (a: Assembler) => unknown, want: string][] = [
  ["r1 = r2", (a) => a.op("r1", "=", "r2"), "bf21000000000000"],
  ["r1 = -1", (a) => a.op("r1", "=", -1), "b7010000ffffffff"],
  ["w1 = 7", (a) => a.op32("r1", "=", 7), "b401000007000000"],
  ["r1 += r10", (a) => a.op("r1", "+=", "r10"), "0fa1000000000000"],
  ["r1 -= 8", (a) => a.op("r1", "-=", 8), "1701000008000000"],
  ["r1 *= r2", (a) => a.op("r1", "*=", "r2"), "2f21000000000000"],
  ["r3 |= 1", (a) => a.op("r3", "|=", 1), "4703000001000000"],
  ["r3 &= 255", (a) => a.op("r3", "&=", 255), "57030000ff000000"],
  ["r3 <<= 32", (a) => a.op("r3", "<<=", 32), "6703000020000000"],
  ["r3 >>= 40", (a) => a.op("r3", ">>=", 40), "7703000028000000"],
  ["r3 s>>= 32", (a) => a.op("r3", "s>>=", 32), "c703000020000000"],
  ["r4 = -r4", (a) => a.negate("r4"), "8704000000000000"],
  ["sign extension", (a) => a.signExtend("r1"), "6701000020000000c701000020000000"],
  ["load u8", (a) => a.load("r1", "u8", "r2", 3), "7121030000000000"],
  ["load u16", (a) => a.load("r1", "u16", "r2", 1058), "6921220400000000"],
  ["load u32", (a) => a.load("r1", "u32", "r10", -4), "61a1fcff00000000"],
  ["load u64", (a) => a.load("r6", "u64", "r1", 0), "7916000000000000"],
  ["store register", (a) => a.store("u64", "r10", -8, "r1"), "7b1af8ff00000000"],
  ["store number", (a) => a.store("u32", "r1", 4, 9), "6201040009000000"],
  ["fetch and add", (a) => a.atomic("fetchAdd", "u64", "r5", 64, "r1"), "db15400001000000"],
  ["exchange", (a) => a.atomic("exchange", "u32", "r5", 0, "r1"), "c3150000e1000000"],
  [
    "compare and exchange",
    (a) => a.atomic("compareExchange", "u64", "r5", 8, "r1"),
    "db150800f1000000",
  ],
  ["helper", (a) => a.callHelper(109, "send_signal"), "850000006d000000"],
  ["exit", (a) => a.exit(), "9500000000000000"],
  [
    "64-bit number",
    (a) => a.number("r1", 0x9e3779b97f4a7c15n),
    "18010000157c4a7f00000000b979379e",
  ],
  ["map", (a) => a.map("r1", "keys"), "18110000050000000000000000000000"],
  ["value of a map", (a) => a.mapValue("r1", "keys", 64), "18210000050000000000000040000000"],
  ["function of the kernel", (a) => a.callKernel("bpf_task_release"), "8520000076010100"],
  [
    "jump forward over a wide instruction",
    (a) => a.jumpIf("r1", "==", 0, "end").number("r2", 1n).label("end").exit(),
    "1501020000000000" + "18020000010000000000000000000000" + "9500000000000000",
  ],
  [
    "jump back",
    (a) => a.label("again").op("r1", "+=", 1).jumpIf("r1", "<", 10, "again"),
    "0701000001000000" + "a501feff0a000000",
  ],
  [
    "signed jump on registers",
    (a) => a.jumpIf("r1", "s>", "r2", "end").label("end").exit(),
    "6d21000000000000" + "9500000000000000",
  ],
  [
    "32-bit jump",
    (a) => a.jumpIf32("r3", "!=", "r4", "end").label("end").exit(),
    "5e43000000000000" + "9500000000000000",
  ],
  [
    "call within the program",
    (a) => a.callLocal("f").exit().label("f").exit(),
    "8510000001000000" + "9500000000000000" + "9500000000000000",
  ],
  ["goto", (a) => a.jump("end").label("end").exit(), "0500000000000000" + "9500000000000000"],
];

Deno.test("Assembler encodes each instruction", async (t) => {
  for (const [name, write, want] of CASES) {
    await t.step(name, () => {
      const a = new Assembler();
      write(a);
      assertEquals(hex(a.encode(KNOWN)), want);
    });
  }
});

const WRONG: readonly [name: string, write: (a: Assembler) => unknown, says: string][] = [
  ["a label that is not there", (a) => a.jump("nowhere"), "There is no label nowhere"],
  ["a label twice", (a) => a.label("x").exit().label("x"), "Label x stands twice"],
  ["a label at the end", (a) => a.exit().label("x"), "No instruction follows label x"],
  ["a map that is not there", (a) => a.map("r1", "none"), "There is no map none"],
  [
    "a function that is not there",
    (a) => a.callKernel("none"),
    "There is no function of the kernel none",
  ],
  ["an offset of more than 16 bits", (a) => a.load("r1", "u8", "r2", 40_000), "offset 40000"],
  [
    "a number of more than 32 bits",
    (a) => a.op("r1", "=", 2 ** 32),
    "expected a number of 32 bits",
  ],
  ["a fraction", (a) => a.op("r1", "=", 0.5), "expected a number of 32 bits"],
];

Deno.test("Assembler refuses what cannot be encoded, and says what it is", async (t) => {
  for (const [name, write, says] of WRONG) {
    await t.step(name, () => {
      assertThrows(
        () => {
          const a = new Assembler();
          write(a);
          a.encode(NOTHING);
        },
        AssemblerError,
        says,
      );
    });
  }
});

Deno.test("Assembler refuses a jump that is too far", () => {
  const a = new Assembler().jump("end");
  for (let i = 0; i < 0x8000; i++) a.op("r1", "=", 0);
  a.label("end").exit();
  assertThrows(() => a.encode(NOTHING), AssemblerError, "expected 16 bits");
});

Deno.test("Assembler lists a program with places, labels and comments", () => {
  const a = new Assembler().number("r1", 7n, "seven").label("end").load("r2", "u8", "r1", -1)
    .exit();
  assertEquals(
    a.listing(),
    [
      `${"    0  r1 = 7".padEnd(48)} ; seven`,
      "end:",
      "    2  r2 = *(u8 *)(r1 - 1)",
      "    3  exit",
      "",
    ].join("\n"),
  );
});
