/**
 * What is in force and who said so, for those who ask. Plain data.
 *
 * @module
 */
import type { VictimRule } from "../../pipeline/rules/victim_rule.ts";
import type { FileLimit } from "./limits_section.ts";
import type { ConfigPath } from "./options.ts";

export interface SettingReport {
  readonly path: ConfigPath;
  /** As it was written; of a default what it comes to. */
  readonly value: string;
  /** `/etc/toom/config.jsonc:12`, `--victim`, or `default`. */
  readonly from: string;
}

/** What stands in a file and is not in force, because it names somebody who is not there. */
export interface AbsentReport {
  /** Of the setting or limit, `limits.bob`. */
  readonly path: string;
  /** `/etc/toom/config.jsonc:12`. */
  readonly place: string;
  /** What was expected, and what is there. */
  readonly message: string;
}

export interface ConfigReport {
  /** In the order in which they count; none: only the command line. */
  readonly files: readonly string[];
  readonly settings: readonly SettingReport[];
  /** Of the files and of the command line, in order of precedence. */
  readonly limits: readonly FileLimit[];
  /** Who dies, of the files; the last one that matches holds. */
  readonly rules: readonly VictimRule[];
  /** Left out: all that the files say is in force. */
  readonly absent?: readonly AbsentReport[];
}
