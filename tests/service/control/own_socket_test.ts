/** Everybody is told its own, and cannot hold up anybody. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { askOwn, meCommand, ownLines } from "../../../cli/me.ts";
import type { OwnReport } from "../../../service/control/control_api.ts";
import { OwnSocket } from "../../../service/control/own_socket.ts";
import { ownSocketPath } from "../../../service/control/own_socket_path.ts";
import { FAKE_STATUS } from "../../_support/fake_control.ts";
import { killRecord } from "../../_support/kill_entries.ts";
import { hasFile, isRoot, needing } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

function reportOf(uid: number): OwnReport {
  const user = { ...FAKE_STATUS.users[0]!, uid };
  return { uid, pageBytes: 4096, user, kills: [killRecord(1, uid)] };
}

async function withSocket(
  test: (controlPath: string, socket: OwnSocket) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  await Deno.chmod(dir, 0o755);
  const controlPath = `${dir}/control.sock`;
  const socket = new OwnSocket(ownSocketPath(controlPath), (uid) => JSON.stringify(reportOf(uid)));
  try {
    await test(controlPath, socket);
  } finally {
    socket.close();
    assert(!hasFile(ownSocketPath(controlPath)));
    await Deno.remove(dir, { recursive: true });
  }
}

function openFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Answers in the background while somebody asks. */
async function answering<T>(socket: OwnSocket, asks: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => socket.turn(), 2);
  try {
    return await asks();
  } finally {
    clearInterval(timer);
  }
}

Deno.test("who asks is told its own, in words or as JSON", async () => {
  await withSocket(async (controlPath, socket) => {
    const uid = Deno.uid()!;
    assertEquals(await answering(socket, () => askOwn(controlPath)), reportOf(uid));
    const out: string[] = [];
    const io = { out: (line: string) => out.push(line), err: (line: string) => out.push(line) };
    const args = [`--control-socket=${controlPath}`];
    assertEquals(await answering(socket, () => meCommand(args, io)), 0);
    assertEquals(out[0], `You (uid ${uid}) use 32.0 MiB of 64.0 MiB; 32.0 MiB can still be had.`);
    assertMatch(
      out[2]!,
      /toom killed pid 210 \("hog"\), which used 15.6 MiB: you used 16.0 MiB of/,
    );
    assertMatch(out.slice(3).join(" "), /What to do: .*toom exec.*toom kills show \w+-210/);
    out.length = 0;
    assertEquals(await answering(socket, () => meCommand([...args, "--json"], io)), 0);
    assertEquals(JSON.parse(out[0]!), reportOf(uid));
  });
  const none = { uid: 5, pageBytes: 4096, user: null, kills: [] };
  assertEquals(ownLines(none), [
    "You (uid 5) have no limit, or run nothing.",
    "toom has killed none of your processes since it started.",
  ]);
});

Deno.test(
  needing(isRoot() && PYTHON !== undefined, "root and python3", "another user is told its own"),
  async () => {
    await withSocket(async (controlPath, socket) => {
      const script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\n" +
        "s.connect(sys.argv[1])\nwhile True:\n  part = s.recv(65536)\n  if not part: break\n" +
        "  sys.stdout.write(part.decode())";
      const { stdout } = await answering(socket, () =>
        new Deno.Command(PYTHON!, {
          args: ["-S", "-c", script, ownSocketPath(controlPath)],
          uid: 60321,
          gid: 60321,
          cwd: "/",
        }).output());
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)).uid, 60321);
    });
  },
);

Deno.test("I7: a flood of those who ask and do not read costs a bounded turn, and keeps nothing", async () => {
  await withSocket(async (controlPath, socket) => {
    const path = ownSocketPath(controlPath);
    const connections = await Promise.all(
      Array.from({ length: 200 }, () => Deno.connect({ transport: "unix", path })),
    );
    const fdsBefore = openFds();
    const answered: number[] = [];
    for (let turn = 0; turn < 8; turn++) answered.push(socket.turn());
    assertEquals(answered, [32, 32, 32, 32, 32, 32, 8, 0]);
    const fdsAfter = openFds();
    assertEquals(fdsAfter, fdsBefore, "no connection is kept");
    for (const connection of connections) connection.close();
    assertEquals(await answering(socket, () => askOwn(controlPath)), reportOf(Deno.uid()!));
  });
});

Deno.test("toom me says when nobody answers", async () => {
  const err: string[] = [];
  const io = { out: () => {}, err: (line: string) => err.push(line) };
  assertEquals(await meCommand(["--control-socket=/nowhere/control.sock"], io), 1);
  assertMatch(err[0]!, /^toom is not running here \(no answer on \/nowhere\/me.sock\)/);
});
