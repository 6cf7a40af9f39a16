/** systemd's journal by its native protocol; what is sent is read by another program. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatText } from "../../../service/journal/format.ts";
import { isJournalStream, Journald } from "../../../service/journal/journald.ts";
import {
  encodeJournald,
  fieldName,
  journaldFields,
  KILL_MESSAGE_ID,
} from "../../../service/journal/journald_fields.ts";
import { KILL } from "../../_support/journal_events.ts";
import { hasFile, needing, waitUntil } from "../../_support/real_kernel.ts";
import { PYTHON } from "../../_support/workload.ts";

/** Reads datagrams as systemd-journald does, and prints each as JSON. */
const READER = `
import json, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
  data = s.recv(1 << 20)
  fields = []
  while data:
    end = data.index(b"\\n")
    line = data[:end]
    data = data[end + 1:]
    if b"=" in line:
      name, value = line.split(b"=", 1)
    else:
      name = line
      (size,) = struct.unpack("<Q", data[:8])
      value = data[8:8 + size]
      assert data[8 + size:9 + size] == b"\\n"
      data = data[9 + size:]
    fields.append([name.decode(), value.decode()])
  print(json.dumps(dict(fields)), flush=True)
`;

async function withReader(
  test: (
    path: string,
    received: Record<string, string>[],
    stop: () => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/socket`;
  const child = new Deno.Command(PYTHON!, {
    args: ["-S", "-c", READER, path],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const received: Record<string, string>[] = [];
  const reading = (async (): Promise<void> => {
    let rest = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + part).split("\n");
      rest = lines.pop()!;
      received.push(...lines.map((line) => JSON.parse(line)));
    }
  })();
  let isOver = false;
  const stop = async (): Promise<void> => {
    if (!isOver) child.kill("SIGKILL");
    isOver = true;
    await child.status;
    await reading;
  };
  try {
    await waitUntil(() => hasFile(path), "the reader listens");
    await test(path, received, stop);
  } finally {
    await stop();
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test(
  needing(
    PYTHON !== undefined,
    "python3",
    "a kill has its message id, its priority and its fields",
  ),
  async () => {
    await withReader(async (path, received) => {
      const journald = new Journald(() => 0, path);
      const hostile = { ...KILL, comm: "a\nPRIORITY=0\nTOOM_UID=1", user: null };
      assert(journald.send(KILL, formatText(KILL)));
      assert(journald.send(hostile, formatText(hostile)));
      assert(journald.send({ event: "error", where: "x", message: "y" }, "error: x: y"));
      await waitUntil(() => received.length === 3, "all three are there");
      assertEquals(received[0], {
        MESSAGE: formatText(KILL),
        MESSAGE_ID: KILL_MESSAGE_ID,
        PRIORITY: "4",
        SYSLOG_IDENTIFIER: "toom",
        TOOM_EVENT: "kill",
        TOOM_ID: "mf2k9x4r-209",
        TOOM_UID: "10071",
        TOOM_USER: "skyzh",
        TOOM_PID: "209",
        TOOM_COMM: "hog",
        TOOM_TRIGGER: "user",
        TOOM_USAGE_PAGES: "4100",
        TOOM_SHARED_PAGES: "0",
        TOOM_HARD_PAGES: "4096",
        TOOM_OVERSHOOT_BYTES: "16384",
        TOOM_VICTIM_PAGES: "4000",
        TOOM_LATENCY_US: "42",
        TOOM_DRY_RUN: "false",
        TOOM_SHARERS: "0",
        TOOM_SIGNAL: "SIGKILL",
        TOOM_UNIT: "process",
        TOOM_UNIT_PROCESSES: "0",
        TOOM_STORM: "false",
        TOOM_WEIGHED: '[{"pid":210,"pages":60},{"pid":211,"pages":40}]',
        TOOM_KEPT: "[]",
      });
      const { TOOM_COMM, TOOM_UID, PRIORITY, TOOM_USER } = received[1]!;
      assertEquals([TOOM_COMM, TOOM_UID, PRIORITY, TOOM_USER], [
        hostile.comm,
        "10071",
        "4",
        undefined,
      ]);
      assertEquals([received[2]!["PRIORITY"], received[2]!["MESSAGE_ID"]], ["3", undefined]);
      assertEquals(journald.sent, 3);
      journald.close();
    });
  },
);

Deno.test(
  needing(
    PYTHON !== undefined,
    "python3",
    "I6: a journal that is gone, or reads nothing, holds up nobody",
  ),
  async () => {
    await withReader(async (path, _, stop) => {
      let nowMs = 0;
      const journald = new Journald(() => nowMs, path);
      assert(journald.send(KILL, "x"));
      await stop();
      assert(!journald.send(KILL, "x"), "it has gone");
      await Deno.remove(path);
      // One that is there and never reads: its queue is full soon.
      const deaf = new Deno.Command(PYTHON!, {
        args: [
          "-S",
          "-c",
          "import socket,sys,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\ntime.sleep(60)",
          path,
        ],
      }).spawn();
      await waitUntil(() => hasFile(path), "it listens");
      assert(!journald.send(KILL, "x"), "it is not tried again at once");
      nowMs += 1000;
      const beganMs = performance.now();
      let sent = 0;
      while (journald.send(KILL, "x".repeat(1000))) sent++;
      assert(sent > 0 && sent < 10_000, `${sent} sent`);
      assert(performance.now() - beganMs < 10_000);
      journald.close();
      deaf.kill("SIGKILL");
      await deaf.status;
    });
    const nowhere = new Journald(() => 0, "/nowhere/socket");
    assert(!nowhere.send(KILL, "x"));
  },
);

Deno.test("fields have names that the journal takes, and the message id is one", () => {
  assertEquals(fieldName("overshootBytes"), "TOOM_OVERSHOOT_BYTES");
  for (const [name] of journaldFields(KILL, "x")) assertMatch(name, /^[A-Z][A-Z0-9_]{0,63}$/);
  assertMatch(KILL_MESSAGE_ID, /^[0-9a-f]{32}$/);
  assertEquals(new TextDecoder().decode(encodeJournald([["A", "b"], ["C", ""]])), "A=b\nC=\n");
});

Deno.test("only a standard output that is the journal's is replaced", () => {
  const stream = { dev: 9, ino: 33701 };
  const environment = { INVOCATION_ID: "x", JOURNAL_STREAM: "9:33701" };
  assert(isJournalStream(environment, stream));
  assert(!isJournalStream(environment, { dev: 9, ino: 33702 }), "it was redirected");
  assert(!isJournalStream({ JOURNAL_STREAM: "9:33701" }, stream));
  assert(!isJournalStream({}, stream));
});
