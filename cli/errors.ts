/**
 * What a command can end with, as errors; each knows its exit code. All messages are one line.
 *
 * @module
 */

export const ExitCode = { done: 0, failed: 1, usage: 2, unsupported: 3 } as const;
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** The command was understood, tried, and did not work. Exit code 1. */
export class FailedError extends Error {
  override readonly name: string = "FailedError";
  readonly exitCode: ExitCode = ExitCode.failed;
}

/** The command was used wrongly; the message says what was expected. Exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
  readonly exitCode: ExitCode = ExitCode.usage;
}

/** Several things are wrong, all of them told: a line for each. */
export class ProblemsError extends Error {
  override readonly name: string = "ProblemsError";
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];

  constructor(lines: readonly string[], exitCode: ExitCode) {
    super(lines.join("; "));
    this.lines = lines;
    this.exitCode = exitCode;
  }
}

/** Not permitted or not supported here. Exit code 3. */
export class UnsupportedError extends Error {
  override readonly name: string = "UnsupportedError";
  readonly exitCode: ExitCode = ExitCode.unsupported;
  /** What to do about it, one line. */
  readonly mend: string;

  /**
   * @param problem What is not possible here.
   * @param mend What to do about it.
   */
  constructor(problem: string, mend: string, options?: ErrorOptions) {
    super(`${problem}: ${mend}`, options);
    this.mend = mend;
  }
}

/** Exit code for whatever was thrown; 1 for what is none of the above. */
export function exitCodeOf(error: unknown): ExitCode {
  const known = error instanceof UsageError || error instanceof UnsupportedError ||
    error instanceof FailedError || error instanceof ProblemsError;
  return known ? error.exitCode : ExitCode.failed;
}

/** One line for whatever was thrown. */
export function errorLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s*[\r\n]+\s*/g, " ");
}

/** Where a command writes its lines. */
export interface CommandIo {
  /** A line of what was asked for. */
  readonly out: (line: string) => void;
  /** A line about what went wrong. */
  readonly err: (line: string) => void;
}

/**
 * Runs a command to its exit code: whatever it throws becomes one line.
 *
 * @returns What `body` returns, or the exit code of what it threw.
 */
export async function guard(io: CommandIo, body: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await body();
  } catch (error) {
    const lines = error instanceof ProblemsError ? error.lines : [errorLine(error)];
    for (const line of lines) io.err(line);
    return exitCodeOf(error);
  }
}
