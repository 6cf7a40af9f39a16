/**
 * All commands, for documents that are made from them.
 *
 * @module
 */
import type { CommandSpec } from "../cli/args.ts";
import { API_COMMAND } from "../cli/api.ts";
import { CHECK_COMMAND } from "../cli/check_config.ts";
import { SHOW_COMMAND } from "../cli/config.ts";
import { DEMO_COMMAND } from "../cli/demo.ts";
import { DOCTOR_COMMAND } from "../cli/doctor.ts";
import { EXEC_COMMAND } from "../cli/exec.ts";
import { EXPLAIN_COMMAND } from "../cli/explain.ts";
import { KILLS_COMMAND } from "../cli/kills.ts";
import {
  CLEAR_COMMAND,
  DIFF_COMMAND,
  GET_COMMAND,
  LIST_COMMAND,
  RESET_COMMAND,
  SET_COMMAND,
} from "../cli/limit.ts";
import { ME_COMMAND } from "../cli/me.ts";
import { RELOAD_COMMAND } from "../cli/reload.ts";
import { RECORD_COMMAND } from "../cli/record.ts";
import { REPLAY_COMMAND } from "../cli/replay_options.ts";
import { RUN_COMMAND } from "../cli/run_command.ts";
import { STATUS_COMMAND } from "../cli/status.ts";
import { TOP_COMMAND } from "../cli/top.ts";
import { WEB_COMMAND } from "../cli/web.ts";

/** In the order of `toom --help`; of commands with subcommands, these. */
export const COMMAND_LIST: readonly CommandSpec[] = [
  RUN_COMMAND,
  SET_COMMAND,
  GET_COMMAND,
  LIST_COMMAND,
  DIFF_COMMAND,
  CLEAR_COMMAND,
  RESET_COMMAND,
  RELOAD_COMMAND,
  SHOW_COMMAND,
  CHECK_COMMAND,
  STATUS_COMMAND,
  TOP_COMMAND,
  WEB_COMMAND,
  EXPLAIN_COMMAND,
  ME_COMMAND,
  KILLS_COMMAND,
  EXEC_COMMAND,
  RECORD_COMMAND,
  REPLAY_COMMAND,
  API_COMMAND,
  DOCTOR_COMMAND,
  DEMO_COMMAND,
];

/** The words of a command behind the program's name: `limit set`. */
export function wordsOf({ name }: CommandSpec): readonly string[] {
  return name.split(" ").slice(1);
}

/** The options that a command's help shows, with that for help itself. */
export function shownOptions({ options }: CommandSpec): CommandSpec["options"] {
  return [
    ...options.filter(({ hidden }) => hidden !== true),
    { name: "help", kind: "boolean", help: "Show what the command does" },
  ];
}
