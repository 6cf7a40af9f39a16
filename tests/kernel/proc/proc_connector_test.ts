import { assert, assertEquals } from "@std/assert";
import { invariant } from "../../../pipeline/memory/invariant.ts";
import { Errno } from "../../../kernel/ffi/errno.ts";
import { POLLIN, PollSet } from "../../../kernel/ffi/poll.ts";
import { ProcConnector } from "../../../kernel/proc/proc_connector.ts";
import { hasFile, isRoot, needing, spawnAs, waitUntil } from "../../_support/real_kernel.ts";

const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
const probe = isRoot() ? ProcConnector.open() : { ok: false, reason: "root" } as const;
if (probe.ok) probe.connector.close();
const hasSetpriv = Deno.build.os === "linux" && [...Deno.readDirSync("/usr/bin")]
  .some(({ name }) => name === "setpriv");
const possible = probe.ok && hasSetpriv;
const needs = probe.ok ? "setpriv" : probe.reason;

Deno.test(needing(possible, needs, "ProcConnector.read() reports a change of uid"), async () => {
  const result = ProcConnector.open();
  invariant(result.ok, "probed above");
  using connector = result.connector;
  const set = new PollSet(1);
  set.add(connector.fd, POLLIN);
  await using process = spawnAs(0, [
    "setpriv",
    "--reuid=60077",
    "--regid=60077",
    "--clear-groups",
    "sleep",
    "60",
  ]);
  const seen: [number, number, number][] = [];
  const onUid = (tgid: number, realUid: number, effectiveUid: number): void => {
    seen.push([tgid, realUid, effectiveUid]);
  };
  await waitUntil(() => {
    if (set.wait(0) > 0) connector.read(onUid);
    return seen.some(([tgid]) => tgid === process.pid);
  }, "the event arrives");
  assertEquals(seen.find(([tgid]) => tgid === process.pid), [process.pid, 60077, 60077]);
});

Deno.test(
  needing(possible, needs, "ProcConnector.read() hears nothing of forks, execs and exits"),
  async () => {
    const result = ProcConnector.open();
    invariant(result.ok, "probed above");
    using connector = result.connector;
    const set = new PollSet(1);
    set.add(connector.fd, POLLIN);
    let seen = 0;
    connector.read(() => seen++);
    for (let round = 0; round < 5; round++) await spawnAs(0, ["true"]).child.status;
    // Others on the machine may change uids meanwhile; five forks would be at least fifteen events.
    if (set.wait(0) > 0) connector.read(() => seen++);
    assert(seen < 5, `${seen} events`);
    assertEquals(connector.read(() => {}), 0);
  },
);

Deno.test(
  needing(possible && hasFile("/usr/bin/python3"), needs, "ProcConnector.read() says that it lost"),
  async () => {
    const result = ProcConnector.open();
    invariant(result.ok, "probed above");
    using connector = result.connector;
    const storm = "import os\nfor i in range(20000): os.setresuid(-1, i % 2 * 60077, -1)";
    assertEquals((await spawnAs(0, ["/usr/bin/python3", "-c", storm]).child.status).code, 0);
    let count = 0;
    const results: number[] = [];
    do results.push(connector.read(() => count++)); while (
      connector.hasMore && results.length < 99
    );
    assertEquals(results.filter((one) => one < 0), [-Errno.ENOBUFS]);
    assert(count > 100, "what was not lost comes all the same");
    assertEquals(connector.hasMore, false);
  },
);

Deno.test("ProcConnector.open() gives a reason when the kernel cannot filter", () => {
  if (major * 1000 + minor >= 6006 && isRoot() && probe.ok) return;
  assert(!probe.ok && probe.reason.length > 5);
});
