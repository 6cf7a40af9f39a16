/**
 * The tables of the history's file, and how one tells such a file from others.
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";

/** "toom" in ASCII: `PRAGMA application_id`. */
export const APPLICATION_ID = 0x746f6f6d;
/** Raised when an older toom would misread the file: `PRAGMA user_version`. */
export const SCHEMA_VERSION = 1;

export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS kills (
    id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    record TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS kills_by_time ON kills (at_ms);
  CREATE INDEX IF NOT EXISTS kills_by_user ON kills (uid, at_ms);
  CREATE TABLE IF NOT EXISTS peaks (
    hour_ms INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    peak_bytes INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, uid)
  ) STRICT, WITHOUT ROWID;
`;

/** A file that is not toom's, or of a later toom: it is left as it is. */
export class ForeignFileError extends Error {
  override readonly name = "ForeignFileError";
}

/**
 * Whether a file is a history that this toom understands; one without any table is about to become one.
 *
 * @returns Whether it is empty.
 * @throws {ForeignFileError}
 */
export function checkSchema(database: DatabaseSync, path: string): boolean {
  const id = pragma(database, "application_id");
  const version = pragma(database, "user_version");
  const tables = Number(
    database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()!["count"],
  );
  if (id === 0 && tables === 0) return true;
  if (id !== APPLICATION_ID) {
    throw new ForeignFileError(`${path} is a database of another program, and is left as it is`);
  }
  if (version > SCHEMA_VERSION) {
    throw new ForeignFileError(
      `${path} was written by a later toom (version ${version} of its tables, ${SCHEMA_VERSION} ` +
        "is known here), and is left as it is",
    );
  }
  return false;
}

/** The value of a pragma that is a number. */
export function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
}
