/** Where tracefs is, and that it is mounted where it is not. */
import { assertEquals } from "@std/assert";
import { tracefsMounts } from "../../../kernel/trace/tracefs.ts";
import { hasFile, hasTracefs, kernelModule, needing } from "../../_support/real_kernel.ts";

const traced = hasTracefs();
const NEEDS = "root and tracefs with kmem:rss_stat";

Deno.test("tracefsMounts() prefers the customary place and decodes octal", () => {
  const mounts = [
    "proc /proc proc rw 0 0",
    "t /mnt/a\\040b tracefs rw 0 0",
    "t /sys/kernel/debug/tracing tracefs rw 0 0",
    "t /sys/kernel/tracing tracefs rw 0 0",
  ].join("\n");
  assertEquals(tracefsMounts(mounts), [
    "/sys/kernel/tracing",
    "/sys/kernel/debug/tracing",
    "/mnt/a b",
  ]);
  assertEquals(tracefsMounts(""), []);
});

const hasUnshare = hasFile("/usr/bin/unshare");
Deno.test(
  needing(
    traced && hasUnshare,
    `${NEEDS} and unshare`,
    "findTracefs() mounts tracefs when it is nowhere",
  ),
  async () => {
    const code = `import { findTracefs } from "${kernelModule("trace/tracefs.ts")}";
      console.log(findTracefs(), Deno.statSync("/sys/kernel/tracing/instances").isDirectory);`;
    const script = "umount /sys/kernel/debug/tracing 2>/dev/null; umount /sys/kernel/tracing && " +
      'exec "$0" eval "$1"';
    const output = await new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script, Deno.execPath(), code],
      stdout: "piped",
      stderr: "piped",
    }).output();
    assertEquals(
      new TextDecoder().decode(output.stdout),
      "/sys/kernel/tracing true\n",
      new TextDecoder().decode(output.stderr),
    );
  },
);
