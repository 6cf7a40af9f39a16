/**
 * Who is braked, and how much each may still map: arithmetic in pages.
 *
 *     headroom = hard - charged - promised - reserve        of the user, 0 or more
 *     limit    = touched + idle + share of the headroom     of a process, RLIMIT_DATA
 *
 * `touched` is what of its private mappings is in use; `idle` is what it had mapped and never touched
 * since it is braked, thread stacks for instance: the least that was ever found. So what it maps
 * and has not touched yet is taken off what it may still map, and what lies idle for good is not.
 *
 * @module
 */

/** Part of the way from soft to hard that is kept for who is not braked, and for what is in flight. */
const RESERVE_PART = 8;
const RESERVE_BYTES_MIN = 256 * 1024;
const RESERVE_BYTES_MAX = 4 * 1024 * 1024;
/** The reserve is never more than this part of the way. */
const RESERVE_PART_MAX = 2;
/** A user is below again when it is this part of the way from soft to hard below soft. */
const BELOW_PART = 4;
/** Who has gained fewer pages in the last second has not grown. */
const GAINED_PAGES_MIN = 16;
/** Nor who has gained less than this part of what the fastest has. */
const GAINED_PART = 16;
/** Who holds less than this part of the limit is not braked for growing: it is not what matters. */
const SMALL_PART = 256;
/** In the shares, who has stopped counts as this part of the fastest. */
const PACE_PART_MIN = 8;

/** What is kept back. @param hardPages, softPages Of the user. */
export function reservePages(hardPages: number, softPages: number, pageBytes: number): number {
  const way = hardPages - softPages;
  const reserve = Math.min(
    Math.max(way / RESERVE_PART, RESERVE_BYTES_MIN / pageBytes),
    RESERVE_BYTES_MAX / pageBytes,
  );
  return Math.floor(Math.min(reserve, way / RESERVE_PART_MAX));
}

/** At or below this charge a user's processes get back what they had. */
export function giveBackPages(hardPages: number, softPages: number): number {
  return Math.max(0, Math.floor(softPages - (hardPages - softPages) / BELOW_PART));
}

/** Whether a process is one that grows. @param fastestPages The most that any of its user has gained. */
export function isGrower(
  gainedPages: number,
  fastestPages: number,
  heldPages: number,
  hardPages: number,
): boolean {
  return gainedPages >= GAINED_PAGES_MIN && gainedPages * GAINED_PART >= fastestPages &&
    heldPages * SMALL_PART >= hardPages;
}

/** Weight of a process in the shares. */
export function pace(gainedPages: number, fastestPages: number): number {
  return Math.max(1, gainedPages, fastestPages / PACE_PART_MIN);
}

/** Part of the headroom for one of all. @param paceSum Of all who share. */
export function sharePages(headroomPages: number, ownPace: number, paceSum: number): number {
  return Math.floor(headroomPages * Math.min(1, ownPace / Math.max(ownPace, paceSum)));
}
