/** The history's file, in the directory of the daemon's state. */
export const HISTORY_FILE_NAME = "history.db";
