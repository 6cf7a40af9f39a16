/**
 * The options of `toom run`: declared, read, checked and frozen before anything starts.
 *
 * @module
 */
import { z } from "zod";
import { READERS_MAX } from "../pipeline/memory/layout.ts";
import {
  formatUidRange,
  type LimitRule,
  parseSoft,
  RULES_MAX,
  sameUids,
  type SoftSpec,
} from "../pipeline/limits/limits.ts";
import { FormatError, parseAmountBytes, quote } from "../pipeline/limits/units.ts";
import { checkOptions, oneOf, parseCommand, readAs, usageError, wholeNumber } from "./args.ts";
import { type LimitHost, parseLimitSpec } from "./limit_spec.ts";
import {
  parseCounted,
  parseCpu,
  parseDurationMs,
  parsePath,
  parseSocketPath,
  parseSubbufKib,
  parseTmallocSocket,
  within,
} from "./option_values.ts";
import { RUN_COMMAND } from "./run_command.ts";

/** One user gets this part of all processes, and so many at least. */
const USER_PROCESSES_PART = 4;
const USER_PROCESSES_MIN = 64;

/** What `toom run` was asked to do. Frozen. */
export interface RunOptions {
  /** One for each range; more may be set while running. */
  readonly limits: readonly LimitRule[];
  readonly source: "auto" | "bpf" | "raw" | "text";
  /** 1 to 64. */
  readonly readerCount: number;
  /** Counted members: bit {@link Member}.anon and so on. Never 0. */
  readonly memberMask: number;
  /** Pages that are counted more than once are credited; else usage is the sum over processes. */
  readonly creditsShares: boolean;
  readonly victim: "largest" | "newest" | "growing";
  /** Where the soft limit lies for limits that do not say. */
  readonly softDefault: SoftSpec;
  /** Period of the last-defense trigger, 100 ms to 1 h. */
  readonly intervalMs: number;
  /** The machine-wide floor; 0 = off. */
  readonly minAvailableBytes: number;
  /** Whether the kernel's pressure stall information makes toom act. */
  readonly psi: boolean;
  readonly dryRun: boolean;
  readonly logFormat: "text" | "json";
  /** Kernel ring buffer of each CPU. */
  readonly bufferKib: number;
  /** Sub-buffer of the kernel's ring buffer; `undefined` = as it is. */
  readonly subbufKib: number | undefined;
  readonly controlSocketPath: string;
  /** Where programs ask for memory; undefined: nowhere. */
  readonly tmallocSocketPath: string | undefined;
  readonly stateDirPath: string;
  /** Whose subordinate uids are, subuid(5); undefined: every uid counts for itself. */
  readonly subuidPath: string | undefined;
  readonly processesMax: number;
  readonly usersMax: number;
  /** Processes of one user; one that has more counts as over its limit. */
  readonly userProcessesMax: number;
  /** The CPU of the workers on the event's way; -1 any. */
  readonly pathCpu: number | "auto";
  /** Soft arms the killer; `--no-arm` shows what that is worth. */
  readonly arms: boolean;
  /** Programs in the kernel may end a process themselves, where there are any. */
  readonly kernelTrigger: boolean;
  /** Faults may be provoked over the control socket. */
  readonly debugFaults: boolean;
}

/**
 * Reads the words behind `toom run`.
 *
 * @returns `undefined` when help was asked for: print `helpText(RUN_COMMAND)`.
 * @throws {UsageError} One line that says what was expected.
 */
export function parseRunOptions(
  args: readonly string[],
  host: LimitHost,
): RunOptions | undefined {
  const parsed = parseCommand(RUN_COMMAND, args);
  if (parsed.help) return undefined;
  const values = checkOptions(RUN_COMMAND, schemaOf(host), parsed.options);
  return Object.freeze({
    limits: readLimits(values.limit, host, values.soft),
    source: values.source,
    readerCount: values.readers,
    memberMask: values.count.mask,
    creditsShares: !values.count.isSum,
    victim: values.victim,
    softDefault: values.soft,
    intervalMs: values.interval,
    minAvailableBytes: values["min-available"],
    psi: !values["no-psi"],
    dryRun: values["dry-run"],
    logFormat: values["log-format"],
    bufferKib: values["buffer-kib"],
    subbufKib: values["subbuf-kib"],
    controlSocketPath: values["control-socket"],
    tmallocSocketPath: values["tmalloc-socket"],
    stateDirPath: values["state-dir"],
    subuidPath: values["no-subuids"] ? undefined : values["subuid-file"],
    processesMax: values["max-processes"],
    usersMax: values["max-users"],
    userProcessesMax: Math.min(
      values["max-processes"],
      values["max-user-processes"] ??
        Math.max(USER_PROCESSES_MIN, Math.floor(values["max-processes"] / USER_PROCESSES_PART)),
    ),
    pathCpu: values["cpu"],
    arms: !values["no-arm"],
    kernelTrigger: values.trigger === "kernel",
    debugFaults: values["debug-faults"],
  });
}

// The return type is what zod infers, and would only repeat the schema.
// deno-lint-ignore explicit-function-return-type
function schemaOf(host: LimitHost) {
  return z.strictObject({
    limit: z.array(z.string()),
    source: oneOf(["auto", "bpf", "raw", "text"]),
    trigger: oneOf(["kernel", "user"]),
    readers: wholeNumber(1, READERS_MAX),
    count: readAs(parseCounted),
    victim: oneOf(["largest", "newest", "growing"]),
    soft: readAs(parseSoft),
    interval: readAs((text) => within(text, parseDurationMs(text), 100, 3_600_000)),
    "min-available": readAs((text) =>
      parseAmountBytes(text, host.totalMemoryBytes, host.pageBytes)
    ),
    "no-psi": z.boolean(),
    "dry-run": z.boolean(),
    "log-format": oneOf(["text", "json"]),
    "buffer-kib": wholeNumber(4, 1_048_576),
    "subbuf-kib": readAs(parseSubbufKib).optional(),
    "control-socket": readAs(parseSocketPath),
    "tmalloc-socket": readAs(parseTmallocSocket),
    "state-dir": readAs(parsePath),
    "max-processes": wholeNumber(64, 1_048_576),
    "max-users": wholeNumber(16, 65_536),
    "max-user-processes": wholeNumber(1, 1_048_576).optional(),
    "cpu": readAs(parseCpu),
    "no-subuids": z.boolean(),
    "subuid-file": readAs(parsePath),
    "no-arm": z.boolean(),
    "debug-faults": z.boolean(),
  });
}

function readLimits(
  texts: readonly string[],
  host: LimitHost,
  softDefault: SoftSpec,
): readonly LimitRule[] {
  const limits: LimitRule[] = [];
  for (const text of texts) {
    try {
      const rule = parseLimitSpec(text, host, softDefault);
      if (limits.some((other) => sameUids(other, rule))) {
        throw new FormatError(
          `Cannot read limit ${quote(text)}: expected one limit a user, and uid ${
            formatUidRange(rule)
          } has one already`,
        );
      }
      limits.push(Object.freeze(rule));
    } catch (error) {
      if (error instanceof FormatError) throw usageError(RUN_COMMAND, error.message);
      throw error;
    }
  }
  if (limits.length > RULES_MAX) {
    throw usageError(RUN_COMMAND, `--limit: expected at most ${RULES_MAX} limits, use ranges`);
  }
  return Object.freeze(limits);
}
