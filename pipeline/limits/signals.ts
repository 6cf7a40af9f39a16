/**
 * Signals by name, as signal(7) has them; the numbers are those of x86, ARM, and most other processors.
 *
 * @module
 */
import { SIGNAL_MAX } from "../memory/kill_plan.ts";
import { didYouMean } from "./did_you_mean.ts";
import { FormatError, quote } from "./units.ts";

/** By number, from 1. */
const NAMES: readonly string[] = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP " +
  "TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");
const SIGRTMIN = 34;

/** `SIGTERM`; of one without a name `SIGRTMIN+3`, or its number. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return `SIG${name}`;
  if (signal === SIGRTMIN) return "SIGRTMIN";
  return signal > SIGRTMIN && signal <= SIGNAL_MAX
    ? `SIGRTMIN+${signal - SIGRTMIN}`
    : String(signal);
}

/**
 * Reads a signal: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
 *
 * @returns 1 to 64.
 * @throws {FormatError}
 */
export function parseSignal(text: string): number {
  const word = text.trim().toUpperCase().replace(/^SIG/, "");
  const index = NAMES.indexOf(word);
  if (index >= 0) return index + 1;
  const realtime = /^RTMIN(?:\+(\d{1,2}))?$/.exec(word);
  const number = realtime !== null
    ? SIGRTMIN + Number(realtime[1] ?? 0)
    : /^\d{1,2}$/.test(word)
    ? Number(word)
    : 0;
  if (number >= 1 && number <= SIGNAL_MAX) return number;
  throw new FormatError(
    `expected a signal such as SIGTERM, INT or 15, not ${quote(text)}${
      didYouMean(`SIG${word}`, NAMES.map((name) => `SIG${name}`))
    }`,
  );
}
