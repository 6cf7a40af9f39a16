/** What toom costs when nothing happens. */
import { assert } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";

const UID = 60041;
/** 112 to 115 MiB are seen; rules, plans, hooks, the stream of events and recordings have added four. */
const RSS_BYTES_MAX = 118 << 20;
/** Start-up code is let go of after 5 s. */
const SETTLED_MS = 9000;

Deno.test({
  ...needing(E2E_POSSIBLE, E2E_NEEDS, "toom run stays small while its users are idle"),
  fn: async () => {
    await using toom = await Toom.start([`--limit=${UID}=64MiB`]);
    await using _idle = await new Workload(UID, "hold", 5).until("held");
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const first = (await toom.status()).memory.rssBytes;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const second = (await toom.status()).memory.rssBytes;
    assert(second < RSS_BYTES_MAX, `${second >> 20} MiB resident`);
    assert(second - first < 4 << 20, `grew from ${first >> 20} to ${second >> 20} MiB`);
  },
});
