/**
 * One helper for each pair of ids, started when it is needed; who does not answer is replaced, but not
 * at once.
 *
 * @module
 */
import { messageOf } from "../ffi/thrown.ts";
import { Helper } from "./helper.ts";

const HELPERS_MAX = 256;
/** After a failure there is none for so long, milliseconds. */
const AGAIN_MS = 1000;

export class Helpers {
  /** Why the last one could not be had. */
  problem: string | undefined;
  private readonly fifoPriority: number;
  private readonly helpers = new Map<string, Helper>();
  private readonly failedMs = new Map<string, number>();

  /** @param fifoPriority Of the helpers. */
  constructor(fifoPriority: number) {
    this.fifoPriority = fifoPriority;
  }

  /**
   * As {@link Helper.setLimit}, by the helper with these ids.
   * @returns undefined: there is none at this moment.
   */
  setLimit(uid: number, gid: number, pid: number, limits: BigUint64Array): number | undefined {
    const key = `${uid}:${gid}`;
    const helper = this.of(key, uid, gid);
    if (helper === undefined) return undefined;
    const result = helper.setLimit(pid, limits);
    if (result === undefined) {
      this.failed(key, "a helper does not answer");
      helper.close();
      this.helpers.delete(key);
    } else {
      // The one that was used last stays longest.
      this.helpers.delete(key);
      this.helpers.set(key, helper);
    }
    return result;
  }

  /** Starts one, where there is none. */
  prepare(uid: number, gid: number): void {
    this.of(`${uid}:${gid}`, uid, gid);
  }

  has(pid: number): boolean {
    for (const helper of this.helpers.values()) if (helper.pid === pid) return true;
    return false;
  }

  private of(key: string, uid: number, gid: number): Helper | undefined {
    const known = this.helpers.get(key);
    if (known !== undefined) return known;
    const failedMs = this.failedMs.get(key);
    if (failedMs !== undefined && performance.now() - failedMs < AGAIN_MS) return undefined;
    if (this.helpers.size >= HELPERS_MAX) {
      const [oldest, helper] = this.helpers.entries().next().value!;
      helper.close();
      this.helpers.delete(oldest);
    }
    try {
      const helper = Helper.start(uid, gid, this.fifoPriority);
      this.helpers.set(key, helper);
      this.failedMs.delete(key);
      return helper;
    } catch (error) {
      this.failed(key, messageOf(error));
      return undefined;
    }
  }

  private failed(key: string, problem: string): void {
    this.problem = problem;
    if (this.failedMs.size >= HELPERS_MAX) this.failedMs.clear();
    this.failedMs.set(key, performance.now());
  }

  close(): void {
    for (const helper of this.helpers.values()) helper.close();
    this.helpers.clear();
  }
}
