/**
 * Reads the history's file, while the daemon writes it or without any daemon.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { completed } from "../fields/field.ts";
import { KILL_FIELDS, WEIGHED_FIELDS } from "../fields/kill_fields.ts";
import type { HourPeak, KillRecord } from "./record.ts";
import { KillRecord as KillRecordSchema } from "./record_schema.ts";
import { checkSchema } from "./schema.ts";

export interface HistoryQuery {
  /** Of this user only. */
  readonly uid?: number | undefined;
  /** Not older than this; milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  /** The newest so many. */
  readonly limit: number;
}

/**
 * Everything is read at once and the file closed, so that nobody who reads slowly keeps it open.
 */
export class HistoryReader implements Disposable {
  private readonly database: DatabaseSync;

  /**
   * @throws {ForeignFileError} When it is no history of toom.
   * @throws {Error} When there is none, or it cannot be read.
   */
  constructor(path: string) {
    this.database = new DatabaseSync(path, { readOnly: true });
    this.database.exec("PRAGMA busy_timeout = 2000");
    checkSchema(this.database, path);
  }

  /** The newest last. What an older toom did not know of a kill is null, or nothing. */
  kills({ uid, sinceMs, limit }: HistoryQuery): KillRecord[] {
    const rows = this.database.prepare(
      "SELECT record FROM kills WHERE at_ms >= ? AND (? IS NULL OR uid = ?) " +
        "ORDER BY at_ms DESC, id DESC LIMIT ?",
    ).all(sinceMs ?? 0, uid ?? null, uid ?? null, limit);
    return rows.reverse().map(({ record }) => parse(record)).filter((one) => one !== undefined);
  }

  /** @param id The whole of it, or how no other begins; "" is nobody's. */
  kill(id: string): KillRecord | undefined {
    if (id === "") return undefined;
    const rows = this.database.prepare(
      "SELECT record FROM kills WHERE id = ? OR substr(id, 1, ?) = ? ORDER BY id <> ? LIMIT 2",
    ).all(id, id.length, id, id);
    const found = rows.map(({ record }) => parse(record));
    return found.length === 1 || found[0]?.id === id ? found[0] : undefined;
  }

  /** The newest last. */
  peaks({ uid, sinceMs, limit }: HistoryQuery): HourPeak[] {
    return this.database.prepare(
      "SELECT hour_ms, uid, peak_bytes FROM peaks WHERE hour_ms >= ? AND (? IS NULL OR uid = ?) " +
        "ORDER BY hour_ms DESC, uid LIMIT ?",
    ).all(sinceMs ?? 0, uid ?? null, uid ?? null, limit).reverse().map((row) => ({
      hourMs: Number(row["hour_ms"]),
      uid: Number(row["uid"]),
      peakBytes: Number(row["peak_bytes"]),
    }));
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

function parse(text: unknown): KillRecord | undefined {
  try {
    const record = completed(KILL_FIELDS, JSON.parse(String(text)));
    const others = Array.isArray(record["others"]) ? record["others"] : [];
    const rows = others.map((other) => completed(WEIGHED_FIELDS, other));
    return KillRecordSchema.parse({ ...record, others: rows });
  } catch {
    return undefined;
  }
}
