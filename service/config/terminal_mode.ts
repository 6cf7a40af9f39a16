/**
 * Of what users hear on their terminals.
 *
 * @module
 */

/** What users hear of: `kills+soft` also that they are above soft, and that a process is braked. */
export const TERMINAL_MODES = ["kills+soft", "kills", "off"] as const;
export type TerminalMode = typeof TERMINAL_MODES[number];
