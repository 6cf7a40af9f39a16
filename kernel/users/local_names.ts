/**
 * Names of users as /etc/passwd has them: read when it has changed, so that asking costs nothing.
 *
 * @module
 */
import { PASSWD_PATH } from "./passwd_text.ts";

/** The file is looked at no more often than that. */
const LOOK_EVERY_MS = 1000;

export class LocalNames {
  private readonly path: string;
  private readonly nowMs: () => number;
  private names: ReadonlyMap<number, string> = new Map();
  /** Time, size and inode of the file that `names` come from. */
  private version = "";
  private lookedMs = -Infinity;

  constructor(nowMs: () => number, path = PASSWD_PATH) {
    this.nowMs = nowMs;
    this.path = path;
  }

  /** @returns undefined when the file does not name the uid, or cannot be read. */
  nameOf(uid: number): string | undefined {
    const nowMs = this.nowMs();
    if (nowMs - this.lookedMs >= LOOK_EVERY_MS) {
      this.lookedMs = nowMs;
      this.look();
    }
    return this.names.get(uid);
  }

  private look(): void {
    try {
      const { mtime, size, ino } = Deno.statSync(this.path);
      const version = `${mtime?.getTime()} ${size} ${ino}`;
      if (version === this.version) return;
      this.names = namesIn(Deno.readTextFileSync(this.path));
      this.version = version;
    } catch {
      this.names = new Map();
      this.version = "";
    }
  }
}

/** The first line of a uid counts, as for getpwuid(3). */
function namesIn(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , uid] = line.split(":");
    if (name === undefined || name === "" || uid === undefined || !/^\d{1,10}$/.test(uid)) continue;
    if (!names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}
