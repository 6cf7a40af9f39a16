/**
 * Users that are over, and of whom nobody could be killed: looked at again after a while.
 *
 * @module
 */
import type { Answers } from "./answers.ts";

export class WaitingUsers {
  /** How many wait. */
  count = 0;
  /** By user slot: an order waits; not to be looked at again before this time, 0 none waits. */
  private readonly untilNs: Float64Array;
  private readonly answers: Answers;

  constructor(usersMax: number, answers: Answers) {
    this.untilNs = new Float64Array(usersMax);
    this.answers = answers;
  }

  /** Not to be looked at before `untilNs`. */
  wait(userSlot: number, untilNs: number): void {
    if (this.untilNs[userSlot] === 0) this.count++;
    this.untilNs[userSlot] = untilNs;
  }

  /** Lets accounting look at the user again: it knows best whether somebody else must go. */
  end(userSlot: number): void {
    if (this.untilNs[userSlot] !== 0) {
      this.untilNs[userSlot] = 0;
      this.count--;
    }
    this.answers.recheck(userSlot, false);
  }

  /** Users of whom nobody could be killed are looked at again. */
  retry(nowNs: number): number {
    let done = 0;
    for (let userSlot = 0; userSlot < this.untilNs.length; userSlot++) {
      const untilNs = this.untilNs[userSlot]!;
      if (untilNs === 0 || untilNs > nowNs) continue;
      this.end(userSlot);
      done++;
    }
    return done;
  }
}
