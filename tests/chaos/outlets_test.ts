/** Disks that are full, broken or read-only, a log that nobody reads, no descriptors: kills go on. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ControlClient } from "../../cli/control_client.ts";
import { hasFile, needing, waitUntil } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";
import { assertEnforced, CHAOS_LIMIT, CHAOS_UID, slow } from "./chaos.ts";

const UNSHARE = "/usr/bin/unshare";
const NSENTER = "/usr/bin/nsenter";
const TOOLS = [UNSHARE, NSENTER, "/usr/bin/mount"].every(hasFile)
  ? undefined
  : "unshare, nsenter and mount";
const LOOP_TOOLS = TOOLS ??
  (["/usr/sbin/mkfs.ext4", "/usr/sbin/losetup", "/dev/loop-control"].every(hasFile)
    ? undefined
    : "mkfs.ext4 and loop devices");
const FIFO = "/usr/bin/mkfifo";
const CONNECTIONS = 200;
/** Of a socket that is closed before connect(2), and while it waits in its queue. */
const { NotFound, ConnectionRefused, ConnectionReset } = Deno.errors;
const REFUSALS = [NotFound, ConnectionRefused, ConnectionReset];
const PROGRAM = new URL("../../mod.ts", import.meta.url).pathname;

/** A toom in a mount namespace of its own, with a file system for its state and history. */
async function startOn(script: string): Promise<{ toom: Toom; dir: string }> {
  const dir = await Deno.makeTempDir({ prefix: "toom-chaos-" });
  await Deno.mkdir(`${dir}/state`);
  const text = `set -e; D=${dir}; ${script}; exec "$@"`;
  const wrapper = [UNSHARE, "-m", "--propagation", "private", "/bin/sh", "-c", text, "sh"];
  return { toom: await Toom.start([CHAOS_LIMIT], { wrapper, stateDir: `${dir}/state` }), dir };
}

/** Does something where toom's file systems are. */
async function inside(toom: Toom, script: string): Promise<void> {
  const args = ["-t", `${toom.pid}`, "-m", "/bin/sh", "-c", script];
  const { success, stderr } = await new Deno.Command(NSENTER, { args }).output();
  if (!success) throw new Error(`${script}: ${new TextDecoder().decode(stderr)}`);
}

/** Limits are in force though they cannot be kept, kills go on, and both is told. */
async function assertWithoutDisk(toom: Toom): Promise<void> {
  const other = CHAOS_UID + 1;
  const set = await toom.command("limit", "set", `${other}`, "16MiB");
  assertEquals(set.code, 1, "in force, and not to be kept");
  await toom.waitFor("error", (line) => line["where"] === "state");
  await using hog = new Workload(other, "hold", 64);
  assertEquals((await hog.end()).signal, "SIGKILL");
  await assertEnforced(toom);
  assertEquals(toom.of("worker-restart"), []);
}

Deno.test({
  ...slow("a state directory that is full, then read-only: kills and limits go on", TOOLS),
  fn: async () => {
    const { toom, dir } = await startOn("mount -t tmpfs -o size=512k tmpfs $D/state");
    try {
      await assertEnforced(toom);
      await inside(toom, `dd if=/dev/zero of=${dir}/state/full bs=4k 2>/dev/null || true`);
      await assertWithoutDisk(toom);
      await inside(toom, `rm ${dir}/state/full; mount -o remount,ro ${dir}/state`);
      await assertEnforced(toom);
      const set = await toom.command("limit", "set", `${CHAOS_UID}`, "20MiB");
      assertEquals(set.code, 1);
      assertMatch(set.err + set.out, /restart|kept|persist|written|survive/);
      await inside(toom, `mount -o remount,rw ${dir}/state`);
      const again = await toom.command("limit", "set", `${CHAOS_UID}`, "24MiB");
      assertEquals(again.code, 0, again.err);
      await assertEnforced(toom);
      // What waited is written once there is room.
      let kills = 0;
      for (let tries = 0; tries < 100 && kills < 4; tries++) {
        kills = (await toom.status()).history?.written ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert(kills >= 4, `${kills} kills in the history`);
    } finally {
      await toom[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  ...slow("a state directory whose disk fails (EIO): kills and limits go on", LOOP_TOOLS),
  fn: async () => {
    // A file system on a file that has no room to grow: writing to it fails as a disk does.
    const { toom, dir } = await startOn(
      "mkdir $D/disk; mount -t tmpfs -o size=12m tmpfs $D/disk; truncate -s 64M $D/disk/image; " +
        "/usr/sbin/mkfs.ext4 -q -O ^has_journal $D/disk/image; " +
        "mount -o loop,errors=continue $D/disk/image $D/state",
    );
    try {
      await assertEnforced(toom);
      await inside(toom, `dd if=/dev/zero of=${dir}/disk/rest bs=64k 2>/dev/null || true`);
      await inside(
        toom,
        `dd if=/dev/urandom of=${dir}/state/much bs=64k count=160 conv=fsync 2>/dev/null || true`,
      );
      for (let i = 0; i < 5; i++) await assertEnforced(toom);
      await toom.command("limit", "set", `${CHAOS_UID + 1}`, "16MiB");
      await using hog = new Workload(CHAOS_UID + 1, "hold", 64);
      assertEquals((await hog.end()).signal, "SIGKILL", "in force, kept or not");
      assertEquals([toom.of("worker-restart"), toom.of("restart")], [[], []]);
    } finally {
      await toom[Symbol.asyncDispose]();
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  ...slow(
    "a reader of the log that stops holds up no kill",
    hasFile(FIFO) ? undefined : "mkfifo",
  ),
  fn: async () => {
    const dir = await Deno.makeTempDir({ prefix: "toom-chaos-" });
    const fifo = `${dir}/log`;
    await new Deno.Command(FIFO, { args: [fifo] }).output();
    // Held open, so that nobody waits for the other end; full before toom begins.
    using pipe = await Deno.open(fifo, { read: true, write: true });
    const filler = new Deno.Command("/bin/sh", {
      args: ["-c", `exec dd if=/dev/zero of=${fifo} bs=4096 oflag=nonblock 2>/dev/null`],
    });
    await filler.output();
    const socketPath = `${dir}/control.sock`;
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `exec "$@" >${fifo} 2>&1`,
        "sh",
        ...[Deno.execPath(), "run", "-A", "--no-check", PROGRAM, "run", CHAOS_LIMIT],
        ...["--config=none", "--log-format=json", `--state-dir=${dir}/state`],
        ...[`--control-socket=${socketPath}`, `--tmalloc-socket=${dir}/tmalloc.sock`],
      ],
      stdin: "null",
    }).spawn();
    try {
      await waitUntil(() => hasFile(socketPath), "toom is there", 60_000);
      const killed: number[] = [];
      for (let i = 0; i < 3; i++) killed.push(await assertEnforced());
      using client = new ControlClient(socketPath);
      let total = 0;
      for (let tries = 0; tries < 100 && total < 3; tries++) {
        total = (await client.status()).kills.total;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assertEquals(total, 3, "they are toom's, and it answers");
      // Whoever reads on gets all lines.
      let text = "";
      const buffer = new Uint8Array(65536);
      while (!killed.every((pid) => text.includes(`"event":"kill"`) && text.includes(`${pid}`))) {
        const length = await pipe.read(buffer);
        text += new TextDecoder().decode(buffer.subarray(0, length ?? 0)).replaceAll("\0", "");
      }
    } finally {
      child.kill("SIGTERM");
      await child.status;
      await Deno.remove(dir, { recursive: true });
    }
  },
});

/**
 * Connections that root holds open, until toom has no descriptor for another one. `Deno.serve` then
 * closes its socket and removes the file, at any moment of this: who is refused has reached the end.
 */
async function exhaust(toom: Toom): Promise<AsyncDisposable> {
  const held = new AsyncDisposableStack();
  const open = (await Array.fromAsync(Deno.readDir(`/proc/${toom.pid}/fd`)))
    .map(({ name }) => Number(name));
  const args = [`--pid=${toom.pid}`, `--nofile=${Math.max(...open) + 8}:`];
  assert((await new Deno.Command("/usr/bin/prlimit", { args }).output()).success);
  for (let i = 0; i < CONNECTIONS; i++) {
    let connection: Deno.Conn;
    try {
      connection = await Deno.connect({ transport: "unix", path: toom.socketPath });
    } catch (error) {
      if (!REFUSALS.some((refusal) => error instanceof refusal)) throw error;
      break;
    }
    held.defer(() => connection.close());
  }
  await toom.waitFor("error");
  return held;
}

Deno.test({
  ...needing(
    E2E_POSSIBLE && hasFile("/usr/bin/prlimit"),
    `${E2E_NEEDS}, and prlimit`,
    "toom has no descriptor left: kills go on, and all is well when there are some",
  ),
  fn: async (t) => {
    for (const source of ["auto", "raw"]) {
      await t.step(source, async () => {
        await using toom = await Toom.start([CHAOS_LIMIT, `--source=${source}`]);
        // Smaller than a hog that crosses.
        await using near = await new Workload(CHAOS_UID, "hold", 2).until("held");
        await assertEnforced(toom);
        {
          await using _held = await exhaust(toom);
          for (let i = 0; i < 3; i++) await assertEnforced();
        }
        await assertEnforced(toom);
        assert(near.alive);
        await waitUntil(() => hasFile(toom.socketPath), "it can be asked again", 10_000);
        const { users } = await toom.status();
        assert(users.some(({ uid }) => uid === CHAOS_UID));
        assertEquals([toom.of("worker-restart"), toom.of("restart")], [[], []]);
      });
    }
  },
});
