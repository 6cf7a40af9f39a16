import { assertEquals } from "@std/assert";
import { Mode } from "../../../kernel/bpf/programs/books_layout.ts";
import { KernelBooks, possibleCpus } from "../../../kernel/bpf/kernel_books.ts";
import {
  layout,
  pidsOf,
  scratchUid,
  sleep,
  truePagesOf,
  until,
  whyNoBpf,
  WorkloadProgram,
} from "./support.ts";

const UID = scratchUid(2);
const why = whyNoBpf();

/** When the programs are attached: before the process is there, when it has all, or while it works. */
type When = "before" | "later" | "in the midst";

interface Case {
  readonly name: string;
  readonly args: readonly (string | number)[];
  /** Processes that stay, and say so. */
  readonly children?: number;
}

const CASES: readonly Case[] = [
  { name: "a process that touches pages", args: ["touch", 64] },
  { name: "a process that changes its CPU every seven pages", args: ["hop", 32] },
  { name: "eight threads", args: ["threads", 8, 32, 0] },
  { name: "eight threads that give back and touch again", args: ["threads", 8, 4, 20] },
  { name: "huge pages, split and unmapped", args: ["huge", 64] },
  { name: "shared memory, unmapped in part", args: ["shared", 64] },
  { name: "memory that grows and shrinks by mremap", args: ["remap", 32] },
  { name: "a storm of forks, some of which execute a program", args: ["forks", 8, 40] },
  { name: "children that stay and copy", args: ["family", 6, 16], children: 6 },
  { name: "forks that fail half way", args: ["failforks", 20, 8] },
  { name: "a process whose leader has ended", args: ["leader", 16] },
];

Deno.test({
  name: `KernelBooks has each user's pages exactly${why === undefined ? "" : ` (skipped: ${why})`}`,
  ignore: why !== undefined,
  async fn(t): Promise<void> {
    using program = new WorkloadProgram();
    using books = new KernelBooks(layout(), {
      slots: 8192,
      cpus: possibleCpus(),
      countMask: 0b1110,
    });
    const user = books.users.add(UID, { limitPages: 2 ** 40, mode: Mode.book });
    const attach = (): void => {
      books.attach();
      books.seed();
    };
    for (const when of ["before", "later", "in the midst"] satisfies When[]) {
      for (const { name, args, children = 0 } of CASES) {
        await t.step(`${name}, attached ${when}`, async () => {
          books.clear();
          if (when === "before") attach();
          await using workload = program.start(UID, ...args);
          await workload.go();
          if (when === "in the midst") {
            await sleep(10);
            attach();
          }
          await workload.says("done");
          await workload.saysTimes("c", children);
          await until(() => pidsOf(UID).length === 1 + children);
          if (when === "later") attach();
          const { totalPages, slots } = books.users.read(user);
          assertEquals(totalPages, truePagesOf(UID), "the user's pages");
          assertEquals(slots, 1 + children, "address spaces");
          assertEquals(
            books.slotsOf(user).map(({ tgid }) => tgid).sort(),
            pidsOf(UID).sort(),
            "processes of the slots",
          );
          for (const pid of pidsOf(UID)) if (pid !== workload.pid) Deno.kill(pid, "SIGKILL");
          await workload.end();
          await until(() => books.users.read(user).slots === 0);
          const { totalPages: left, slots: slotsLeft, pendingPages, full } = books.users.read(user);
          assertEquals({ left, slotsLeft, pendingPages, full }, {
            left: 0,
            slotsLeft: 0,
            pendingPages: 0,
            full: 0,
          });
          books.detach();
        });
      }
    }
    assertEquals(books.counters().leftNonZero, 0, "slots that did not end at 0");
  },
});
