/**
 * A limit in force, and who asked for it.
 *
 * @module
 */
import type { LimitRule, UidRange } from "../../pipeline/limits/limits.ts";

export interface OriginRule extends LimitRule {
  /** `control`: set while running, by `toom limit set`; `config`: by a file of the configuration. */
  readonly origin: "command-line" | "control" | "config";
  /** Who is meant, as it is written: `@students`. */
  readonly subject?: string;
  /** File and line, of a rule of the configuration. */
  readonly place?: string;
  /** Of the account of a group with a shared limit: who counts for it. */
  readonly memberUids?: readonly number[];
}

/** A limit that was changed while running, beside what files and command line say. */
export interface OverriddenRule extends UidRange {
  /** undefined: it was cleared. */
  readonly running: OriginRule | undefined;
  /** undefined: they say nothing about exactly these uids. */
  readonly configured: OriginRule | undefined;
}
