/**
 * What is shown of a limited user.
 *
 * @module
 */
import type { Fields, RowOf } from "./field.ts";

const MEMORY = {
  name: "toom_user_memory_bytes",
  help: "Memory of a limited user: charged is compared with its limits, counted is the sum over " +
    "its processes, shared what of that is counted more than once or can be taken back, promised " +
    "what tmalloc has granted and is not in use yet, peak the most that was charged",
};
const LIMIT = { name: "toom_user_limit_bytes", help: "Limits of a user; 0: none" };

export const USER_FIELDS = {
  user: {
    type: "text",
    unit: "none",
    nullable: true,
    column: "USER",
    help: "Name of the user; null: the uid has none, or it is not known yet",
  },
  uid: {
    type: "number",
    unit: "none",
    column: "UID",
    help: "The user's uid; subordinate uids count for their owner",
  },
  usagePages: {
    type: "gauge",
    unit: "pages",
    column: "USAGE",
    help: "Charged: counted less shared; this is compared with the limits",
    metric: { ...MEMORY, labels: { type: "charged" } },
  },
  countedPages: {
    type: "gauge",
    unit: "pages",
    help: "Sum of the counted members over its processes: a page counts in each that maps it",
    metric: { ...MEMORY, labels: { type: "counted" } },
  },
  sharedPages: {
    type: "gauge",
    unit: "pages",
    column: "SHARED",
    help: "Share credit: counted pages that count more than once, or that the kernel can take back",
    metric: { ...MEMORY, labels: { type: "shared" } },
  },
  promisedPages: {
    type: "gauge",
    unit: "pages",
    column: "PROMISED",
    help: "Granted by tmalloc and not in use yet",
    metric: { ...MEMORY, labels: { type: "promised" } },
  },
  softPages: {
    type: "gauge",
    unit: "pages",
    column: "SOFT",
    zeroIsNone: true,
    help: "Soft limit: from here on toom makes ready to kill; 0: none",
    metric: { ...LIMIT, labels: { kind: "soft" } },
  },
  hardPages: {
    type: "gauge",
    unit: "pages",
    column: "HARD",
    zeroIsNone: true,
    help: "Hard limit: above it a process is killed; 0: none",
    metric: { ...LIMIT, labels: { kind: "hard" } },
  },
  peakPages: {
    type: "gauge",
    unit: "pages",
    column: "PEAK",
    help: "The most that was charged at one time since the user is watched",
    metric: { ...MEMORY, labels: { type: "peak" } },
  },
  growthPagesPerSecond: {
    type: "gauge",
    unit: "pages per second",
    signed: true,
    column: "GROWTH",
    help: "Growth of what is charged, over the last second; negative: it shrinks",
    metric: {
      name: "toom_user_growth_bytes_per_second",
      help: "Growth of what a user is charged, over the last second",
    },
  },
  state: {
    type: "choice",
    choices: ["ok", "soft", "hard"],
    unit: "none",
    column: "STATE",
    help: "Whether its usage is below soft, above soft, or above hard",
  },
  isNear: {
    type: "flag",
    unit: "none",
    help:
      "Whether it could reach its soft limit before toom can look again: then each page is booked",
    metric: {
      name: "toom_user_near",
      help: "1 while a user could reach its soft limit before toom can look again",
    },
  },
  inDoubt: {
    type: "flag",
    unit: "none",
    help: "Its books may be wrong, and do not decide before its processes were read",
    metric: {
      name: "toom_user_in_doubt",
      help: "1 while a user's books may be wrong, so that its processes are read before a kill",
    },
  },
  processes: {
    type: "gauge",
    unit: "none",
    column: "PROCESSES",
    help: "Its processes",
    metric: { name: "toom_user_processes", help: "Processes of a user" },
  },
  refusals: {
    type: "counter",
    unit: "none",
    column: "REFUSED",
    help: "Processes of it that came under the brake",
    metric: { name: "toom_user_refusals", help: "Processes of a user that came under the brake" },
  },
  kills: {
    type: "counter",
    unit: "none",
    column: "KILLS",
    help: "Processes of it that toom has killed since it is watched",
    metric: { name: "toom_user_kills", help: "Processes of a user that toom has killed" },
  },
} as const satisfies Fields;
export type UserRow = RowOf<typeof USER_FIELDS>;
