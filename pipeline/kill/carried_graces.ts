/**
 * Who was asked to end by another signal than SIGKILL, carried over when toom starts over with new
 * memory: nobody is asked twice, and no grace becomes longer by it.
 *
 * Where they lie in the new books is not known yet: their rows name a user by its uid, and have no user's
 * and no process' slot until the killer finds them, see {@link VictimRows.place}.
 *
 * @module
 */
import { VICTIMS_MAX, VictimState } from "../memory/layout.ts";
import type { Memory } from "../memory/memory.ts";

/** In a row of the victims: its user is not known by slot yet. */
export const UNPLACED = -1;

/** Plain data, for a process to hand over to itself. */
export interface CarriedGrace {
  /** As {@link Memory} has it: a signed word. */
  readonly uid: number;
  readonly pid: number;
  /** A descriptor that stays open. */
  readonly pidfd: number;
  /** CLOCK_MONOTONIC, nanoseconds: it goes on over a start-over. */
  readonly askedTsNs: number;
  readonly graceUntilNs: number;
  /** That it had when it was asked. */
  readonly pages: number;
  /** 1: it goes because it is in the unit of a victim. */
  readonly isMember: number;
}

/**
 * All who have a grace now. The killer may write meanwhile: a row that it gives to another process is
 * left out by who looks whom its descriptor names.
 */
export function gracesOf({ victims }: Memory): CarriedGrace[] {
  const graces: CarriedGrace[] = [];
  for (let row = 0; row < VICTIMS_MAX; row++) {
    if (victims.state[row] !== VictimState.asked) continue;
    graces.push({
      uid: victims.uid[row]!,
      pid: victims.pid[row]!,
      pidfd: victims.pidfd[row]!,
      askedTsNs: victims.askedTsNs[row]!,
      graceUntilNs: victims.graceUntilNs[row]!,
      pages: victims.pages[row]!,
      isMember: victims.isMember[row]!,
    });
  }
  return graces;
}

/** Puts them into memory in which nobody works yet. @param nowNs CLOCK_MONOTONIC. */
export function putGraces(
  { victims }: Memory,
  graces: readonly CarriedGrace[],
  nowNs: number,
): void {
  for (const [row, grace] of graces.slice(0, VICTIMS_MAX).entries()) {
    victims.uid[row] = grace.uid;
    victims.pid[row] = grace.pid;
    victims.pidfd[row] = grace.pidfd;
    victims.askedTsNs[row] = grace.askedTsNs;
    victims.killTsNs[row] = grace.askedTsNs;
    victims.graceUntilNs[row] = grace.graceUntilNs;
    victims.pages[row] = grace.pages;
    victims.isMember[row] = grace.isMember;
    victims.checkedTsNs[row] = nowNs;
    victims.userSlot[row] = UNPLACED;
    victims.processSlot[row] = UNPLACED;
    victims.state[row] = VictimState.asked;
  }
}
