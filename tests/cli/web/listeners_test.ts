/** Browsers that listen: bounded, whatever they do. */
import { assert, assertEquals } from "@std/assert";
import { message } from "../../../cli/web/feed.ts";
import { Listeners, LISTENERS_MAX } from "../../../cli/web/listeners.ts";

interface Scene {
  readonly listeners: Listeners;
  /** Milliseconds; tests move it. */
  nowMs: number;
  snapshots: number;
}

function scene(): Scene {
  const made: Scene = {
    listeners: new Listeners(
      () => message("snapshot", String(++made.snapshots)),
      () => made.nowMs,
    ),
    nowMs: 0,
    snapshots: 0,
  };
  return made;
}

async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const { value } = await reader.read();
  return new TextDecoder().decode(value).replaceAll("\n", " ").trim();
}

Deno.test("who reads is told all, in order", async () => {
  const { listeners } = scene();
  const reader = listeners.add()!.getReader();
  assertEquals(await next(reader), "event: snapshot data: 1");
  for (const data of ["a", "b"]) {
    listeners.tell(message("change", data));
    assertEquals(await next(reader), `event: change data: ${data}`);
  }
});

Deno.test("who reads slowly misses changes, and is told all that there is when it reads again", async () => {
  const made = scene();
  const { listeners } = made;
  const reader = listeners.add()!.getReader();
  for (let count = 0; count < 1000; count++) listeners.tell(message("change", `${count}`));
  assertEquals(await next(reader), "event: snapshot data: 1");
  assertEquals(await next(reader), "event: snapshot data: 2");
  listeners.tell(message("change", "after"));
  assertEquals(await next(reader), "event: change data: after");
  assertEquals(made.snapshots, 2, "one message waits, not a thousand");
});

Deno.test("who reads nothing for long is let go, and makes room", async () => {
  const made = scene();
  const { listeners } = made;
  const reader = listeners.add()!.getReader();
  reader.closed.catch(() => {});
  made.nowMs = 29_000;
  listeners.tell(message("change", "a"));
  assertEquals(listeners.size, 1);
  made.nowMs = 31_000;
  listeners.tell(message("change", "b"));
  assertEquals([listeners.size, listeners.dropped], [0, 1]);
  let error: unknown;
  for (let count = 0; count < 2 && error === undefined; count++) {
    await reader.read().catch((thrown) => error = thrown);
  }
  assert(error instanceof Error);
});

Deno.test("no more than so many listen, and who leaves makes room", async () => {
  const { listeners } = scene();
  const streams = Array.from({ length: LISTENERS_MAX }, () => listeners.add()!);
  assertEquals(listeners.add(), undefined);
  await streams[3]!.cancel();
  assertEquals(listeners.size, LISTENERS_MAX - 1);
  assert(listeners.add() !== undefined);
});

Deno.test("who was told nothing for long is shown life", async () => {
  const made = scene();
  const reader = made.listeners.add()!.getReader();
  await next(reader);
  made.nowMs = 14_000;
  made.listeners.ping();
  made.nowMs = 16_000;
  made.listeners.ping();
  assertEquals(await next(reader), "event: ping data: {}");
  made.listeners.close();
  assertEquals(await next(reader), "");
});
