/**
 * An event that tests of the journal publish, and when.
 *
 * @module
 */
import type { KillEvent } from "../../service/journal/events.ts";

export const AT = new Date("2026-08-22T10:00:00.123Z");
export const KILL: KillEvent = {
  event: "kill",
  id: "mf2k9x4r-209",
  uid: 10071,
  user: "skyzh",
  pid: 209,
  comm: "hog",
  trigger: "user",
  usagePages: 4100,
  sharedPages: 0,
  hardPages: 4096,
  overshootBytes: 16384,
  victimPages: 4000,
  latencyUs: 42,
  dryRun: false,
  sharers: 0,
  brakeLeftPages: null,
  signal: "SIGKILL",
  unit: "process",
  unitProcesses: 0,
  graceMs: null,
  ceilingPages: null,
  storm: false,
  weighed: [{ pid: 210, pages: 60 }, { pid: 211, pages: 40 }],
  rule: null,
  kept: [],
};
