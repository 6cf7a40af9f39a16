/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The sleeping thread of the doorbell's test: counts in shared memory, and answers each ring.
 *
 * @module
 */
import { BellSleeper } from "../../pipeline/memory/doorbell.ts";
import { Role } from "../../pipeline/memory/layout.ts";
import { attachMemory } from "../../pipeline/memory/memory.ts";

self.onmessage = ({ data }: MessageEvent<[SharedArrayBuffer, SharedArrayBuffer, number]>) => {
  const [buffer, words, rounds] = data;
  const sleeper = new BellSleeper(attachMemory(buffer), Role.killer);
  const shared = new Int32Array(words);
  let seen = 0;
  let timeouts = 0;
  while (seen < rounds) {
    sleeper.listen();
    const work = Atomics.load(shared, 0);
    if (work === seen) {
      const startMs = performance.now();
      sleeper.sleep(2000);
      if (performance.now() - startMs >= 1900) timeouts++;
      continue;
    }
    seen = work;
    Atomics.store(shared, 1, seen);
    Atomics.notify(shared, 1);
  }
  self.postMessage(timeouts);
};
self.postMessage("ready");
