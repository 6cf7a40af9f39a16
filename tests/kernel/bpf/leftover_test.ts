import { assert, assertEquals } from "@std/assert";
import { BpfAttributes, bpfCall } from "../../../kernel/ffi/bpf_call.ts";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import { kernelModule } from "../../_support/real_kernel.ts";
import { until, whyNoBpf } from "./support.ts";

const why = whyNoBpf();
/** BPF_*_GET_NEXT_ID of linux/bpf.h, by what fdinfo calls the number. */
const NEXT = { prog_id: 11, map_id: 12, link_id: 31 } as const;
type Kind = keyof typeof NEXT;

/** Numbers of all programs, maps or links of the machine. */
function idsOf(kind: Kind): Set<number> {
  const ids = new Set<number>();
  const attributes = new BpfAttributes();
  while (bpfCall(NEXT[kind], attributes) === 0) {
    const id = attributes.getU32(4);
    ids.add(id);
    attributes.u32(0, id);
  }
  return ids;
}

/** BPF_LINK_GET_FD_BY_ID and BPF_LINK_DETACH of linux/bpf.h. */
const LINK_OF_ID = 30;
const DETACH = 34;
const EOPNOTSUPP = 95;

/** @returns What the kernel answers who wants to detach another's link. */
function detach(id: number): number {
  const link = bpfCall(LINK_OF_ID, new BpfAttributes().u32(0, id));
  assert(link >= 0, `link ${id}: ${link}`);
  try {
    return bpfCall(DETACH, new BpfAttributes().u32(0, link));
  } finally {
    closeFd(link);
  }
}

/** Attaches the books, and prints what it has of each kind; it ends only by a signal. */
const SCRIPT = `
const { KernelBooks, possibleCpus } = await import("${kernelModule("bpf/kernel_books.ts")}");
const { RingBuffer } = await import("${kernelModule("bpf/ring_buffer.ts")}");
const { kernelFeatures } = await import("${kernelModule("bpf/features.ts")}");
const books = new KernelBooks(kernelFeatures().layout,
  { slots: 1024, cpus: possibleCpus(), countMask: 0b1110 });
new RingBuffer(books.records.fd, 1 << 18);
books.users.add(60406, { limitPages: 1000, mode: 2 });
books.attach();
books.seed();
const ids = [];
for (const { name } of Deno.readDirSync("/proc/self/fdinfo")) {
  try {
    const text = Deno.readTextFileSync("/proc/self/fdinfo/" + name);
    for (const [, kind, id] of text.matchAll(/^(prog_id|map_id|link_id):\\s+(\\d+)/gm)) {
      ids.push([kind, Number(id)]);
    }
  } catch {
    // The folder's own descriptor.
  }
}
console.log(JSON.stringify(ids));
setInterval(() => {}, 1000);
`;

Deno.test({
  name: `Nothing of the books is left in the kernel when the process is killed${
    why === undefined ? "" : ` (skipped: ${why})`
  }`,
  ignore: why !== undefined,
  async fn(): Promise<void> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-check", SCRIPT],
      cwd: new URL("../../..", import.meta.url).pathname,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let said = "";
    const text = new TextDecoder();
    for await (const bytes of child.stdout) {
      said += text.decode(bytes);
      if (said.includes("\n")) break;
    }
    const ids: [Kind, number][] = JSON.parse(said);
    const left = (): [Kind, number][] => ids.filter(([kind, id]) => idsOf(kind).has(id));
    // Five programs, eight maps, a link for each of three tracepoints and the iterator; a link's
    // fdinfo has the number of its program too.
    assertEquals(new Set(ids.map(([kind]) => kind)), new Set(["prog_id", "map_id", "link_id"]));
    assert(ids.length >= 5 + 8 + 4, said);
    assertEquals(left(), ids, "they are there while it lives");
    for (const [kind, id] of ids) {
      if (kind === "link_id") assertEquals(detach(id), -EOPNOTSUPP, "root detaches by hand");
    }
    assertEquals(left(), ids, "nobody else can take them away");
    child.kill("SIGKILL");
    assertEquals((await child.status).signal, "SIGKILL");
    // The kernel frees them behind a grace period.
    await until(() => left().length === 0);
    assertEquals(left(), []);
  },
});
