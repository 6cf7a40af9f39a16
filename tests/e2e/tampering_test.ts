/** Others who are root, in whatever container, and write where toom traces. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { closeFd, openFd, OpenFlag, readFd } from "../../kernel/ffi/fd.ts";
import { findTracefs } from "../../kernel/trace/tracefs.ts";
import { parseInstanceName } from "../../kernel/trace/instance_name.ts";
import { hasFile, needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { assertBooksTrue } from "../_support/books_true.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60023;
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;
const POSSIBLE = E2E_POSSIBLE && hasFile("/usr/bin/unshare");
const NEEDS = `${E2E_NEEDS}, and unshare`;
/** From somebody's deed to the death of a hog that came after it, on a machine with time. */
const BLIND_MS_MAX = 2000;

/** The folder of an instance of a toom. */
function instanceOf(toom: Toom, purpose: string): string {
  const folder = `${findTracefs()}/instances`;
  for (const { name } of Deno.readDirSync(folder)) {
    const owner = parseInstanceName(name);
    if (owner?.pid === toom.pid && owner.purpose === purpose) return `${folder}/${name}`;
  }
  throw new Error(`no instance ${purpose} of ${toom.pid}`);
}

function read(path: string): string {
  return Deno.readTextFileSync(path).trim();
}

/** Runs toom in a container: its own processes, its own /run, the same kernel. */
async function inContainer(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const script = 'mount -t tmpfs tmpfs /run && exec "$0" run -A --no-check "$@"';
  const { code, stdout, stderr } = await new Deno.Command("unshare", {
    args: [
      "-pm",
      "--fork",
      "--mount-proc",
      "timeout",
      "20",
      "sh",
      "-c",
      script,
      Deno.execPath(),
      PROGRAM,
      ...args,
    ],
  }).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

/** A hog of the user must die. @returns How long that took, milliseconds. */
async function assertEnforced(toom: Toom): Promise<number> {
  const startMs = performance.now();
  await using hog = new Workload(UID, "hold", 512);
  assertEquals((await hog.end()).signal, "SIGKILL");
  await toom.waitFor("kill", (line) => line["pid"] === hog.pid);
  return performance.now() - startMs;
}

Deno.test({
  ...needing(
    POSSIBLE,
    NEEDS,
    "a toom in a container refuses to be the second, and disturbs nothing",
  ),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`, "--interval=1h"]);
    const events = instanceOf(toom, "events");
    const states = ["tracing_on", "events/kmem/rss_stat/enable"];
    const before = states.map((file) => read(`${events}/${file}`));
    for (const command of [["doctor"], ["run", `--limit=${UID}=1MiB`, "--state-dir=/run/s"]]) {
      const { code, out, err } = await inContainer(...command);
      if (command[0] === "doctor") {
        assertMatch(out, /a toom is tracing in another container: instance toom-\d+-\d+-events/);
      } else {
        assertEquals(code, 3, err);
        assertMatch(
          err,
          /^another toom is tracing on this kernel, in another container \(instance toom-.*-events\): stop it first.*\n$/,
        );
      }
      assertEquals(states.map((file) => read(`${events}/${file}`)), before);
      await assertEnforced(toom);
    }
    assertEquals(toom.of("tampered"), []);
    assertEquals(toom.of("degraded"), []);
  },
});

Deno.test({
  ...needing(
    POSSIBLE,
    NEEDS,
    "toom run says who is in the way when a dead toom's instance is in use",
  ),
  fn: async () => {
    const left = `${findTracefs()}/instances/toom-1-1-events`;
    await Deno.mkdir(left);
    const fd = openFd(`${left}/trace_pipe`, OpenFlag.O_RDONLY);
    try {
      const { code, err } = await inContainer("run", `--limit=${UID}=1GiB`, "--state-dir=/run/s");
      assertEquals(code, 3);
      assertMatch(err, /^another toom may be tracing .*toom-1-1-events is in use.*: end who has/);
    } finally {
      closeFd(fd);
    }
    await using toom = await Toom.start([`--limit=${UID}=64MiB`]);
    assertEquals(hasFile(left), false, "and without a user it is removed");
    await assertEnforced(toom);
  },
});

/** Files of the instance, and what somebody writes to them. */
const DEEDS: readonly [file: string, text: string][] = [
  ["tracing_on", "0"],
  ["events/enable", "0"],
  ["events/kmem/rss_stat/filter", "member==9"],
  ["buffer_size_kb", "16"],
  ["set_event_pid", ""],
  ["set_event_pid", "1"],
  ["trace_options", "noevent-fork"],
];

Deno.test({
  ...needing(
    E2E_POSSIBLE,
    E2E_NEEDS,
    "toom run notices what others do to its instance, and mends it",
  ),
  fn: async (t) => {
    // Without the timer: what is found is found by the guard.
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      "--interval=1h",
      "--source=raw",
    ]);
    const events = instanceOf(toom, "events");
    await using neighbour = await new Workload(UID, "hold", 10).until("held");
    for (const [file, text] of DEEDS) {
      await t.step(`${file} ${JSON.stringify(text)}`, async () => {
        const before = file === "trace_options" ? "" : read(`${events}/${file}`);
        toom.lines.length = 0;
        await Deno.writeTextFile(`${events}/${file}`, text);
        const took = await assertEnforced(toom);
        assert(took < BLIND_MS_MAX, `it took ${took} ms`);
        const line = await toom.waitFor(
          "tampered",
          (one) => String(one["what"]).startsWith(`events/${file.replace(/enable$/, "")}`),
        );
        assertEquals(line["mended"], true);
        await toom.waitFor("degraded");
        await toom.waitFor("recovered");
        if (file !== "set_event_pid" && file !== "events/enable" && file !== "trace_options") {
          assertEquals(read(`${events}/${file}`), before);
        }
        await assertBooksTrue(toom, UID);
        assert(neighbour.alive, "who is below lives");
        assertEquals((await toom.status()).degraded, false);
      });
    }
    await t.step("the execs of the machine", async () => {
      toom.lines.length = 0;
      await Deno.writeTextFile(`${instanceOf(toom, "logins")}/tracing_on`, "0");
      await toom.waitFor("tampered", (one) => one["what"] === 'logins/tracing_on was "0"');
      await assertEnforced(toom);
    });
  },
});

for (const source of ["raw", "text"]) {
  Deno.test({
    ...needing(E2E_POSSIBLE, E2E_NEEDS, `toom run blames nobody for its own reading (${source})`),
    fn: async () => {
      await using toom = await Toom.start([`--limit=${UID}=64MiB`, `--source=${source}`]);
      await using busy = await new Workload(UID, "churn", 8).until("here");
      await using more = await new Workload(UID, "churn", 8).until("here");
      for (let i = 0; i < 6; i++) {
        await assertEnforced(toom);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      assertEquals(toom.of("tampered"), []);
      assert(busy.alive && more.alive);
      await Deno.writeTextFile(`${instanceOf(toom, "events")}/tracing_on`, "0");
      await toom.waitFor("tampered", (one) => one["what"] === 'events/tracing_on was "0"');
      await assertEnforced(toom);
    },
  });
}

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run notices that another reads its pipes"),
  fn: async () => {
    await using toom = await Toom.start([
      `--limit=${UID}=64MiB`,
      "--interval=1h",
      "--source=raw",
    ]);
    const events = instanceOf(toom, "events");
    // Text is not to be had at all.
    const cat = await new Deno.Command("cat", { args: [`${events}/trace_pipe`] }).output();
    assertMatch(new TextDecoder().decode(cat.stderr), /busy/);
    const flags = OpenFlag.O_RDONLY | OpenFlag.O_NONBLOCK;
    const cpus = navigator.hardwareConcurrency;
    const thief = Array.from(
      { length: cpus },
      (_, cpu) => openFd(`${events}/per_cpu/cpu${cpu}/trace_pipe_raw`, flags),
    );
    const page = new Uint8Array(new ArrayBuffer(65_536));
    let stolenBytes = 0;
    const stealing = setInterval(() => {
      for (const fd of thief) {
        for (let n = readFd(fd, page); n > 0; n = readFd(fd, page)) stolenBytes += n;
      }
    }, 0);
    await using busy = await new Workload(UID, "churn", 8).until("here");
    await toom.waitFor("tampered", (one) => /read by somebody else/.test(String(one["what"])));
    await toom.waitFor("degraded");
    assert(stolenBytes > 0, "something was stolen");
    await assertEnforced(toom);
    clearInterval(stealing);
    for (const fd of thief) closeFd(fd);
    assert(busy.alive, "who is below lives");
  },
});
