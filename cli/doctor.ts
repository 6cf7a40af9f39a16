/**
 * `toom doctor`: does this machine have what toom needs?
 *
 * @module
 */
import { z } from "zod";
import { type Examination, examine } from "../kernel/doctor/examine.ts";
import { checkOptions, type CommandSpec, helpText, parseCommand } from "./args.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";

/** Held by `toom run`. */
const LOCK_PATH = "/run/toom.lock";

const DOCTOR_COMMAND: CommandSpec = {
  name: "toom doctor",
  summary:
    "Try out everything that toom needs of this machine; exit code 3 when something is missing.",
  options: [
    { name: "json", kind: "boolean", help: "Print the findings as JSON, on one line" },
  ],
  notes: ["ok: it works; missing: toom run cannot do without; optional: toom run goes without."],
};

const OptionsSchema = z.strictObject({ json: z.boolean() });

/**
 * `toom doctor`.
 *
 * @param args The words behind `toom doctor`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function doctorCommand(args: string[], io: CommandIo): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(DOCTOR_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(DOCTOR_COMMAND));
      return ExitCode.done;
    }
    const { json } = checkOptions(DOCTOR_COMMAND, OptionsSchema, parsed.options);
    const examination = await examine(LOCK_PATH);
    const ok = examination.findings.every(({ status }) => status !== "missing");
    if (json) io.out(JSON.stringify(toJson(examination, ok)));
    else for (const line of lines(examination, ok)) io.out(line);
    return ok ? ExitCode.done : ExitCode.unsupported;
  });
}

function toJson({ findings, notes }: Examination, ok: boolean): unknown {
  return {
    ok,
    checks: findings.map(({ name, status, detail, mend }) => ({
      name,
      status,
      detail: oneLine(detail),
      mend: mend ?? null,
    })),
    notes,
  };
}

function lines({ findings, notes }: Examination, ok: boolean): readonly string[] {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const missing = findings.filter(({ status }) => status === "missing").length;
  return [
    ...findings.flatMap(({ name, status, detail, mend }) => [
      `${status.padEnd(8)}  ${name.padEnd(width)}  ${oneLine(detail)}`,
      ...(mend === undefined ? [] : [`${" ".repeat(width + 12)}mend: ${mend}`]),
    ]),
    ...notes.map((note) => `note      ${note}`),
    ok ? "toom can run here" : `toom cannot run here: ${missing} missing`,
  ];
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ");
}
