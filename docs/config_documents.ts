/**
 * The documents that are made from the schema of the configuration: JSON Schema, reference, manual page
 * and example. `deno task docs` writes them; tests/docs_config_test.ts compares.
 *
 * @module
 */
import { z } from "zod";
import { RUN_COMMAND } from "../cli/run_command.ts";
import { OBJECT_EXAMPLES } from "../service/config/notify_schema.ts";
import { CONFIG_OPTIONS, type ConfigOption } from "../service/config/options.ts";
import { ANY_HOST, configSchema } from "../service/config/schema.ts";
import { VERSION } from "../version.ts";
import { item, roff } from "./roff.ts";

interface SchemaNode {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  examples?: readonly unknown[];
  required?: readonly string[];
  minimum?: number;
  maximum?: number;
  properties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  anyOf?: readonly SchemaNode[];
  items?: SchemaNode;
}

/** A setting, for documents. */
interface Setting extends ConfigOption {
  readonly node: SchemaNode;
  /** undefined: there is none, and the description says what is then. */
  readonly fallback: unknown;
}

const WIDTH = 96;

/** Each generated document by its path from the root of the checkout. */
export function configDocuments(): Readonly<Record<string, string>> {
  return {
    "deploy/config.schema.json": `${JSON.stringify(jsonSchema(), null, 2)}\n`,
    "deploy/config.jsonc": exampleFile(),
    "deploy/man/toom.conf.5": manualPage(),
    "docs/config.md": reference(),
  };
}

function jsonSchema(): SchemaNode {
  const { $schema, ...rest } = z.toJSONSchema(configSchema(ANY_HOST), { io: "input" });
  const schema = { $schema, title: "toom.conf(5)", ...rest } as SchemaNode;
  for (const { path, option, isNegated } of CONFIG_OPTIONS) {
    const node = nodeAt(schema, path);
    const fallback = fallbackOf(node, option, isNegated);
    if (fallback !== undefined) node.default = fallback;
    if (Object.hasOwn(OBJECT_EXAMPLES, path)) {
      node.examples = [OBJECT_EXAMPLES[path as keyof typeof OBJECT_EXAMPLES]];
    }
  }
  return schema;
}

function nodeAt(schema: SchemaNode, path: string): SchemaNode {
  return path.split(".").reduce((node, key) => node.properties![key]!, schema);
}

/** What holds when nobody says anything, as a file would have it. */
function fallbackOf(
  node: SchemaNode,
  option: string | undefined,
  isNegated: true | undefined,
): unknown {
  if (option === undefined) return undefined;
  if (node.type === "boolean") return isNegated === true;
  const text = RUN_COMMAND.options.find(({ name }) => name === option)!.default;
  return text !== undefined && node.type === "integer" ? Number(text) : text;
}

function settings(schema: SchemaNode): readonly Setting[] {
  return CONFIG_OPTIONS.map((option) => {
    const node = nodeAt(schema, option.path);
    return { ...option, node, fallback: node.default };
  });
}

/** Settings that are objects. */
function objects(schema: SchemaNode): readonly Setting[] {
  return settings(schema).filter(({ node }) => node.properties !== undefined);
}

/** The keys of a limit that is an object. */
function limitKeys(schema: SchemaNode): readonly (readonly [string, SchemaNode])[] {
  const { additionalProperties } = schema.properties!["limits"]!;
  const full = (additionalProperties as SchemaNode).anyOf!.find(({ properties }) => properties);
  return Object.entries(full!.properties!);
}

/** The keys of a rule. */
function ruleKeys(schema: SchemaNode): readonly (readonly [string, SchemaNode])[] {
  return Object.entries(schema.properties!["rules"]!.items!.properties!);
}

/** Rules for the example; each loads. */
const RULES = [
  '{ "command": "postgres", "user": "alice", "effect": "protect" }',
  '{ "commandLine": "*jupyter-lab*", "user": "@students", "effect": "avoid", "weight": 2 }',
  '{ "executable": "/usr/bin/python3*", "effect": "prefer" }',
  '{ "cgroup": "/user.slice/**/build-*.scope", "effect": "prefer", "weight": 10 }',
  '{ "directory": "/srv/batch/**", "oomScoreAdj": { "min": 200 }, "effect": "prefer" }',
  '{ "commandLine": { "pattern": "^java .*-Xmx[0-9]+g" }, "effect": "avoid" }',
  '{ "sessionLeader": true, "command": "python3", "effect": "none" }',
];

/** What may stand there, for people. */
function valueText(node: SchemaNode): string {
  const all = node.enum ?? node.examples;
  if (all !== undefined) {
    const words = all.map((word) => JSON.stringify(word)).join(", ");
    const what = node.type === "object" ? "an object" : "a text";
    return node.enum === undefined ? `${what} such as ${words}` : words;
  }
  if (node.type === "object") return "an object";
  if (node.type === "array") {
    const { items } = node;
    return items?.enum === undefined ? "a list of texts" : `a list of kinds of events`;
  }
  if (node.type === "string") return "a text";
  if (node.type === "boolean") return "true, false";
  if (node.type === "integer") return `${node.minimum} to ${node.maximum}`;
  if (node.type === "string") return "a text";
  if (node.properties !== undefined) {
    const keys = Object.entries(node.properties);
    return `{ ${keys.map(([key, one]) => `"${key}": ${valueText(one)}`).join(", ")} }`;
  }
  return (node.anyOf ?? []).map((one) =>
    one.type === "string" && one.examples === undefined ? '"any", "auto"' : valueText(one)
  ).join(", or ");
}

// ---------------------------------------------------------------------------------------- example

/** Settings that the shipped file gives another value than they have when they are left out. */
const SHIPPED: Readonly<Record<string, { readonly value: string; readonly because: string }>> = {
  brake: {
    value: "growers",
    because: "This file says growers: who grows above soft is refused memory before it must die.",
  },
};

function exampleFile(): string {
  const schema = jsonSchema();
  const lines = [
    "// toom.conf(5): /etc/toom/config.jsonc, with drop-ins /etc/toom/config.d/*.jsonc.",
    "// All settings, with what they are if they are left out, where nothing else is said; made by",
    "// deno task docs.",
    "{",
    '  "$schema": "/usr/share/toom/config.schema.json",',
    "",
    ...comment(schema.properties!["limits"]!.description!, "  "),
    '  "limits": {',
    '    // "alice": "4GiB",',
    '    // "bob": { "hard": "4GiB", "soft": "80%", "maxProcesses": 500 },',
    '    // "@students": "2GiB",',
    '    // "0": "none",',
    '    // "*": "50%",',
    '    "1000-59999": "25%",',
    "  },",
    "",
    ...comment(schema.properties!["rules"]!.description!, "  "),
    '  "rules": [',
    ...RULES.map((rule) => `    // ${rule},`),
    "  ],",
    "",
    ...exampleLines(schema, "", "  "),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function exampleLines(schema: SchemaNode, above: string, indent: string): readonly string[] {
  const lines: string[] = [];
  for (const [key, node] of Object.entries(schema.properties!)) {
    const path = above === "" ? key : `${above}.${key}`;
    if (key === "$schema" || path === "limits" || path === "rules") continue;
    if (above === "" && lines.length > 0) lines.push("");
    const setting = CONFIG_OPTIONS.find((one) => one.path === path);
    if (node.properties !== undefined && setting === undefined) {
      lines.push(...comment(node.description!, indent), `${indent}"${key}": {`);
      lines.push(...exampleLines(node, path, `${indent}  `), `${indent}},`);
      continue;
    }
    const restart = setting!.reloads ? "" : " A change needs a restart.";
    const shipped = SHIPPED[path];
    const because = shipped === undefined ? "" : ` ${shipped.because}`;
    lines.push(
      ...comment(`${node.description!}${restart} Value: ${valueText(node)}.${because}`, indent),
    );
    const value = JSON.stringify(
      shipped?.value ?? node.default ?? node.enum?.[0] ?? node.examples?.[0] ?? node.maximum,
    );
    const isLeftOut = shipped === undefined && node.default === undefined;
    lines.push(`${indent}${isLeftOut ? "// " : ""}"${key}": ${value},`);
  }
  return lines;
}

function comment(text: string, indent: string): readonly string[] {
  return wrap(text.replaceAll("`", ""), WIDTH - indent.length - 3).map((line) =>
    `${indent}// ${line}`
  );
}

function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

// -------------------------------------------------------------------------------------- reference

function reference(): string {
  const schema = jsonSchema();
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const code = (text: string): string => `\`${cell(text)}\``;
  const lines = [
    "# Configuration",
    "",
    "Made from the schema by `deno task docs`; not to be edited. How files are found and reloaded is in",
    "[README.md](../README.md#configuration); an example with everything in it is",
    "[deploy/config.jsonc](../deploy/config.jsonc), the JSON Schema for editors",
    "[deploy/config.schema.json](../deploy/config.schema.json).",
    "",
    "## limits",
    "",
    schema.properties!["limits"]!.description!,
    "",
    "| key of a limit | value | meaning |",
    "| --- | --- | --- |",
    ...limitKeys(schema).map(([key, node]) =>
      `| ${code(key)} | ${cell(valueText(node))} | ${cell(node.description!)} |`
    ),
    "",
    "A group's limit is one for each member, not one for all of them together. Members are looked up at",
    "the start and at each reload. Two subjects that mean the same uids, and ranges that cross each",
    "other, are refused. A limit set by `toom limit set` wins over that of the files for the same uid or",
    "range; what it does not say of `victim`, `maxProcesses`, `plan` and `storm` stays as in the files.",
    "",
    "```jsonc",
    "{",
    '  "limits": {',
    '    "alice": "4GiB", // one user',
    '    "uid:1001": { "hard": "8GiB", "soft": "6GiB" },',
    '    "@students": { "hard": "2GiB", "maxProcesses": 300 }, // each member',
    '    "1000-59999": "25%", // everybody else who logs in',
    '    "0": "none",',
    "  },",
    "}",
    "```",
    "",
    "## rules",
    "",
    schema.properties!["rules"]!.description!,
    "",
    "| key of a rule | value | meaning |",
    "| --- | --- | --- |",
    ...ruleKeys(schema).map(([key, node]) =>
      `| ${code(key)} | ${cell(valueText(node))} | ${cell(node.description!)} |`
    ),
    "",
    "A rule must ask for something, and say its effect. Rules are about the processes of one user: who",
    "is over its limit loses one of its own, whatever rules say. The others suffice when all of them",
    "together would bring the user below its limit, and not only for the moment: what the avoided and",
    "the protected have grown by within the last second would be grown by again. A process is looked at",
    "when it is born, executes a program or changes its user, and when the rules change; what it changes",
    "without that (its name, its directory, its cgroup, its `oom_score_adj`) is found a moment later",
    "while its user is above soft, else within a minute. A child has the rule of its parent until then.",
    "",
    "```jsonc",
    "{",
    '  "rules": [',
    ...RULES.map((rule) => `    ${rule},`),
    "  ],",
    "}",
    "```",
    "",
    "## Settings",
    "",
    "A setting `a.b` is the key `b` of the object `a`. A change of those marked restart counts at the",
    "next start; a reload names them.",
    "",
    "| setting | value | default | option | meaning |",
    "| --- | --- | --- | --- | --- |",
    ...settings(schema).map(({ path, node, fallback, option, reloads }) => {
      const standard = fallback === undefined ? "" : code(JSON.stringify(fallback));
      const meaning = `${node.description!}${reloads ? "" : " (restart)"}`;
      const flag = option === undefined ? "" : code(`--${option}`);
      return `| ${code(path)} | ${cell(valueText(node))} | ${standard} | ${flag} | ${
        cell(meaning)
      } |`;
    }),
    ...objects(schema).flatMap(({ path, node }) => [
      "",
      `## ${path}`,
      "",
      node.description!,
      "",
      "| key | value | meaning |",
      "| --- | --- | --- |",
      ...Object.entries(node.properties!).map(([key, inner]) =>
        `| ${code(key)} | ${cell(valueText(inner))} | ${cell(inner.description!)} |`
      ),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

// ------------------------------------------------------------------------------------ manual page

/** A text for troff: nothing in it is a request, and a dash is one to type. */
function manualPage(): string {
  const schema = jsonSchema();
  const lines = [
    `.TH TOOM.CONF 5 "" "toom ${VERSION}"`,
    '.\\" Made from the schema by deno task docs.',
    ".SH NAME",
    "toom.conf \\- configuration of toom, an out\\-of\\-memory killer that works per user",
    ".SH SYNOPSIS",
    ".I /etc/toom/config.jsonc",
    ".br",
    ".I /etc/toom/config.d/*.jsonc",
    ".SH DESCRIPTION",
    roff(
      "JSON with comments and trailing commas. Drop-ins are read behind the file in the order of their " +
        "names; a later file wins over an earlier one, and an option of `toom run` over all files. " +
        "The files and the folder of drop-ins must be owned by root and writable for root only.",
    ),
    ".PP",
    roff(
      "`toom check-config` checks them, `toom reload` or SIGHUP puts them in force, all or nothing, and " +
        "`toom config show` tells what is in force and from where.",
    ),
    ".SH LIMITS",
    roff(schema.properties!["limits"]!.description!),
    ...limitKeys(schema).flatMap(([key, node]) =>
      item(key, `${node.description!} Value: ${valueText(node)}.`)
    ),
    ".SH RULES",
    roff(schema.properties!["rules"]!.description!),
    ...ruleKeys(schema).flatMap(([key, node]) =>
      item(key, `${node.description!} Value: ${valueText(node)}.`)
    ),
    ".SH SETTINGS",
    roff("A setting a.b is the key b of the object a."),
    ...settings(schema).flatMap(({ path, node, fallback, option, reloads }) =>
      item(
        path,
        `${node.description!} Value: ${valueText(node)}.` +
          (fallback === undefined ? "" : ` Default: ${JSON.stringify(fallback)}.`) +
          (option === undefined ? "" : ` Option: --${option}.`) +
          (reloads ? "" : " A change needs a restart."),
      )
    ),
    ...objects(schema).flatMap(({ path, node }) => [
      `.SS ${path}`,
      roff(node.description!),
      ...Object.entries(node.properties!).flatMap(([key, inner]) =>
        item(key, `${inner.description!} Value: ${valueText(inner)}.`)
      ),
    ]),
    ".SH EXAMPLE",
    ".nf",
    "{",
    '  "limits": {',
    '    "1000\\-59999": "25%",',
    '    "@students": { "hard": "2GiB", "soft": "80%" }',
    "  }",
    "}",
    ".fi",
    ".SH SEE ALSO",
    ".BR limits.conf (5),",
    ".BR subuid (5),",
    ".BR systemd.resource\\-control (5)",
  ];
  return `${lines.join("\n")}\n`;
}
