/**
 * Deadlock avoidance for one resource: whether a state is safe in Dijkstra's sense (E. W. Dijkstra,
 * "Een algorithme ter voorkoming van de dodelijke omarming", EWD108).
 *
 * A claimant holds some pages and needs at most so many more before it can finish and give all of
 * them back. A state is safe if there is an order in which everybody can finish with what is free
 * and what those before gave back.
 *
 * With one resource it is enough to try the order by need, smallest first. Proof: take any order
 * in which all can finish, and two neighbours a, b in it with need(b) <= need(a). When it is a's
 * turn, need(a) is free, so need(b) is too: b can go first, and as it then gives back what it held
 * there is no less for a. Swapping neighbours so sorts the order by need and keeps it good; so if
 * any order is good, the sorted one is.
 *
 * @module
 */

/** Reused: nothing is allocated once as many claimants have been there as there ever are. */
export class Banker {
  private needs = new Float64Array(16);
  private holds = new Float64Array(16);
  private count = 0;

  /** Forgets all claimants. */
  clear(): void {
    this.count = 0;
  }

  /**
   * Adds a claimant.
   *
   * @param needPages What it may still ask for; 0 or more.
   * @param heldPages What it gives back when it has finished; 0 or more.
   */
  add(needPages: number, heldPages: number): void {
    if (this.count === this.needs.length) {
      this.needs = doubled(this.needs);
      this.holds = doubled(this.holds);
    }
    // Sorted as they come: there are few, and their needs change little between two looks.
    let at = this.count++;
    for (; at > 0 && this.needs[at - 1]! > needPages; at--) {
      this.needs[at] = this.needs[at - 1]!;
      this.holds[at] = this.holds[at - 1]!;
    }
    this.needs[at] = needPages;
    this.holds[at] = heldPages;
  }

  /** Whether all can finish, one after the other, with `freePages` to begin with. */
  isSafe(freePages: number): boolean {
    let free = freePages;
    for (let i = 0; i < this.count; i++) {
      if (this.needs[i]! > free) return false;
      free += this.holds[i]!;
    }
    return freePages >= 0;
  }
}

function doubled(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(array.length * 2);
  larger.set(array);
  return larger;
}
