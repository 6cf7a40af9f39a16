import { assertEquals, assertThrows } from "@std/assert";
import { parseEventFormat, parseHeaderPage } from "../../../kernel/trace/formats.ts";

const FORMATS = new URL("../../fixtures/captures/formats/", import.meta.url);
const read = (name: string): string => Deno.readTextFileSync(new URL(name, FORMATS));

Deno.test("parseEventFormat() finds the fields of rss_stat", () => {
  const { name, id, fields } = parseEventFormat(read("rss_stat.format.txt"));
  assertEquals([name, id], ["rss_stat", 646]);
  assertEquals(fields.get("common_type"), { offset: 0, size: 2, signed: false });
  assertEquals(fields.get("common_pid"), { offset: 4, size: 4, signed: true });
  assertEquals(fields.get("mm_id"), { offset: 8, size: 4, signed: false });
  assertEquals(fields.get("size"), { offset: 24, size: 8, signed: true });
});

Deno.test("parseEventFormat() understands every captured event", () => {
  for (const entry of Deno.readDirSync(FORMATS)) {
    if (!entry.name.endsWith(".format.txt")) continue;
    const { name, fields } = parseEventFormat(read(entry.name));
    assertEquals(`${name}.format.txt`, entry.name);
    assertEquals(fields.get("common_pid")?.offset, 4);
  }
});

Deno.test("parseEventFormat() names arrays and dynamic strings by their names", () => {
  const { fields } = parseEventFormat([
    "name: x",
    "ID: 1",
    "format:",
    "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;",
    "\tfield:__data_loc char[] filename;\toffset:24;\tsize:4;\tsigned:1;",
    "\tfield:unsigned long args[6];\toffset:32;\tsize:48;",
  ].join("\n"));
  assertEquals([...fields.keys()], ["comm", "filename", "args"]);
  assertEquals(fields.get("args"), { offset: 32, size: 48, signed: false });
});

Deno.test("parseEventFormat() says what is wrong when the text is not a format", () => {
  assertThrows(() => parseEventFormat(""), SyntaxError, "no line 'name:'");
  assertThrows(() => parseEventFormat("name: a\n"), SyntaxError, "no line 'ID:'");
  assertThrows(() => parseEventFormat("name: a\nID: 3\nformat:\n"), SyntaxError, "no fields");
  const broken = "name: a\nID: 3\nformat:\n\tfield:int x;\toffset:q;\tsize:4;\n";
  assertThrows(() => parseEventFormat(broken), SyntaxError, "unexpected line");
});

Deno.test("parseHeaderPage() finds timestamp, commit and data", () => {
  assertEquals(parseHeaderPage(read("header_page.txt")), {
    timestampOffset: 0,
    commitOffset: 8,
    commitBytes: 8,
    dataOffset: 16,
    dataBytes: 4080,
  });
});

Deno.test("parseHeaderPage() names the field when one is missing", () => {
  const text = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n";
  assertThrows(() => parseHeaderPage(text), SyntaxError, 'no field "commit"');
});
