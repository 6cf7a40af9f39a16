/**
 * "Did you mean": the guess that stands behind a message about a word that is not known.
 *
 * @module
 */
import { nearestWord } from "./nearest_word.ts";
import { quote } from "./units.ts";

/** `, did you mean "limits"?`, to stand behind a message; empty when no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const nearest = nearestWord(word, candidates);
  return nearest === undefined ? "" : `, did you mean ${quote(nearest)}?`;
}
