/**
 * Names of users for those who must not wait for one: what is not known yet is looked up on another
 * thread, because libc may ask a directory over the network and take half a minute.
 *
 * A lookup cannot be called off. So no more than {@link LOOKUPS_MAX} are under way at a time, each on
 * a thread of its own, and while these hang no other is begun: a user is then its number.
 *
 * @module
 */

/** Lookups under way at a time. */
export const LOOKUPS_MAX = 2;
/** Users that wait for a lookup, and users that are remembered. */
export const WAITING_MAX = 10_000;
const KNOWN_MAX = 10_000;
/** A name is looked up again when it is that old; the old one counts until then. */
const FRESH_MS = 60_000;
/** After a lookup that failed, e.g. because the directory is away. */
const RETRY_MS = 10_000;

export interface UserNamesOptions {
  /** What is known without waiting: /etc/passwd. */
  readonly local: (uid: number) => string | undefined;
  /** All that the machine knows, without blocking this thread. */
  readonly find: (uid: number) => Promise<string | undefined>;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
}

interface Known {
  /** null: it has none, or none that could be found. */
  readonly name: string | null;
  readonly untilMs: number;
}

export class UserNames {
  private readonly options: UserNamesOptions;
  private readonly known = new Map<number, Known>();
  private readonly waiting = new Set<number>();
  private readonly underWay = new Map<number, Promise<void>>();

  constructor(options: UserNamesOptions) {
    this.options = options;
  }

  /**
   * The name of a user as far as it is known. Never waits.
   *
   * @returns null while it is being looked up, too: a later call may have it.
   */
  nameOf(uid: number): string | null {
    const { local, nowMs } = this.options;
    const known = this.known.get(uid);
    if (known !== undefined && known.untilMs > nowMs()) return known.name;
    const name = local(uid);
    if (name !== undefined) {
      this.learn(uid, name, FRESH_MS);
      return name;
    }
    if (!this.underWay.has(uid) && this.waiting.size < WAITING_MAX) {
      this.waiting.add(uid);
      this.begin();
    }
    return known?.name ?? null;
  }

  /** Has names looked up that will be asked for. */
  expect(uids: Iterable<number>): void {
    for (const uid of uids) this.nameOf(uid);
  }

  /** Waits until all lookups have ended, but no longer than `ms` milliseconds. */
  async settled(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isOver = true;
        resolve();
      }, ms);
    });
    while (this.underWay.size > 0 && !isOver) {
      await Promise.race([over, ...this.underWay.values()]);
    }
    clearTimeout(timer);
  }

  private begin(): void {
    for (const uid of this.waiting) {
      if (this.underWay.size >= LOOKUPS_MAX) return;
      this.waiting.delete(uid);
      this.underWay.set(uid, this.lookUp(uid));
    }
  }

  private async lookUp(uid: number): Promise<void> {
    try {
      const name = await this.options.find(uid);
      this.learn(uid, name ?? null, FRESH_MS);
    } catch {
      // Nobody is told: a line of the log for each user while a directory is away helps nobody.
      this.learn(uid, this.known.get(uid)?.name ?? null, RETRY_MS);
    }
    this.underWay.delete(uid);
    this.begin();
  }

  private learn(uid: number, name: string | null, freshMs: number): void {
    if (this.known.size >= KNOWN_MAX && !this.known.has(uid)) this.known.clear();
    this.known.set(uid, { name, untilMs: this.options.nowMs() + freshMs });
  }
}
