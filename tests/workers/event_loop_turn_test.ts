/** A worker that waits for another thread leaves that its CPU. */
import { assert, assertEquals } from "@std/assert";
import { turnEventLoop } from "../../workers/event_loop_turn.ts";

Deno.test("a turn of the event loop sleeps first, and takes what has ended meanwhile", async () => {
  const slept: number[] = [];
  let hasEnded = false;
  setTimeout(() => hasEnded = true, 0);
  await turnEventLoop({ sleep: (timeoutMs) => void slept.push(timeoutMs) });
  assertEquals([slept.length, hasEnded], [1, true]);
  assert(slept[0]! >= 1, "a thread that does not sleep keeps its CPU");
});
