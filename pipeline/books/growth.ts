/**
 * What a process has gained lately, by the buckets that accounting keeps.
 *
 * @module
 */
import { GROWTH_BUCKET_NS, GROWTH_BUCKETS, type PROCESS_COLUMNS } from "../memory/layout.ts";
import type { ColumnArrays } from "../memory/table.ts";

/** Pages gained in the last second (7/8 to 1 of it); negative when it shrank. */
export function gainedPages(
  { pages, growth, growthBucket }: ColumnArrays<typeof PROCESS_COLUMNS>,
  slot: number,
  nowNs: number,
): number {
  const oldest = Math.floor(nowNs / GROWTH_BUCKET_NS) - GROWTH_BUCKETS + 1;
  if (oldest > growthBucket[slot]!) return 0;
  return pages[slot]! - growth[slot * GROWTH_BUCKETS + (oldest & (GROWTH_BUCKETS - 1))]!;
}
