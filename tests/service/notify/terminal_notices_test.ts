import { assert, assertEquals } from "@std/assert";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { terminalsOf, writeTerminal } from "../../../kernel/users/terminals.ts";
import type { JournalEvent } from "../../../service/journal/events.ts";
import { TerminalNotices } from "../../../service/notify/terminal_notices.ts";
import type { TerminalMode } from "../../../service/config/terminal_mode.ts";
import { terminalBytes } from "../../../service/notify/terminal_text.ts";
import { KILL } from "../../_support/journal_events.ts";
import { isRoot, needing } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const SECOND_NS = 1e9;
const UID = 60_440;
const SOFT = {
  event: "soft",
  uid: KILL.uid,
  user: null,
  usagePages: 95,
  softPages: 90,
  hardPages: 100,
} as const;

/** Notices to made-up terminals of one user; the last may be one that takes nothing. */
class Stage {
  mode: TerminalMode = "kills+soft";
  readonly written: string[] = [];
  paths = ["/dev/pts/1"];
  takes = true;
  private number = 0;
  private readonly notices = new TerminalNotices({
    terminals: {
      of: (uid) => uid === KILL.uid ? this.paths : [],
      write: (path, uid, bytes) => {
        assertEquals(uid, KILL.uid);
        if (this.takes) this.written.push(`${path}: ${new TextDecoder().decode(bytes).trim()}`);
        return this.takes;
      },
    },
    pageBytes: 4096,
    mode: () => this.mode,
  });

  at(seconds: number, event: JournalEvent): this {
    const monotonicNs = seconds * SECOND_NS;
    this.notices.take({ number: ++this.number, monotonicNs, at: new Date(0), event });
    return this;
  }
}

Deno.test("a user is told on each of its terminals which process was ended, and why", () => {
  const stage = new Stage();
  stage.paths = ["/dev/pts/1", "/dev/pts/7"];
  stage.at(1, { ...KILL, comm: "hog", usagePages: 16_385, hardPages: 16_384, victimPages: 16_000 });
  assertEquals(stage.written.length, 2);
  assert(stage.written[1]!.startsWith("/dev/pts/7: toom has ended your process "));
  for (const word of ['("hog")', "62.5 MiB", "64.0 MiB", "toom me", "toom exec"]) {
    assert(stage.written[0]!.includes(word), word);
  }
});

Deno.test("a user is told that a process was asked to end, how long it has, and what goes with it", () => {
  const stage = new Stage();
  const plan = { signal: "SIGTERM", graceMs: 5000, ceilingPages: 17_000 };
  stage.at(1, { ...KILL, ...plan, unit: "scope", unitProcesses: 2 });
  for (const word of ["has asked your process ", "and 2 more of its cgroup", "SIGTERM", "in 5 s"]) {
    assert(stage.written[0]!.includes(word), word);
  }
  // Of a storm it is told once, and then how many there were.
  stage.at(9, { ...KILL, storm: true }).at(11, { ...KILL, storm: true });
  assertEquals(stage.written.length, 1);
  stage.at(20, KILL);
  assert(stage.written[1]!.includes("2 others"));
});

Deno.test("who is killed again and again is told once a second, and how many it missed", () => {
  const stage = new Stage();
  for (let kill = 0; kill < 5; kill++) stage.at(1 + kill / 10, KILL);
  assertEquals(stage.written.length, 1);
  stage.at(2.1, KILL);
  assert(stage.written[1]!.includes("So were 4 others"), stage.written[1]);
  stage.at(9, KILL);
  assert(!stage.written[2]!.includes("others"));
});

Deno.test("of soft limits a user is told at most each ten minutes", () => {
  const stage = new Stage().at(1, SOFT).at(599, SOFT).at(602, SOFT);
  assertEquals(stage.written.length, 2);
  assert(stage.written[0]!.includes("380.0 KiB of your 400.0 KiB"), stage.written[0]);
});

Deno.test("users hear what they are to hear, and of a dry run nothing", () => {
  const stage = new Stage();
  stage.mode = "kills";
  stage.at(1, SOFT).at(1, { ...KILL, dryRun: true });
  assertEquals(stage.written, []);
  stage.at(1, KILL);
  assertEquals(stage.written.length, 1);
  stage.mode = "off";
  stage.at(5, KILL);
  assertEquals(stage.written.length, 1);
});

Deno.test("a process is named without control characters, whatever it calls itself", () => {
  const stage = new Stage().at(1, { ...KILL, comm: "\x1b]0;x\x07\n\u202e\u009b31m" });
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]/.test(stage.written[0]!), stage.written[0]);
  assertEquals(stage.written[0]!.split("\r\n").length, 2, "no line of its own");
});

/** A terminal of a user; prints what stands on it. `deaf`: it is stopped, and nobody reads. */
const TERMINAL = `
import fcntl, os, pty, sys, termios, tty
master, slave = pty.openpty()
tty.setraw(slave)
os.fchown(slave, int(sys.argv[1]), -1)
os.fchmod(slave, int(sys.argv[2], 8))
if sys.argv[3] == "deaf":
  termios.tcflow(slave, termios.TCOOFF)
print(os.ttyname(slave), flush=True)
sys.stdin.readline()
if sys.argv[3] == "deaf":
  print("", flush=True)
else:
  os.set_blocking(master, False)
  try:
    print(os.read(master, 4096).decode().encode("unicode_escape").decode(), flush=True)
  except BlockingIOError:
    print("", flush=True)
sys.stdin.readline()
`;

async function withTerminal(
  uid: number,
  mode: string,
  kind: "read" | "deaf",
  test: (path: string) => void,
): Promise<string> {
  const child = new Deno.Command(PYTHON!, {
    args: ["-S", "-c", TERMINAL, String(uid), mode, kind],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const writer = child.stdin.getWriter();
  const path = (await lines.read()).value!.trim();
  test(path);
  await writer.write(new TextEncoder().encode("\n"));
  const shown = (await lines.read()).value!.trim();
  await writer.close();
  await lines.cancel();
  await child.status;
  return shown;
}

Deno.test({
  ...needing(
    isRoot() && PYTHON !== undefined,
    "root and python3",
    "terminals are found and written to",
  ),
  async fn(t): Promise<void> {
    const bytes = terminalBytes(["toom: hello"]);

    await t.step("of a user that lets others write", async () => {
      const shown = await withTerminal(UID, "620", "read", (path) => {
        assertEquals(terminalsOf(UID, 32), [path]);
        assertEquals(terminalsOf(UID, 0), []);
        assertEquals(writeTerminal(path, UID, bytes), true);
      });
      assertEquals(shown, "\\r\\ntoom: hello\\r\\n");
    });

    await t.step("not of one that has said mesg n", async () => {
      const shown = await withTerminal(UID, "600", "read", (path) => {
        assertEquals(terminalsOf(UID, 32), []);
        assertEquals(writeTerminal(path, UID, bytes), false);
      });
      assertEquals(shown, "");
    });

    await t.step("not another's, should the number have come to it", async () => {
      await withTerminal(UID, "620", "read", (path) => {
        assertEquals(writeTerminal(path, UID + 1, bytes), false);
      });
    });

    await t.step("one that is stopped takes nothing, and nobody waits for it", async () => {
      await withTerminal(UID, "620", "deaf", (path) => {
        assertEquals(writeTerminal(path, UID, bytes), false);
      });
    });

    await t.step("a file that is no terminal is left alone", async () => {
      const path = await Deno.makeTempFile();
      await Deno.chmod(path, 0o666);
      assertEquals(writeTerminal(path, 0, bytes), false);
      assertEquals(await Deno.readTextFile(path), "");
      await Deno.remove(path);
      assertEquals(writeTerminal("/dev/pts/99999", 0, bytes), false);
    });
  },
});
