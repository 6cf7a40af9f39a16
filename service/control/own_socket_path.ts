/**
 * Where users ask for their own.
 *
 * @module
 */

const OWN_SOCKET_NAME = "me.sock";

/** The socket's place beside the control socket. */
export function ownSocketPath(controlSocketPath: string): string {
  return controlSocketPath.replace(/[^/]*$/, OWN_SOCKET_NAME);
}
