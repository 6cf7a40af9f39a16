/**
 * Which flags of a process row never occur together, as the table at ProcessFlag says.
 *
 * @module
 */
import { assert } from "@std/assert";
import type { Books } from "../../pipeline/books/books.ts";
import { ProcessFlag, ProcessState } from "../../pipeline/memory/layout.ts";

const {
  borrower,
  unresolved,
  heir,
  hasHeirs,
  hasExeced,
  lends,
  overflow,
  forkUnseen,
  mayInherit,
} = ProcessFlag;
const EXCLUDED: readonly number[] = [
  borrower | hasExeced,
  borrower | forkUnseen,
  unresolved | heir,
  unresolved | forkUnseen,
  mayInherit | borrower,
  mayInherit | unresolved,
  mayInherit | heir,
  mayInherit | hasExeced,
];

/** What is wrong with the flags of a row, in words; undefined: nothing. */
export function flagsProblem(flags: number): string | undefined {
  for (const both of EXCLUDED) if ((flags & both) === both) return namesOf(both);
  if ((flags & overflow) !== 0 && flags !== overflow) return namesOf(flags);
  if ((flags & hasHeirs) === 0) return undefined;
  if ((flags & (unresolved | heir)) === 0) return "hasHeirs without unresolved and heir";
  return (flags & lends) === 0 ? "hasHeirs without lends" : undefined;
}

/** Checks the rows of all processes. */
export function checkFlags({ processes, processSlots }: Books): void {
  for (let slot = 0; slot < processSlots.highWater; slot++) {
    if (processes.state[slot] === ProcessState.free) continue;
    const problem = flagsProblem(processes.flags[slot]!);
    assert(problem === undefined, `process ${processes.tgid[slot]}: flags ${problem}`);
  }
}

function namesOf(flags: number): string {
  return Object.entries(ProcessFlag).filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name).join(" and ");
}
