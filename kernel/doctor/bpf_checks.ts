/** Whether programs inside the kernel can keep the books of users near their limits. */
import { type Feature, kernelFeatures, shortcoming, whyNoKernelTrigger } from "../bpf/features.ts";
import { KernelBooks, possibleCpus } from "../bpf/kernel_books.ts";
import { type Examiner, Lacking } from "./examiner.ts";

/** Room for few address spaces, because nothing is attached. */
const SHAPE = { slots: 64, countMask: 0b1110 };
const RECORD_BYTES = 4096;
const MEND = "nothing: toom reads events from its trace instance instead, which costs more for " +
  "each page, and kills a little later";
const OTHERS = "bpf_send_signal_task";

/** Loads the programs, and attaches none of them. */
export async function checkKernelBooks(examiner: Examiner, notes: string[]): Promise<void> {
  await examiner.check({
    name: "kernel-books",
    optional: true,
    after: ["ffi"],
    mend: MEND,
    run: () => {
      const { list, layout } = kernelFeatures();
      const needed = list.filter(({ isOptional }) => !isOptional);
      const why = whyNoKernelTrigger();
      if (why !== undefined || layout === undefined) {
        noteOthers(needed, notes);
        throw new Lacking(why ?? "this kernel is not as expected");
      }
      const start = performance.now();
      using _books = new KernelBooks(layout, { ...SHAPE, cpus: possibleCpus() }, RECORD_BYTES);
      const ms = Math.ceil(performance.now() - start);
      return `programs load in ${ms} ms; there are ${needed.map(({ name }) => name).join(", ")}`;
    },
  });
  await examiner.check({
    name: "kernel-kills",
    optional: true,
    after: ["kernel-books"],
    mend: "nothing: a program ends the process that crosses the limit, and toom ends others itself",
    run: () => {
      const others = kernelFeatures().list.find(({ name }) => name === OTHERS);
      if (others === undefined || others.problem !== undefined) {
        throw new Lacking(others === undefined ? `no ${OTHERS}` : shortcoming(others));
      }
      return "a program can end any process of a user that is over";
    },
  });
}

/** The first is the finding; what else is lacking is worth knowing to who chooses a kernel. */
function noteOthers(needed: readonly Feature[], notes: string[]): void {
  const lacking = needed.filter(({ problem }) => problem !== undefined);
  for (const feature of lacking.slice(1)) notes.push(`kernel-books: ${shortcoming(feature)}`);
}
