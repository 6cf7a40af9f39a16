/**
 * A CPU that goes takes its parts of all counters to the common counts, without an event. Only where
 * `TOOM_TEST_HOTPLUG=1` says that a CPU may be switched off: everything on the machine feels it.
 */
import { assert, assertEquals } from "@std/assert";
import { KernelBooks, possibleCpus } from "../../../kernel/bpf/kernel_books.ts";
import { Mode } from "../../../kernel/bpf/programs/books_layout.ts";
import { hasFile } from "../../_support/real_kernel.ts";
import { layout, scratchUid, truePagesOf, until, whyNoBpf, WorkloadProgram } from "./support.ts";

const UID = scratchUid(6);
const ONLINE_PATH = "/sys/devices/system/cpu/cpu1/online";
const why = Deno.env.get("TOOM_TEST_HOTPLUG") !== "1"
  ? "TOOM_TEST_HOTPLUG=1 allows it"
  : hasFile(ONLINE_PATH)
  ? whyNoBpf()
  : `no ${ONLINE_PATH}`;

Deno.test({
  name: `When a CPU has gone the books are exact again once they are seeded anew${
    why === undefined ? "" : ` (skipped: ${why})`
  }`,
  ignore: why !== undefined,
  async fn(): Promise<void> {
    using program = new WorkloadProgram();
    using books = new KernelBooks(layout(), {
      slots: 1024,
      cpus: possibleCpus(),
      countMask: 0b1110,
    });
    books.users.add(UID, { limitPages: 2 ** 40, mode: Mode.book });
    books.attach();
    await using workload = program.start(UID, "hop", 16);
    await workload.go();
    await workload.says("done");
    assertEquals(books.users.read(1).totalPages, truePagesOf(UID));
    try {
      Deno.writeTextFileSync(ONLINE_PATH, "0");
      await using other = program.start(UID, "threads", 4, 4, 3);
      await other.go();
      await other.says("done");
      books.detach();
      books.clear();
      books.attach();
      books.seed();
      assertEquals(books.users.read(1).totalPages, truePagesOf(UID), "seeded anew");
      await other.end();
    } finally {
      Deno.writeTextFileSync(ONLINE_PATH, "1");
    }
    // Coming back moves nothing.
    await using third = program.start(UID, "threads", 4, 4, 3);
    await third.go();
    await third.says("done");
    assertEquals(books.users.read(1).totalPages, truePagesOf(UID), "with the CPU back");
    await third.end();
    await workload.end();
    assert(await until(() => books.users.read(1).slots === 0));
    assertEquals(books.users.read(1).totalPages, 0);
  },
});
