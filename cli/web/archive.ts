/**
 * Kills and usage of before: of the daemon's memory, and of the history's file, which is read here.
 *
 * @module
 */
import type { HistoryReader } from "../../service/history/reader.ts";
import type { HourPeak, KillRecord } from "../../service/history/record.ts";

const HOUR_MS = 3_600_000;
/** How far back a chart by hours goes. */
export const RANGES_MS: Readonly<Record<string, number>> = {
  day: 24 * HOUR_MS,
  week: 7 * 24 * HOUR_MS,
};
/** Kills of one answer. */
export const KILLS_MAX = 500;

export interface KillQuery {
  readonly uid?: number | undefined;
  readonly sinceMs?: number | undefined;
}

export interface ArchiveOptions {
  /** The file; nothing when there is none, or the daemon has not said yet. */
  readonly path: () => string | null | undefined;
  /** The last kills, as the daemon knows them. */
  readonly recent: () => readonly KillRecord[];
  /** SQLite is loaded when somebody asks for the first time. */
  readonly open?: (path: string) => Promise<HistoryReader>;
}

async function openReader(path: string): Promise<HistoryReader> {
  return new (await import("../../service/history/reader.ts")).HistoryReader(path);
}

export class Archive {
  private readonly options: ArchiveOptions;

  constructor(options: ArchiveOptions) {
    this.options = options;
  }

  /** The newest last; what the daemon knows is newer than what it has written. */
  async kills({ uid, sinceMs = 0 }: KillQuery): Promise<KillRecord[]> {
    const written = await this.read((reader) => reader.kills({ uid, sinceMs, limit: KILLS_MAX }));
    const byId = new Map((written ?? []).map((kill) => [kill.id, kill]));
    for (const kill of this.options.recent()) {
      if (uid !== undefined && kill.uid !== uid) continue;
      if (Date.parse(kill.at) >= sinceMs) byId.set(kill.id, kill);
    }
    const kills = [...byId.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    return kills.slice(-KILLS_MAX);
  }

  /** @param id The whole of it. */
  async kill(id: string): Promise<KillRecord | undefined> {
    const known = this.options.recent().find((one) => one.id === id);
    if (known !== undefined) return known;
    const found = await this.read((reader) => reader.kill(id));
    return found?.id === id ? found : undefined;
  }

  /** The most that a user has used, by hour, the oldest first. */
  async peaks(uid: number, sinceMs: number): Promise<HourPeak[]> {
    const limit = Math.ceil(RANGES_MS["week"]! / HOUR_MS) + 1;
    return await this.read((reader) => reader.peaks({ uid, sinceMs, limit })) ?? [];
  }

  /** undefined: there is no file, or it is none of toom's. */
  private async read<Result>(read: (reader: HistoryReader) => Result): Promise<Result | undefined> {
    const path = this.options.path();
    if (path === undefined || path === null || !isFile(path)) return undefined;
    const open = this.options.open ?? openReader;
    using reader = await open(path);
    return read(reader);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
