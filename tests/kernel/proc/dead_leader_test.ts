/** What is told of real processes whose first thread has ended while others run. */
import { assert, assertEquals } from "@std/assert";
import { MonotonicClock } from "../../../kernel/ffi/clock.ts";
import { ProcReader } from "../../../kernel/proc/proc.ts";
import { sharesMm } from "../../../kernel/proc/kcmp.ts";
import { Teller } from "../../../pipeline/discovery/teller.ts";
import { ProcFlag, RecordKind } from "../../../pipeline/memory/layout.ts";
import { ProcStatus, STATE_ZOMBIE } from "../../../pipeline/ports.ts";
import { Tellings } from "../../_support/fake_proc.ts";
import { needing } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

/** A parent and its child, of each of which only a second thread lives, until their input ends. */
const SCRIPT = `
import ctypes, os, platform, threading
child = os.fork()
def live():
    if child:
        print(os.getpid(), child, flush=True)
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(platform.machine(), 93), 0)
`;

/** Waits until the leader of a process is a zombie. */
async function leaderHasEnded(proc: ProcReader, pid: number): Promise<void> {
  const status = new ProcStatus();
  while (!proc.readStatus(pid, status) || status.state !== STATE_ZOMBIE) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const hasKcmp = sharesMm(Deno.pid, Deno.pid);
Deno.test(
  needing(
    hasKcmp && PYTHON !== undefined,
    "kcmp, python3",
    "a child and its parent without their first threads do not share their memory",
  ),
  async () => {
    const command = new Deno.Command(PYTHON!, {
      args: ["-c", SCRIPT],
      stdin: "piped",
      stdout: "piped",
    });
    const program = command.spawn();
    const reader = program.stdout.getReader();
    const decoder = new TextDecoder();
    let line = "";
    while (!line.includes("\n")) {
      const { value, done } = await reader.read();
      assert(!done, `it said ${JSON.stringify(line)}`);
      line += decoder.decode(value, { stream: true });
    }
    const [parent, child] = line.trim().split(" ").map(Number) as [number, number];
    const proc = new ProcReader();
    for (const pid of [parent, child]) await leaderHasEnded(proc, pid);
    assertEquals(sharesMm(parent, child), true, "as zombies have none");
    const tellings = new Tellings();
    const teller = new Teller({
      proc,
      clock: new MonotonicClock(),
      writer: tellings.writer,
      pageBytes: 4096,
      ownerOf: (uid) => uid,
    });
    const flagsOf = (pid: number): number => {
      teller.tell(pid, false);
      return tellings.take().find(({ kind }) => kind === RecordKind.proc)!.d & 0xff;
    };
    assertEquals([flagsOf(parent), flagsOf(child)], [0, ProcFlag.mayShare]);
    await program.stdin.close();
    await reader.cancel();
    await program.status;
  },
);
