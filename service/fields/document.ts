/**
 * docs/fields.md, made from the tables.
 *
 * @module
 */
import type { FieldSpec } from "./field.ts";
import { metricName } from "./metric_name.ts";
import { FIELD_TABLES } from "./tables.ts";

export function fieldsDocument(): string {
  const lines = [
    "# Fields",
    "",
    "Made from `service/fields/` by `deno task docs`; not to be edited.",
    "",
    "Everything that toom shows, by tables. A name is the same in JSON, in CSV and in the code, and ends",
    "in its unit. Metrics are in base units: pages become bytes, milliseconds and microseconds seconds.",
    "A counter only grows until toom starts anew; a time is ISO 8601, UTC.",
    "",
  ];
  for (const { title, place, fields } of FIELD_TABLES) {
    lines.push(`## ${title}`, "", `${place}.`, "", "| field | type | unit | what it is | metric |");
    lines.push("| --- | --- | --- | --- | --- |");
    for (const [name, spec] of Object.entries<FieldSpec>(fields)) {
      const cells = [`\`${name}\``, typeText(spec), spec.unit, spec.help, metricText(spec)];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    }
    lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

function typeText({ type, choices, nullable }: FieldSpec): string {
  const text = choices === undefined ? type : choices.join(", ");
  return nullable === true ? `${text}, or null` : text;
}

function metricText(spec: FieldSpec): string {
  if (spec.metric === undefined) return "";
  const labels = Object.entries(spec.metric.labels ?? {}).map(([name, value]) =>
    `${name}="${value}"`
  );
  return `\`${metricName(spec)}${labels.length === 0 ? "" : `{${labels.join()}}`}\``;
}
