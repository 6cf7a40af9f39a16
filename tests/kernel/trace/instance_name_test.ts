/** Names of toom's instances. */
import { assertEquals, assertThrows } from "@std/assert";
import { instanceName, parseInstanceName } from "../../../kernel/trace/instance_name.ts";
import { TraceInstance } from "../../../kernel/trace/trace_instance.ts";

Deno.test("parseInstanceName() is the reverse of instanceName(), and refuses other names", () => {
  const owner = { pid: 12, startTicks: 3_000_000_000, purpose: "rss" };
  assertEquals(instanceName(owner), "toom-12-3000000000-rss");
  assertEquals(parseInstanceName("toom-12-3000000000-rss"), owner);
  for (const name of ["toom", "toom-1-2", "toom-1-x-y", "xtoom-1-2-y", "toom-1-2-y/..", "foo"]) {
    assertEquals(parseInstanceName(name), undefined, name);
  }
  assertThrows(() => instanceName({ ...owner, purpose: "../x" }), TypeError);
  assertThrows(() => TraceInstance.attach("other", "/none"), TypeError);
});
