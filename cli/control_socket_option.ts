/**
 * Where a client finds the daemon.
 *
 * @module
 */
import { CONTROL_SOCKET_DEFAULT } from "../service/config/defaults.ts";
import type { OptionSpec } from "./args.ts";

/** The option that all clients of the control socket share with `toom run`. */
export const CONTROL_SOCKET_OPTION: OptionSpec = {
  name: "control-socket",
  kind: "string",
  value: "PATH",
  default: CONTROL_SOCKET_DEFAULT,
  help: "Unix socket of the control API",
};
