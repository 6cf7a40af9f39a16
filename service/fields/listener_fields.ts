/**
 * Fields of those who are told what happens: clients that follow, hooks, mail and webhook.
 *
 * @module
 */
import type { Fields } from "./field.ts";

export const STREAM_FIELDS = {
  clients: {
    type: "gauge",
    unit: "none",
    help: "Clients that follow what happens, at this moment",
    metric: { name: "toom_event_clients" },
  },
  total: {
    type: "counter",
    unit: "none",
    help: "Clients that have begun to",
    metric: { name: "toom_event_streams", help: "Clients that have begun to follow what happens" },
  },
  missed: {
    type: "counter",
    unit: "none",
    help: "Entries that were forgotten before a client had read them; it was told",
    metric: { name: "toom_event_missed" },
  },
  dropped: {
    type: "counter",
    unit: "none",
    help: "Clients that were dropped because they did not read",
    metric: { name: "toom_event_dropped" },
  },
  refused: {
    type: "counter",
    unit: "none",
    help: "Clients that were refused because there were too many",
    metric: { name: "toom_event_refused" },
  },
} as const satisfies Fields;

export const NOTIFIER_FIELDS = {
  name: {
    type: "text",
    unit: "none",
    help: "hooks.before, hooks.after, hooks.soft, notify.mail or notify.webhook",
    column: "TOLD",
  },
  waiting: {
    type: "gauge",
    unit: "none",
    help: "Programs that run, or events that wait to be told, at this moment",
    column: "WAITING",
    metric: { name: "toom_notifier_waiting" },
  },
  done: {
    type: "counter",
    unit: "none",
    help: "Those that went well",
    column: "DONE",
    metric: { name: "toom_notifier_done", help: "Hooks, mails and posts that went well" },
  },
  failed: {
    type: "counter",
    unit: "none",
    help: "Those that failed",
    column: "FAILED",
    metric: { name: "toom_notifier_failed", help: "Hooks, mails and posts that failed" },
  },
  late: {
    type: "counter",
    unit: "none",
    help: "Those that were ended because their time was over",
    column: "LATE",
    metric: {
      name: "toom_notifier_late",
      help: "Hooks, mails and posts that were ended because their time was over",
    },
  },
  left: {
    type: "counter",
    unit: "none",
    help: "Those that were left out because there were too many",
    column: "LEFT OUT",
    metric: {
      name: "toom_notifier_left",
      help: "Hooks, mails and posts that were left out because there were too many",
    },
  },
} as const satisfies Fields;
