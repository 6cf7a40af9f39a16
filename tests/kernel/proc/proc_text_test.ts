/** Texts of /proc. */
import { assertEquals } from "@std/assert";
import { printable } from "../../../kernel/proc/proc_text.ts";

Deno.test("printable() shows text and escapes the rest", () => {
  const bytes = Uint8Array.of(97, 32, 0x5c, 10, 9, 0, 0x1b, 0xff, 126, 127);
  assertEquals(printable(bytes), "a \\\\\\n\\t\\x00\\x1b\\xff~\\x7f");
});
