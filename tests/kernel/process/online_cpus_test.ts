import { assert, assertEquals } from "@std/assert";
import { countCpus, onlineCpus } from "../../../kernel/process/online_cpus.ts";
import { hasFile, needing } from "../../_support/real_kernel.ts";

const TASKSET = "/usr/bin/taskset";

Deno.test("countCpus() counts what a list of CPUs names", () => {
  const lists = { "0\n": 1, "0-3": 4, "0-1,4,6-7\n": 5, "": 0, "x": 0, "127": 1 };
  for (const [list, count] of Object.entries(lists)) assertEquals(countCpus(list), count, list);
});

Deno.test({
  ...needing(
    hasFile(TASKSET) && onlineCpus() > 1,
    "taskset and two CPUs",
    "onlineCpus() counts more than a thread may use",
  ),
  async fn(): Promise<void> {
    const module = new URL("../../../kernel/process/online_cpus.ts", import.meta.url);
    const script = `import { onlineCpus } from "${module}";` +
      "console.log(onlineCpus(), navigator.hardwareConcurrency);";
    const { stdout } = await new Deno.Command(TASKSET, {
      args: ["-c", "0", Deno.execPath(), "eval", "--no-check", script],
    }).output();
    const [online, own] = new TextDecoder().decode(stdout).trim().split(" ").map(Number);
    assertEquals(own, 1);
    assert(online! > 1, `${online}`);
  },
});
