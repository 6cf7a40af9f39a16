/**
 * Where things are and what counts when nobody says otherwise.
 *
 * @module
 */

export const CONFIG_PATH_DEFAULT = "/etc/toom/config.jsonc";
export const CONTROL_SOCKET_DEFAULT = "/run/toom/control.sock";
export const TMALLOC_SOCKET_DEFAULT = "/run/toom/tmalloc.sock";
export const COUNT_DEFAULT = "anon+swap+shmem";
export const STATE_DIR_DEFAULT = "/var/lib/toom";
/** Of the flight recorder: the longest time before a kill, and the most files. */
export const RECORD_SECONDS_MAX = 3600;
export const RECORD_FILES_MAX = 10_000;
