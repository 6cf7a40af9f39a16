import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Feature,
  kernelFeatures,
  probeFeatures,
  shortcoming,
  whyNoKernelTrigger,
} from "../../../kernel/bpf/features.ts";
import { canRunToom } from "../../_support/other_user.ts";
import { isRoot, kernelModule, needing } from "../../_support/real_kernel.ts";
import { BtfBuilder } from "./btf_builder.ts";
import { whyNoBpf } from "./support.ts";

const NOBODY = 65_534;

function featureOf(list: readonly Feature[], name: string): Feature {
  return list.find((one) => one.name === name)!;
}

Deno.test({
  ...needing(isRoot(), "root", "whyNoKernelTrigger() agrees with what loads on this kernel"),
  fn(): void {
    const features = kernelFeatures();
    const why = whyNoKernelTrigger();
    // The reason may be worded differently, but is there or not.
    const cannot = whyNoBpf();
    if (why === undefined) {
      assert(features.layout !== undefined);
      assert(cannot === undefined || cannot.includes("compiler"), cannot);
    } else {
      assert(!why.includes("\n"), why);
      assert(cannot !== undefined, why);
    }
    for (const { name, since } of features.list) assert(name !== "" && since !== "");
    assert(kernelFeatures() === features, "asked once");
  },
});

Deno.test({
  ...needing(isRoot(), "root", "Probes leave no descriptor open"),
  fn(): void {
    const count = (): number => [...Deno.readDirSync("/proc/self/fd")].length;
    probeFeatures();
    const before = count();
    probeFeatures();
    assertEquals(count(), before);
  },
});

Deno.test({
  ...needing(isRoot(), "root", "A kernel without its types, or with others, is told in one line"),
  fn(): void {
    const none = probeFeatures(() => {
      throw new Deno.errors.NotFound("no /sys/kernel/btf/vmlinux");
    });
    assertEquals(
      whyNoKernelTrigger(none),
      "types of the kernel needs Linux 5.4 with CONFIG_DEBUG_INFO_BTF: no /sys/kernel/btf/vmlinux",
    );
    assertEquals(none.layout, undefined);

    // As before Linux 6.2: the first of what is not there is told, and all of it is in the list.
    const b = new BtfBuilder();
    const int = b.int("int", 4);
    const stat = b.struct("mm_rss_stat", 32, []);
    const mm = b.struct("mm_struct", 64, [{ name: "rss_stat", type: stat, bits: 0 }]);
    b.typedef(
      "btf_trace_exit_mmap",
      b.pointer(b.prototype([{ name: "", type: int }, { name: "mm", type: b.pointer(mm) }])),
    );
    const { list } = probeFeatures(() => b.bytes());
    assertEquals(featureOf(list, "tracepoint exit_mmap").problem, undefined);
    assertEquals(
      shortcoming(featureOf(list, "rss_stat as counters by CPU")),
      "rss_stat as counters by CPU needs Linux 6.2: " +
        "mm_struct.rss_stat is a mm_rss_stat, expected an array of percpu_counter (Linux 6.2)",
    );
    assertEquals(
      shortcoming(featureOf(list, "bpf_send_signal_task")),
      "bpf_send_signal_task needs Linux 6.13: This kernel has no bpf_task_from_pid()",
    );
    assertEquals(
      featureOf(list, "owners of address spaces").problem,
      "mm_struct has no owner, expected a kernel with CONFIG_MEMCG",
    );
  },
});

Deno.test({
  ...needing(
    isRoot() && canRunToom(NOBODY),
    "root, and a checkout that others can read",
    "whyNoKernelTrigger() says to others which capabilities are needed, not which kernel",
  ),
  async fn(): Promise<void> {
    const dirPath = Deno.makeTempDirSync();
    try {
      Deno.chownSync(dirPath, NOBODY, NOBODY);
      const script = `${dirPath}/try.ts`;
      const module = JSON.stringify(kernelModule("bpf/features.ts"));
      Deno.writeTextFileSync(
        script,
        `import { whyNoKernelTrigger } from ${module}; console.log(whyNoKernelTrigger());`,
      );
      Deno.chmodSync(script, 0o644);
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "--no-config", "--no-lock", script],
        cwd: "/",
        env: { DENO_DIR: dirPath, HOME: dirPath, NO_COLOR: "1" },
        uid: NOBODY,
        gid: NOBODY,
      }).output();
      const said = new TextDecoder().decode(stdout).trim();
      assertStringIncludes(said, "CAP_BPF and CAP_PERFMON", new TextDecoder().decode(stderr));
      assert(!said.includes("Linux"), said);
    } finally {
      Deno.removeSync(dirPath, { recursive: true });
    }
  },
});
