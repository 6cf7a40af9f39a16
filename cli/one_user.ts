/**
 * A word of the command line that means one user.
 *
 * @module
 */
import { FormatError } from "../pipeline/limits/units.ts";
import { parseUser } from "../service/config/limit_spec.ts";
import { type CommandSpec, usageError } from "./args.ts";
import type { Users } from "./users.ts";

/** One user; root too may be asked about. */
export function uidOf(command: CommandSpec, text: string, users: Users): number {
  if (text === "root") return 0;
  let problem = "expected one user, not a range";
  try {
    const { uidFirst, uidLast } = parseUser(text, users);
    if (uidFirst === uidLast) return uidFirst;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    problem = error.message;
  }
  throw usageError(command, problem);
}
