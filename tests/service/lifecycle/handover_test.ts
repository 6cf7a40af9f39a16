import { assert, assertEquals } from "@std/assert";
import { keepText, listenerOf, setInherited, takeText } from "../../../kernel/process/inherit.ts";
import { closeFd } from "../../../kernel/ffi/fd.ts";
import { listenUnix, SocketType } from "../../../kernel/sockets/seqpacket.ts";
import {
  type Handover,
  nextInARow,
  startOverPauseMs,
  takeHandover,
} from "../../../service/lifecycle/handover.ts";
import { hasFile } from "../../_support/real_kernel.ts";

const NOTE: Handover = {
  history: { recent: [], pending: { kills: [], ends: [], peaks: [] } },
  version: "1",
  pid: Deno.pid,
  role: "killer",
  reason: "hung",
  sinceNs: 1,
  atNs: 5e9,
  startedNs: 0,
  count: 1,
  inARow: 1,
  options: { limits: [] },
  overrides: [{ uidFirst: 1, uidLast: 1, hardBytes: 4096, softBytes: 4096 }],
  fds: { lock: -1, instances: [-1], control: undefined, tmalloc: undefined },
  graces: [],
  lowerings: [],
  restarts: { killer: 1 },
  kills: 3,
  linesShed: 4,
  lastNumber: 9,
};

Deno.test("startOverPauseMs() is a second, doubles, and has a bound", () => {
  assertEquals([0, 1, 2, 3, 4, 5, 50].map(startOverPauseMs), [
    1000,
    1000,
    2000,
    4000,
    8000,
    8000,
    8000,
  ]);
});

Deno.test("nextInARow() begins anew after a rest", () => {
  assertEquals(nextInARow(undefined, 1e9), 1);
  assertEquals(nextInARow({ ...NOTE, inARow: 3 }, NOTE.atNs + 9e9), 4);
  assertEquals(nextInARow({ ...NOTE, inARow: 3 }, NOTE.atNs + 11e9), 1);
});

Deno.test("takeHandover() takes what was kept for this process and version, once", () => {
  const take = (note: unknown): Handover | undefined => {
    Deno.env.set("TOOM_HANDOVER", String(keepText("test", JSON.stringify(note))));
    return takeHandover("1");
  };
  assertEquals(JSON.stringify(take(NOTE)), JSON.stringify(NOTE));
  assertEquals(takeHandover("1"), undefined, "only once");
  assertEquals(take({ ...NOTE, pid: Deno.pid + 1 }), undefined, "inherited by a child");
  for (const word of ["x", "999999", "-1", ""]) {
    Deno.env.set("TOOM_HANDOVER", word);
    assertEquals(takeHandover("1"), undefined, word);
    assertEquals(Deno.env.get("TOOM_HANDOVER"), undefined);
  }
});

Deno.test("takeHandover() closes what another version had open", () => {
  const lock = keepText("lock", "");
  const note = { ...NOTE, version: "0", fds: { ...NOTE.fds, lock } };
  Deno.env.set("TOOM_HANDOVER", String(keepText("test", JSON.stringify(note))));
  assertEquals(takeHandover("1"), undefined);
  assertEquals(hasFile(`/proc/self/fd/${lock}`), false);
});

Deno.test("keepText() keeps long texts whole, for children too", async () => {
  const text = "ä€".repeat(60_000);
  const fd = keepText("test", text);
  const cat = `cat /proc/self/fd/${fd} | wc -c`;
  const child = await new Deno.Command("sh", { args: ["-c", cat] }).output();
  assertEquals(
    new TextDecoder().decode(child.stdout).trim(),
    String(new TextEncoder().encode(text).length),
  );
  setInherited(fd, false);
  const closed = await new Deno.Command("sh", { args: ["-c", `test -e /proc/self/fd/${fd}`] })
    .output();
  assertEquals(closed.code, 1);
  assertEquals(takeText(fd), text);
});

Deno.test("listenerOf() finds who listens on a path, and not who is connected to it", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/a socket`;
  assertEquals(listenerOf(path), undefined);
  const fd = listenUnix(path, 0o600, SocketType.stream);
  const client = await Deno.connect({ transport: "unix", path });
  assertEquals(listenerOf(path), fd);
  client.close();
  closeFd(fd);
  assertEquals(listenerOf(path), undefined);
  assert(hasFile(path));
  await Deno.remove(dir, { recursive: true });
});
