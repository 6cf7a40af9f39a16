/**
 * The history's file, for the one process that writes it: bounded by age and size; a damaged one is set
 * aside and a new one begun.
 *
 * In WAL mode, so that readers hold up nobody. Not synchronised with each transaction: after a crash of
 * the machine the last kills may be missing, the file is whole.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { HistoryBatch, HistoryBounds } from "./batch.ts";
import { APPLICATION_ID, checkSchema, pragma, SCHEMA, SCHEMA_VERSION } from "./schema.ts";

/** Of the kills, so many make room at a time: one of so many. */
const ROOM_PART = 8;
/** Damaged files that are kept. */
const DAMAGED_MAX = 2;
/** A file beside the WAL that a reader keeps from being emptied: nothing is added then. */
const WAL_BYTES_MAX = 64 * 2 ** 20;
const SQLITE_FULL = /disk is full/;
const SQLITE_DAMAGED = /not a database|malformed|corrupt/i;

export class HistoryDatabase {
  /** Why the file was set aside that was there at the start; undefined: it was not. */
  damage: string | undefined;
  private readonly path: string;
  private readonly bounds: HistoryBounds;
  private readonly now: () => Date;
  private database: DatabaseSync | undefined;
  private addKill!: StatementSync;
  private endKill!: StatementSync;
  private addPeak!: StatementSync;

  /** @param now Wall clock. */
  constructor(path: string, bounds: HistoryBounds, now: () => Date) {
    this.path = path;
    this.bounds = bounds;
    this.now = now;
  }

  /**
   * Opens the file, or makes it, for root alone.
   *
   * @throws {ForeignFileError} When it is not to be touched.
   * @throws {Error} Of SQLite, when it cannot be had.
   */
  open(): void {
    try {
      this.tryOpen();
    } catch (error) {
      if (!isDamage(error)) {
        this.close();
        throw error;
      }
      this.setAside((error as Error).message);
      this.tryOpen();
    }
    this.prune();
  }

  private tryOpen(): void {
    const umask = Deno.umask(0o077);
    try {
      this.database = new DatabaseSync(this.path);
    } finally {
      Deno.umask(umask);
    }
    const database = this.database;
    database.exec("PRAGMA busy_timeout = 2000");
    const isEmpty = checkSchema(database, this.path);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec(`PRAGMA journal_size_limit = ${4 * 2 ** 20}`);
    if (isEmpty) {
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
      database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    } else {
      const [verdict] = Object.values(database.prepare("PRAGMA quick_check(1)").get()!);
      if (verdict !== "ok") throw new Error(`malformed: ${String(verdict)}`);
    }
    database.exec(SCHEMA);
    const pages = Math.floor(this.bounds.bytesMax / pragma(database, "page_size"));
    database.exec(`PRAGMA max_page_count = ${pages}`);
    this.addKill = database.prepare("INSERT OR REPLACE INTO kills VALUES (?, ?, ?, ?)");
    this.endKill = database.prepare(
      "UPDATE kills SET record = json_set(record, '$.freedBytes', ?, '$.exitUs', ?, " +
        "'$.exitStatus', ?, '$.outcome', ?) WHERE id = ?",
    );
    this.addPeak = database.prepare(
      "INSERT INTO peaks VALUES (?, ?, ?) ON CONFLICT (hour_ms, uid) " +
        "DO UPDATE SET peak_bytes = max(peak_bytes, excluded.peak_bytes)",
    );
  }

  /**
   * Writes a batch, all of it or nothing; where the file is full, the oldest kills make room.
   *
   * @throws {Error} Of SQLite: a full disk, or a file that was damaged and is set aside now.
   */
  write(batch: HistoryBatch): void {
    if (fileBytes(`${this.path}-wal`) > WAL_BYTES_MAX) {
      throw new Error(`${this.path}-wal is too large: somebody keeps the history open`);
    }
    for (let tries = 0;; tries++) {
      try {
        this.transact(() => this.add(batch));
        return;
      } catch (error) {
        if (isDamage(error) && tries === 0) {
          this.setAside((error as Error).message);
          this.tryOpen();
          continue;
        }
        if (tries > ROOM_PART || !isFull(error) || !this.makeRoom()) throw error;
      }
    }
  }

  private add({ kills, ends, peaks }: HistoryBatch): void {
    for (const record of kills) {
      this.addKill.run(record.id, Date.parse(record.at), record.uid, JSON.stringify(record));
    }
    for (const { id, freedBytes, exitUs, exitStatus, outcome } of ends) {
      this.endKill.run(freedBytes, exitUs, exitStatus, outcome, id);
    }
    for (const { hourMs, uid, peakBytes } of peaks) this.addPeak.run(hourMs, uid, peakBytes);
  }

  /** Removes what is too old. */
  prune(): void {
    const leastMs = this.now().getTime() - this.bounds.ageMsMax;
    this.transact(() => {
      this.database!.prepare("DELETE FROM kills WHERE at_ms < ?").run(leastMs);
      this.database!.prepare("DELETE FROM peaks WHERE hour_ms < ?").run(leastMs);
    });
  }

  /**
   * Removes the oldest kills of the user that has most, and the oldest peaks: nobody pushes out what is of
   * others (I7).
   *
   * @returns Whether there were any.
   */
  private makeRoom(): boolean {
    const database = this.database!;
    const most = database.prepare(
      "SELECT uid, count(*) AS count FROM kills GROUP BY uid ORDER BY count DESC LIMIT 1",
    ).get();
    const peaks = Number(database.prepare("SELECT count(*) AS count FROM peaks").get()!["count"]);
    let removed = 0;
    this.transact(() => {
      if (most !== undefined) {
        removed += Number(
          database.prepare(
            "DELETE FROM kills WHERE id IN (SELECT id FROM kills WHERE uid = ? ORDER BY at_ms LIMIT ?)",
          ).run(most["uid"]!, Math.ceil(Number(most["count"]) / ROOM_PART)).changes,
        );
      }
      removed += Number(
        database.prepare(
          "DELETE FROM peaks WHERE (hour_ms, uid) IN " +
            "(SELECT hour_ms, uid FROM peaks ORDER BY hour_ms LIMIT ?)",
        ).run(Math.ceil(peaks / ROOM_PART)).changes,
      );
    });
    return removed > 0;
  }

  private transact(body: () => void): void {
    const database = this.database!;
    database.exec("BEGIN IMMEDIATE");
    try {
      body();
      database.exec("COMMIT");
    } catch (error) {
      try {
        database.exec("ROLLBACK");
      } catch {
        // SQLite has done that itself.
      }
      throw error;
    }
  }

  /** Renames the file and what is beside it, and forgets the oldest that were set aside. */
  private setAside(reason: string): void {
    this.close();
    const stamp = this.now().toISOString().replace(/[:.]/g, "-");
    const aside = `${this.path}.damaged-${stamp}`;
    for (const end of ["", "-wal", "-shm"]) {
      try {
        Deno.renameSync(this.path + end, aside + end);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    this.damage = `${this.path} was damaged (${reason}) and is set aside as ${aside}`;
    this.removeOldDamage();
  }

  private removeOldDamage(): void {
    const slash = this.path.lastIndexOf("/");
    const dir = slash < 0 ? "." : this.path.slice(0, slash) || "/";
    const head = `${this.path.slice(slash + 1)}.damaged-`;
    const stamps = [...Deno.readDirSync(dir)].map(({ name }) => name)
      .filter((name) => name.startsWith(head) && !/-(wal|shm)$/.test(name)).sort();
    for (const name of stamps.slice(0, -DAMAGED_MAX)) {
      for (const end of ["", "-wal", "-shm"]) {
        try {
          Deno.removeSync(`${dir}/${name}${end}`);
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      }
    }
  }

  close(): void {
    try {
      this.database?.close();
    } catch {
      // What is damaged may not even close.
    }
    this.database = undefined;
  }
}

function isDamage(error: unknown): boolean {
  return SQLITE_DAMAGED.test(messageOf(error));
}

function isFull(error: unknown): boolean {
  return SQLITE_FULL.test(messageOf(error));
}

function fileBytes(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}
