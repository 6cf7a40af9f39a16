/**
 * All tables of fields, with what each is about.
 *
 * @module
 */
import type { Fields } from "./field.ts";
import { KILL_FIELDS, PEAK_FIELDS, WEIGHED_FIELDS } from "./kill_fields.ts";
import { PROCESS_FIELDS } from "./process_fields.ts";
import { NOTIFIER_FIELDS, STREAM_FIELDS } from "./listener_fields.ts";
import {
  BRAKE_FIELDS,
  EVENT_FIELDS,
  HISTORY_FIELDS,
  KILL_COUNT_FIELDS,
  MEASURING_FIELDS,
  MEMORY_FIELDS,
  NEAR_FIELDS,
  SHED_FIELDS,
  SUBSCRIBER_FIELDS,
  TMALLOC_FIELDS,
  TOOM_FIELDS,
  WORKER_FIELDS,
} from "./toom_fields.ts";
import { USER_FIELDS } from "./user_fields.ts";

export interface FieldTable {
  /** As a heading. */
  readonly title: string;
  /** Where its values stand in JSON. */
  readonly place: string;
  /** Fields whose values are labels of the table's metrics, with the labels' names. */
  readonly labels: Readonly<Record<string, string>>;
  readonly fields: Fields;
}

const STATUS = "`toom status --json`";

export const FIELD_TABLES: readonly FieldTable[] = [
  {
    title: "Users",
    place: `\`users\` of ${STATUS}; \`toom status --csv\``,
    labels: { uid: "uid" },
    fields: USER_FIELDS,
  },
  {
    title: "Processes",
    place: "`processes` of `toom explain --json`",
    labels: {},
    fields: PROCESS_FIELDS,
  },
  {
    title: "Kills",
    place: "`kills` of `toom kills --json`; `toom kills --csv`",
    labels: {},
    fields: KILL_FIELDS,
  },
  {
    title: "Processes beside a victim",
    place: "`others` of a kill",
    labels: {},
    fields: WEIGHED_FIELDS,
  },
  {
    title: "Peaks of users",
    place: "`peaks` of `toom kills --peaks --json`; `toom kills --peaks --csv`",
    labels: {},
    fields: PEAK_FIELDS,
  },
  { title: "toom itself", place: STATUS, labels: {}, fields: TOOM_FIELDS },
  {
    title: "Counts of kills",
    place: `\`kills\` of ${STATUS}`,
    labels: {},
    fields: KILL_COUNT_FIELDS,
  },
  { title: "Events", place: `\`events\` of ${STATUS}`, labels: {}, fields: EVENT_FIELDS },
  { title: "Measuring", place: `\`measuring\` of ${STATUS}`, labels: {}, fields: MEASURING_FIELDS },
  {
    title: "Near and far",
    place: `\`near\` of ${STATUS}; only with the bpf source`,
    labels: {},
    fields: NEAR_FIELDS,
  },
  { title: "Brake", place: `\`brake\` of ${STATUS}`, labels: {}, fields: BRAKE_FIELDS },
  { title: "tmalloc", place: `\`tmalloc\` of ${STATUS}`, labels: {}, fields: TMALLOC_FIELDS },
  { title: "What was shed", place: `\`shed\` of ${STATUS}`, labels: {}, fields: SHED_FIELDS },
  {
    title: "Workers",
    place: `\`workers\` of ${STATUS}`,
    labels: { role: "role" },
    fields: WORKER_FIELDS,
  },
  {
    title: "Subscribers of the journal",
    place: `\`journal\` of ${STATUS}`,
    labels: { name: "subscriber" },
    fields: SUBSCRIBER_FIELDS,
  },
  {
    title: "Streams of events",
    place: `\`streams\` of ${STATUS}`,
    labels: {},
    fields: STREAM_FIELDS,
  },
  {
    title: "Hooks, mail and webhook",
    place: `\`notifiers\` of ${STATUS}`,
    labels: { name: "notifier" },
    fields: NOTIFIER_FIELDS,
  },
  { title: "History", place: `\`history\` of ${STATUS}`, labels: {}, fields: HISTORY_FIELDS },
  { title: "Memory of toom", place: `\`memory\` of ${STATUS}`, labels: {}, fields: MEMORY_FIELDS },
];
