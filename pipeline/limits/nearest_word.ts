/**
 * The known word that is nearest to one that is not known.
 *
 * @module
 */
/** Words of which one is looked for; more would take long, and help nobody. */
const CANDIDATES_MAX = 20_000;
/** Longer ones are no typing mistake of a known word. */
const CHARACTERS_MAX = 64;

/**
 * Damerau-Levenshtein distance, each part of a word changed at most once: how many characters must be
 * added, left out, replaced, or swapped with their neighbour.
 *
 * @param most Distances above it are not worked out: the result is then some number above it.
 */
export function editDistance(a: string, b: string, most = Infinity): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const now = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      let least = Math.min(
        last[column]! + 1,
        now[column - 1]! + 1,
        last[column - 1]! + (isSame ? 0 : 1),
      );
      const isSwapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] &&
        a[row - 2] === b[column - 1];
      if (isSwapped) least = Math.min(least, before[column - 2]! + 1);
      now.push(least);
    }
    if (Math.min(...now) > most) return most + 1;
    before = last;
    last = now;
  }
  return last[b.length]!;
}

/**
 * The candidate that was probably meant, whatever its case; undefined when none is near. One mistake
 * in three characters is near; of several the first nearest.
 */
export function nearestWord(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > CHARACTERS_MAX) return undefined;
  const wanted = word.toLowerCase();
  let most = Math.max(1, Math.floor(word.length / 3));
  // Of one or two letters everything would be near.
  if (word.length < 3) most = 0;
  let nearest: string | undefined;
  let looked = 0;
  for (const candidate of candidates) {
    if (++looked > CANDIDATES_MAX) break;
    const distance = editDistance(wanted, candidate.toLowerCase(), most);
    if (distance > most) continue;
    nearest = candidate;
    if (distance === 0) break;
    most = distance - 1;
  }
  return nearest;
}
