/**
 * The metrics of this moment: of the status, by the tables of fields, and of what the journal has told.
 * Made on the supervisor's thread of what is in shared memory; no worker has a part in it.
 *
 * @module
 */
import type { StatusReport, UserReport } from "../control/control_api.ts";
import type { FieldSpec, FieldValue } from "../fields/field.ts";
import { baseFactor, metricName, metricValue } from "../fields/metric_name.ts";
import { NOTIFIER_FIELDS, STREAM_FIELDS } from "../fields/listener_fields.ts";
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
} from "../fields/toom_fields.ts";
import { USER_FIELDS } from "../fields/user_fields.ts";
import { Exposition, type ExpositionFormat, labelsText, labelValue } from "./exposition.ts";
import { encoded } from "./byte_text.ts";
import type { KillCounts } from "./kill_counts.ts";
import type { ProcessCost } from "../../kernel/process/cost.ts";

/** A text is shown again for so many times as long as it took to make: a tenth of a CPU at most. */
const HOLDS_FACTOR = 10;
/** What is not larger is always of now. */
const SMALL_BYTES = 256 * 1024;

type Row = Readonly<Record<string, FieldValue>>;

export interface MetricsSources {
  readonly status: () => StatusReport;
  readonly kills: KillCounts;
  readonly cost: () => ProcessCost;
  readonly denoVersion: string;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
}

export class Metrics {
  private readonly sources: MetricsSources;
  private readonly held = new Map<
    ExpositionFormat,
    { bytes: Uint8Array<ArrayBuffer>; untilMs: number }
  >();

  constructor(sources: MetricsSources) {
    this.sources = sources;
  }

  /** As of now, or where there are many users of a moment ago: whoever asks over and over does not keep the thread busy. */
  render(format: ExpositionFormat): Uint8Array<ArrayBuffer> {
    const { nowMs } = this.sources;
    const beganMs = nowMs();
    const held = this.held.get(format);
    if (held !== undefined && beganMs < held.untilMs) return held.bytes;
    const bytes = this.make(format);
    const endMs = nowMs();
    const tookMs = endMs - beganMs;
    if (bytes.length > SMALL_BYTES) {
      this.held.set(format, { bytes, untilMs: endMs + tookMs * HOLDS_FACTOR });
    } else this.held.delete(format);
    return bytes;
  }

  private make(format: ExpositionFormat): Uint8Array<ArrayBuffer> {
    const { status, kills, cost, denoVersion } = this.sources;
    const report = status();
    const { pageBytes } = report;
    const out = new Exposition(format);
    out.family("toom_build_info", "info", "Version of toom and of Deno, and how events are read");
    const { version, source } = report;
    out.sample("toom_build_info", labelsText({ version, deno: denoVersion, source }), 1);
    writeUsers(out, report.users, pageBytes);
    kills.write(out);
    const single = [
      [TOOM_FIELDS, report],
      [KILL_COUNT_FIELDS, report.kills],
      [EVENT_FIELDS, report.events],
      [MEASURING_FIELDS, report.measuring],
      [NEAR_FIELDS, report.near],
      [BRAKE_FIELDS, report.brake],
      [TMALLOC_FIELDS, report.tmalloc],
      [SHED_FIELDS, report.shed],
      [STREAM_FIELDS, report.streams],
      [HISTORY_FIELDS, report.history],
      [MEMORY_FIELDS, report.memory],
    ] as const;
    for (const [fields, row] of single) {
      if (row !== undefined) writeRows(out, fields, [row as unknown as Row], pageBytes, {});
    }
    writeRows(out, WORKER_FIELDS, report.workers, pageBytes, { role: "role" });
    writeRows(out, SUBSCRIBER_FIELDS, report.journal ?? [], pageBytes, { name: "subscriber" });
    writeRows(out, NOTIFIER_FIELDS, report.notifiers ?? [], pageBytes, { name: "notifier" });
    writeRestarts(out, report);
    writeCost(out, cost());
    return out.end();
  }
}

function typeOf({ type }: FieldSpec): "counter" | "gauge" {
  return type === "counter" ? "counter" : "gauge";
}

/** Families of a table: fields that share a name are one. */
function* familiesOf(
  fields: Readonly<Record<string, FieldSpec>>,
): Generator<{ name: string; help: string; members: readonly (readonly [string, FieldSpec])[] }> {
  const families = new Map<string, [string, FieldSpec][]>();
  for (const [field, spec] of Object.entries(fields)) {
    if (spec.metric === undefined) continue;
    const name = metricName(spec);
    families.set(name, [...families.get(name) ?? [], [field, spec]]);
  }
  for (const [name, members] of families) {
    const help = members.find(([, { metric }]) => metric?.help !== undefined)?.[1].metric?.help;
    yield { name, help: help ?? members[0]![1].help, members };
  }
}

/** @param keys Fields that are labels, with the labels' names. */
function writeRows(
  out: Exposition,
  fields: Readonly<Record<string, FieldSpec>>,
  rows: readonly Row[],
  pageBytes: number,
  keys: Readonly<Record<string, string>>,
): void {
  for (const { name, help, members } of familiesOf(fields)) {
    out.family(name, typeOf(members[0]![1]), help);
    for (const row of rows) {
      const own = Object.fromEntries(
        Object.entries(keys).map(([field, label]) => [label, String(row[field])]),
      );
      for (const [field, spec] of members) {
        const labels = labelsText({ ...own, ...spec.metric!.labels });
        out.sample(name, labels, metricValue(spec, row[field]!, pageBytes));
      }
    }
  }
}

/** As {@link writeRows}, for ten thousand of them: what lines have in common is encoded once. */
function writeUsers(out: Exposition, users: readonly UserReport[], pageBytes: number): void {
  const { bytes } = out;
  out.family("toom_user_info", "info", "Name of a limited user, by its uid");
  for (const { uid, user } of users) {
    const name = user === null ? "" : labelValue(user);
    bytes.text(`toom_user_info{uid="${uid}",user="${name}"} 1\n`);
  }
  const end = encoded("\n");
  for (const { name, help, members } of familiesOf(USER_FIELDS)) {
    out.family(name, typeOf(members[0]![1]), help);
    const head = encoded(`${name}{uid="`);
    for (const [field, { metric, unit }] of members) {
      const labels = labelsText(metric!.labels ?? {});
      const tail = encoded(labels === "" ? '"} ' : `",${labels.slice(1)} `);
      const factor = baseFactor(unit, pageBytes);
      for (let at = 0; at < users.length; at++) {
        const user = users[at]!;
        bytes.put(head);
        bytes.number(user.uid);
        bytes.put(tail);
        // A flag is 1 or 0.
        bytes.number(Number(user[field as keyof UserReport]) * factor);
        bytes.put(end);
      }
    }
  }
}

function writeRestarts(out: Exposition, { restarts, tmalloc }: StatusReport): void {
  out.family("toom_restarts_total", "counter", "Times that toom has started over: a worker hung");
  out.sample("toom_restarts_total", "", restarts?.total ?? 0);
  const broken = "toom_tmalloc_connections_broken_total";
  out.family(broken, "counter", "Connections that were closed for what they sent, by reason");
  for (const [reason, count] of Object.entries(tmalloc.brokenConnections)) {
    out.sample(broken, labelsText({ reason }), count);
  }
}

function writeCost(out: Exposition, cost: ProcessCost): void {
  out.family("process_cpu_seconds_total", "counter", "CPU time of toom, all of its threads");
  out.sample("process_cpu_seconds_total", "", cost.cpuSeconds);
  out.family("process_start_time_seconds", "gauge", "When toom's process began, since 1970");
  out.sample("process_start_time_seconds", "", cost.startSeconds);
  out.family("process_open_fds", "gauge", "Descriptors that toom has open");
  out.sample("process_open_fds", "", cost.openFds);
}
