/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The consuming thread of the ring's test: checks that every record comes once, whole and in order.
 *
 * @module
 */
import { RingConsumer, type RingPlace } from "../../pipeline/memory/ring.ts";

export interface RingJob {
  readonly memory: SharedArrayBuffer;
  readonly place: RingPlace;
  readonly records: number;
  /** Every so many records it rests, so that the producer has to wait for room. */
  readonly restEvery: number;
}

self.onmessage = ({ data }: MessageEvent<RingJob>) => {
  const { memory, place, records, restEvery } = data;
  const ring = new RingConsumer(memory, place);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let seen = 0;
  let empty = 0;
  while (seen < records) {
    const word = ring.next();
    if (word < 0) {
      empty++;
      ring.release();
      continue;
    }
    const { words, doubles } = ring;
    for (let i = 2; i < ring.recordWords; i++) {
      if (words[word + i] !== ((seen * 31 + i) | 0)) {
        self.postMessage({ error: `record ${seen}, word ${i}: ${words[word + i]}` });
        return;
      }
    }
    if (doubles[word >> 1] !== seen / 2) {
      self.postMessage({ error: `record ${seen}: time ${doubles[word >> 1]}` });
      return;
    }
    seen++;
    if (seen % 3 === 0) ring.release();
    if (seen % restEvery === 0) Atomics.wait(pause, 0, 0, 1);
  }
  ring.release();
  self.postMessage({ seen, empty });
};
self.postMessage("ready");
