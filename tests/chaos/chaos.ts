/**
 * What the faults share: names of tests that are slow, and a hog that must die.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { needing } from "../_support/real_kernel.ts";
import type { Toom } from "../_support/toom.ts";
import { E2E_NEEDS, E2E_POSSIBLE, Workload } from "../_support/workload.ts";
import { IS_CHAOS } from "../hostile/scene.ts";

export const CHAOS_UID = 60023;
export const CHAOS_LIMIT = `--limit=${CHAOS_UID}=24MiB`;

/** Name and `ignore` of a fault that takes long. @param why What else is missing. */
export function slow(name: string, why?: string): { name: string; ignore: boolean } {
  if (!IS_CHAOS) return needing(false, "deno task chaos", name);
  if (!E2E_POSSIBLE) return needing(false, E2E_NEEDS, name);
  return needing(why === undefined, why ?? "", name);
}

/** A hog dies, what stands beside it lives. @returns Its pid. */
export async function assertEnforced(toom?: Toom): Promise<number> {
  await using small = await new Workload(CHAOS_UID, "hold", 1).until("held");
  await using hog = new Workload(CHAOS_UID, "hold", 256);
  assertEquals((await hog.end()).signal, "SIGKILL");
  await toom?.waitFor("kill", (line) => line["pid"] === hog.pid);
  assert(small.alive, "who is small lives");
  return hog.pid;
}
