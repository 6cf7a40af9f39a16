/**
 * `toom doctor`: does this machine have what toom needs?
 *
 * @module
 */
import { z } from "zod";
import { type Examination, examine } from "../kernel/doctor/examine.ts";
import {
  checkOptions,
  type CommandSpec,
  helpText,
  parseCommand,
  readAs,
  usageError,
} from "./args.ts";
import { ControlClient } from "./control_client.ts";
import { type CommandIo, ExitCode, guard } from "./errors.ts";
import type { ClientDependencies } from "./limit.ts";
import { parseSocketPath } from "../service/config/option_values.ts";
import { CONTROL_SOCKET_OPTION } from "./control_socket_option.ts";
import { uidOf } from "./one_user.ts";
import { systemUsers } from "./users.ts";

/** Held by `toom run`. */
const LOCK_PATH = "/run/toom.lock";

export const DOCTOR_COMMAND: CommandSpec = {
  name: "toom doctor",
  summary:
    "Try out everything that toom needs of this machine; exit code 3 when something is missing.",
  positionals: [{ name: "USER", help: "With --audit: only this user", optional: true }],
  options: [
    { name: "json", kind: "boolean", help: "Print the findings as JSON, on one line" },
    {
      name: "audit",
      kind: "boolean",
      help: "Compare the books of the toom that runs with /proc, and explain each difference",
    },
    CONTROL_SOCKET_OPTION,
  ],
  notes: [
    "ok: it works; missing: toom run cannot do without; optional: toom run goes without.",
    "With --audit, exit code 1 says that a difference has no explanation.",
  ],
};

const OptionsSchema = z.strictObject({
  json: z.boolean(),
  audit: z.boolean(),
  "control-socket": readAs(parseSocketPath),
});

/**
 * `toom doctor`.
 *
 * @param args The words behind `toom doctor`.
 * @returns The exit code; all errors have become lines of `io.err`.
 */
export async function doctorCommand(
  args: string[],
  io: CommandIo,
  { users }: ClientDependencies = {},
): Promise<ExitCode> {
  return await guard(io, async () => {
    const parsed = parseCommand(DOCTOR_COMMAND, args);
    if (parsed.help) {
      io.out(helpText(DOCTOR_COMMAND));
      return ExitCode.done;
    }
    const options = checkOptions(DOCTOR_COMMAND, OptionsSchema, parsed.options);
    const { json } = options;
    const [user] = parsed.positionals;
    if (options.audit) {
      const uid = user === undefined
        ? undefined
        : uidOf(DOCTOR_COMMAND, user, users ?? await systemUsers());
      return await audit(options["control-socket"], uid, json, io);
    }
    if (user !== undefined) throw usageError(DOCTOR_COMMAND, "expected --audit before USER");
    const examination = await examine(LOCK_PATH);
    const ok = examination.findings.every(({ status }) => status !== "missing");
    if (json) io.out(JSON.stringify(toJson(examination, ok)));
    else for (const line of lines(examination, ok)) io.out(line);
    return ok ? ExitCode.done : ExitCode.unsupported;
  });
}

async function audit(
  socketPath: string,
  uid: number | undefined,
  json: boolean,
  io: CommandIo,
): Promise<ExitCode> {
  const { auditUsers } = await import("./audit.ts");
  using client = new ControlClient(socketPath);
  const compared = await auditUsers(client, uid);
  const unexplained = compared.reduce((sum, one) => sum + one.unexplained, 0);
  if (json) io.out(JSON.stringify({ ok: unexplained === 0, users: compared }));
  else {
    for (const { lines } of compared) for (const line of lines) io.out(line);
    io.out(
      unexplained === 0
        ? `the books of ${compared.length} users are true`
        : `${unexplained} differences are not explained`,
    );
  }
  return unexplained === 0 ? ExitCode.done : ExitCode.failed;
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
