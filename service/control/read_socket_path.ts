/**
 * Where members of the reading group ask.
 *
 * @module
 */

const READ_SOCKET_NAME = "read.sock";

/** The socket's place beside the control socket. */
export function readSocketPath(controlSocketPath: string): string {
  return controlSocketPath.replace(/[^/]*$/, READ_SOCKET_NAME);
}
