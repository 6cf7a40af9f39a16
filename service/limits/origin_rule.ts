/**
 * A limit in force, and who asked for it.
 *
 * @module
 */
import type { LimitRule } from "../../pipeline/limits/limits.ts";

export interface OriginRule extends LimitRule {
  /** `control`: set while running, by `toom limit set`. */
  readonly origin: "command-line" | "control";
}
