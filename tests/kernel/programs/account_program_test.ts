/** Programs that are run as another user: who they are, what they get, and what becomes of those that hang. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type AccountProgram,
  type ProgramEnd,
  startProgram,
} from "../../../kernel/programs/account_program.ts";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { needing, waitUntil } from "../../_support/real_kernel.ts";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

const NOBODY = { name: "nobody", uid: 65534, gid: 65534 };
const MS_MAX = 20_000;
const AS_ROOT = Deno.uid() === 0;

function program(script: string, more: Partial<AccountProgram> = {}): AccountProgram {
  return {
    command: ["/bin/sh", "-c", script],
    account: NOBODY,
    timeoutMs: MS_MAX,
    env: {},
    input: new Uint8Array(),
    ...more,
  };
}

/** Runs a shell script to its end. */
async function run(script: string, more: Partial<AccountProgram> = {}): Promise<ProgramEnd> {
  return await startProgram(program(script, more)).ended;
}

/** Processes of a process group that have not ended, by /proc. */
function groupOf(pgid: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => {
    try {
      const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
      const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(group) === pgid && state !== "Z";
    } catch {
      return false;
    }
  });
}

Deno.test({
  ...needing(AS_ROOT, "root", "it is the user, leads a session, and has nothing of the daemon's"),
  async fn(): Promise<void> {
    const { kind, message } = await run(
      "cat >&2 <<END\n$(id -u):$(id -g):$(id -G) $(pwd) $FACT $(cat)\nEND\n" +
        'cut -d" " -f5,6 /proc/$$/stat; echo $$; cat /proc/self/oom_score_adj; env | cut -d= -f1; exit 3',
      { env: { FACT: "a fact" }, input: new TextEncoder().encode("the input") },
    );
    assertEquals(kind, "failed");
    assertStringIncludes(message, "/bin/sh ended with code 3");
    assertStringIncludes(message, "65534:65534:65534 / a fact the input");
    const [group, session, pid] = /(\d+) (\d+)\n(\d+)\n/.exec(message)!.slice(1);
    assertEquals([group, session], [pid, pid]);
    assertStringIncludes(message, `${pid}\n0\n`);
    const names = message.split(`${pid}\n0\n`)[1]!.split(/\s/).filter((word) =>
      /^[A-Z]+$/.test(word)
    );
    assertEquals(names.filter((name) => !["PWD", "SHLVL", "OLDPWD"].includes(name)).sort(), [
      "FACT",
      "PATH",
    ]);
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "it may not go before others, nor keep memory from them"),
  async fn(): Promise<void> {
    const script = 'grep -E "locked|nice|realtime priority" /proc/self/limits; nice; exit 1';
    const { message } = await run(`sleep 0.2; ${script}`);
    const rows = [...message.matchAll(/Max (\w[\w ]*\w) +(\d+) +(\d+)/g)].map((row) =>
      row.slice(1)
    );
    assertEquals(rows, [
      ["locked memory", "8388608", "8388608"],
      ["nice priority", "0", "0"],
      ["realtime priority", "0", "0"],
    ]);
    assertStringIncludes(message, "\n10");
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "no shell reads its arguments"),
  async fn(): Promise<void> {
    const words = ["$(id)", "; reboot", "a b", "--", "-x"];
    const { message } = await startProgram(
      program("", { command: ["/bin/sh", "-c", 'printf "<%s>" "$@"; exit 1', "x", ...words] }),
    ).ended;
    assertStringIncludes(message, words.map((word) => `<${word}>`).join(""));
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "one that hangs is ended with all that it has started"),
  async fn(): Promise<void> {
    const running = startProgram(
      program("trap '' TERM INT; sleep 1000 & sleep 1000 & wait; sleep 1000", { timeoutMs: 1500 }),
    );
    await waitUntil(() => groupOf(running.pid).length >= 3, "it has started others");
    const { kind, message } = await running.ended;
    assertEquals([kind, message], ["late", "/bin/sh took longer than 1500 ms"]);
    await waitUntil(() => groupOf(running.pid).length === 0, "all of it is gone");
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "what it leaves behind in its group goes when it has ended"),
  async fn(): Promise<void> {
    // The child holds its outputs, too.
    const running = startProgram(program("sleep 1000 & exit 0"));
    assertEquals((await running.ended).kind, "done");
    await waitUntil(() => groupOf(running.pid).length === 0, "all of it is gone");
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "one that forks without end is ended with all of it"),
  async fn(): Promise<void> {
    const running = startProgram(
      // A bomb that is bounded in case it is not put out.
      program("ulimit -u 200 2>/dev/null; bomb() { bomb | bomb & }; bomb; sleep 1000", {
        timeoutMs: 1000,
        account: { name: "nobody", uid: 65534, gid: 65534 },
      }),
    );
    const { kind } = await running.ended;
    assert(kind === "late" || kind === "failed", kind);
    await waitUntil(() => groupOf(running.pid).length === 0, "all of it is gone");
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "one that says more than anybody wants to hear is not listened to"),
  async fn(): Promise<void> {
    const { kind, message } = await run("yes toom; echo no more >&2");
    assert(kind === "failed" || kind === "done", kind);
    assert(message.length < 3000, String(message.length));
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "input that nobody reads holds up nobody"),
  async fn(): Promise<void> {
    const { kind } = await run("exit 0", { input: new Uint8Array(1024 * 1024) });
    assertEquals(kind, "done");
  },
});

Deno.test({
  ...needing(AS_ROOT, "root", "one that is not there, or cannot be executed, is told"),
  async fn(): Promise<void> {
    for (const path of ["/nowhere/hook", "/etc/passwd"]) {
      const { kind, message } = await run("", { command: [path] });
      assert(kind === "failed" || kind === "unstartable", kind);
      assertStringIncludes(message, path);
    }
  },
});
