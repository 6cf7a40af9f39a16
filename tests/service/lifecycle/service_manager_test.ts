import { assertEquals } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";
import { openLibc } from "../../../kernel/ffi/libc.ts";
import { NO_MANAGER, serviceManager } from "../../../service/lifecycle/service_manager.ts";

import { needing } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

const PID = 4242;
const NEEDS = "python3";

// Not in a test, where the sanitizer would call it a leak.
openLibc();

/** Binds a socket as systemd does, says so, and prints so many messages as JSON. */
const LISTENER = `
import json, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name[0] == "@" else name)
print("bound", flush=True)
print(json.dumps([s.recv(4096).decode() for _ in range(int(sys.argv[2]))]))
`;

/** What a socket took, in order. */
async function heard(name: string, send: () => void, count: number): Promise<string[]> {
  const child = new Deno.Command(PYTHON!, {
    args: ["-S", "-c", LISTENER, name, String(count)],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough<string>(new TextLineStream()).getReader();
  assertEquals((await lines.read()).value, "bound");
  send();
  const { value } = await lines.read();
  await lines.cancel();
  await child.status;
  return JSON.parse(value!);
}

Deno.test({
  ...needing(PYTHON !== undefined, NEEDS, "a service manager is told in the words of sd_notify(3)"),
  fn: async () => {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/notify`;
    const manager = serviceManager({ NOTIFY_SOCKET: path }, PID);
    const messages = await heard(path, () => {
      manager.status("0 users");
      manager.status("0 users");
      manager.ready("1 users");
      manager.status("1 users");
      manager.reloading(5_000_999);
      manager.ready("2 users");
      manager.alive();
      manager.stopping();
    }, 6);
    assertEquals(messages, [
      "STATUS=0 users",
      "READY=1\nSTATUS=1 users",
      "RELOADING=1\nMONOTONIC_USEC=5000",
      "READY=1\nSTATUS=2 users",
      "WATCHDOG=1",
      "STOPPING=1",
    ]);
    await Deno.remove(dir, { recursive: true });
  },
});

Deno.test({
  ...needing(PYTHON !== undefined, NEEDS, "a name without a place in the file system is one too"),
  fn: async () => {
    const name = `toom-test-${Deno.pid}`;
    const manager = serviceManager({ NOTIFY_SOCKET: `@${name}` }, PID);
    assertEquals(await heard(`@${name}`, () => manager.alive(), 1), ["WATCHDOG=1"]);
  },
});

Deno.test("it wants to hear that toom is alive four times in the time of its watchdog", () => {
  const every = (more: Record<string, string>): number =>
    serviceManager({ NOTIFY_SOCKET: "/run/systemd/notify", ...more }, PID).aliveEveryMs;
  assertEquals(every({}), Infinity);
  assertEquals(every({ WATCHDOG_USEC: "10000000" }), 2500);
  assertEquals(every({ WATCHDOG_USEC: "10000000", WATCHDOG_PID: String(PID) }), 2500);
  assertEquals(every({ WATCHDOG_USEC: "10000000", WATCHDOG_PID: "1" }), Infinity, "another's");
  for (const usec of ["0", "-5", "soon", ""]) {
    assertEquals(every({ WATCHDOG_USEC: usec }), Infinity);
  }
});

Deno.test("without a manager, or with one that is gone, nothing happens", () => {
  const long = `/${"x".repeat(200)}`;
  for (const path of [undefined, "", "relative", "vsock:2:1", long]) {
    assertEquals(serviceManager({ NOTIFY_SOCKET: path }, PID), NO_MANAGER);
  }
  const manager = serviceManager({ NOTIFY_SOCKET: "/nowhere/notify" }, PID);
  manager.ready("1 users");
  manager.alive();
});
