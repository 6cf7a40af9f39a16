/**
 * The scratch users of the churn and the soak: 60100 to 60109 never hold more than nine tenths of their
 * limit, 60110 to 60129 do whatever ends in a kill, 60130 to 60139 have no limit. What each does is in
 * churn_worker.c.
 *
 * @module
 */
import { Dice } from "./dice.ts";
import { sleep } from "./wait.ts";

export const FIRST_UID = 60100;
export const GOOD_LAST_UID = 60109;
export const LIMITED_LAST_UID = 60129;
export const LAST_UID = 60139;
const MIB = 2 ** 20;
/** The limit of each. */
export const HARD_BYTES = 48 * MIB;
/** The most that a user grows by in a second. */
export const RATE_BYTES = 150 * MIB;
const STOP_MS_MAX = 10_000;
const GOOD_ROLES = [
  "good-single",
  "good-family",
  "good-shared",
  "good-lazy",
  "good-spawner",
  "good-threads",
] as const;
const BAD_ROLES = [
  "hog",
  "login-hog",
  "hogs",
  "copying-family",
  "sharers",
  "storm",
  "shared-hog",
  "good-family",
] as const;

/** Users that come, do something, and go. */
export class Crowd {
  readonly started: Record<string, number> = {};
  private readonly dir: string;
  private readonly dice: Dice;
  private readonly activeMax: number;
  private readonly active = new Map<number, Promise<unknown>>();

  constructor(dir: string, dice: Dice, activeMax: number) {
    this.dir = dir;
    this.dice = dice;
    this.activeMax = activeMax;
  }

  /** Has one more user do something, if there is room. */
  more(): void {
    if (this.active.size >= this.activeMax) return;
    const { dice } = this;
    const uid = FIRST_UID + dice.below(LAST_UID - FIRST_UID + 1);
    if (this.active.has(uid)) return;
    const role = dice.pick<string>(uid <= GOOD_LAST_UID ? GOOD_ROLES : BAD_ROLES);
    // Who has no limit ends by itself, or fills the machine.
    if (uid > LIMITED_LAST_UID && !role.startsWith("good") && role !== "storm") return;
    const inContainer = dice.below(6) === 0 && role !== "login-hog";
    const name = inContainer ? `${role} in a container` : role;
    this.started[name] = (this.started[name] ?? 0) + 1;
    const words = [
      ...(inContainer
        ? ["unshare", "--pid", "--mount", "--ipc", "--net", "--fork", "--kill-child"]
        : []),
      `${this.dir}/churn_worker`,
      `${uid}`,
      role,
      `${HARD_BYTES}`,
      `${RATE_BYTES}`,
      `${1 + dice.below(1e9)}`,
    ];
    const child = new Deno.Command(words[0]!, {
      args: words.slice(1),
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const end = child.status.then(async () => {
      // What it started may outlive it by a moment.
      await endAll(uid, uid);
      this.active.delete(uid);
    });
    this.active.set(uid, end);
  }

  /** Ends all. */
  async end(): Promise<void> {
    await endAll(FIRST_UID, LAST_UID);
    await Promise.race([Promise.all(this.active.values()), sleep(STOP_MS_MAX)]);
    await endAll(FIRST_UID, LAST_UID);
  }
}

/** Ends all processes of scratch users. */
async function endAll(firstUid: number, lastUid: number): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(() => "");
    const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1] ?? -1);
    if (uid < firstUid || uid > lastUid) continue;
    try {
      Deno.kill(Number(name), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}
