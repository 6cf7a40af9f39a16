/** Whether a running toom counts what /proc says, within a few seconds. */
import { assertEquals } from "@std/assert";
import type { Toom } from "./toom.ts";
import { truePages } from "./workload.ts";

/** Waits until the counted pages of a user are those of /proc, for 3 s at most. */
export async function assertBooksTrue(toom: Toom, uid: number): Promise<void> {
  let counted = 0;
  for (let tries = 0; tries < 60 && counted !== truePages(uid); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    counted = await toom.usagePages(uid);
  }
  assertEquals(counted, truePages(uid), "the books are true");
}
