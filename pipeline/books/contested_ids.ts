/**
 * Ids of mms that two living processes run on at one time.
 *
 * The kernel's `mm_id` is a 32-bit hash of an address (lib/vsprintf.c, ptr_to_hashval), so two mms
 * may have the same: about n^2 / 2^33 for n mms. Their events cannot be told apart. What shows it is
 * a claim (curr=1) by a process whose mm was claimed by another living process before, when that one
 * claims it again.
 *
 * @module
 */

/** A process by number and slot generation, so that a later process of that number is not meant. */
interface Claimant {
  readonly tgid: number;
  readonly slot: number;
  readonly generation: number;
}

/** Ids remembered at one time; the oldest is forgotten first. */
const CONTESTED_MAX = 64;

export class ContestedIds {
  private readonly byId = new Map<number, readonly [Claimant, Claimant]>();
  /** The process that lost an mm to another living process last, by id. */
  private readonly losers = new Map<number, Claimant>();

  /** Whether nothing is contested: the quick answer on the way of an event. */
  get isEmpty(): boolean {
    return this.byId.size === 0;
  }

  /**
   * A living process loses an mm to another living one.
   *
   * @returns Whether the winner is the one that lost it before: then both run on it.
   */
  moves(mmId: number, loser: Claimant, winner: Claimant): boolean {
    const before = this.losers.get(mmId);
    if (before?.slot === winner.slot && before.generation === winner.generation) {
      this.losers.delete(mmId);
      remember(this.byId, mmId, [loser, winner]);
      return true;
    }
    remember(this.losers, mmId, loser);
    return false;
  }

  /** Processes that run on mms of this id; undefined when it is not contested. */
  claimantsOf(mmId: number): readonly [Claimant, Claimant] | undefined {
    return this.byId.get(mmId);
  }

  /** One of the two is gone: what has the id from now on is one mm. */
  settle(mmId: number): void {
    this.byId.delete(mmId);
  }
}

function remember<Value>(map: Map<number, Value>, key: number, value: Value): void {
  map.delete(key);
  if (map.size >= CONTESTED_MAX) map.delete(map.keys().next().value!);
  map.set(key, value);
}
