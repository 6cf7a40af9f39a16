/** What the buffer of a CPU has counted. */
import { assertEquals } from "@std/assert";
import { parseTraceStats } from "../../../kernel/trace/trace_stats.ts";

Deno.test("parseTraceStats() tells overrun from commit overrun", () => {
  const text = "entries: 6\noverrun: 12\ncommit overrun: 1\nbytes: 99\nnow ts:  3.5\n" +
    "dropped events: 7\nread events: 8\n";
  const wanted = { entries: 6, overrun: 12, commitOverrun: 1, dropped: 7, read: 8 };
  assertEquals(parseTraceStats(text), wanted);
});
