/** The name, as /proc has it, of toom's own processes that run with a user's ids: the brake's helpers. */
export const HELPER_COMM = "toom-brake";
