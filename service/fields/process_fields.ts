/**
 * What is shown of a process of a limited user.
 *
 * @module
 */
import type { Fields, RowOf } from "./field.ts";

export const PROCESS_FIELDS = {
  pid: { type: "number", unit: "none", column: "PID", help: "Process id" },
  comm: {
    type: "text",
    unit: "none",
    column: "COMMAND",
    help: "Name of the process, as it has chosen it: not to be trusted",
  },
  countedPages: {
    type: "gauge",
    unit: "pages",
    column: "COUNTED",
    help: "Its counted pages",
  },
  givesBackPages: {
    type: "gauge",
    unit: "pages",
    column: "GIVES BACK",
    help: "Of these, what its end gives back: the rest is shared with others",
  },
  growthPagesPerSecond: {
    type: "gauge",
    unit: "pages per second",
    signed: true,
    column: "GROWTH",
    help: "Counted pages that it has gained within the last second",
  },
  oomScoreAdj: {
    type: "number",
    unit: "none",
    signed: true,
    column: "OOM_SCORE_ADJ",
    help: "As the process has it now; -1000: protected; 500 and above: it goes first",
  },
  fate: {
    type: "choice",
    choices: ["next", "candidate", "avoided", "protected", "dying", "asked"],
    unit: "none",
    column: "FATE",
    help: "next: would be killed if the user were over its limit now; candidate: after that one; " +
      "avoided: by a rule, while the others suffice; protected: is never killed; dying: was " +
      "signalled already; asked: has a grace",
  },
  rule: {
    type: "text",
    unit: "none",
    nullable: true,
    column: "RULE",
    help:
      "What a rule of the configuration says of it, and its file and line; null: none does, or " +
      "it was not looked at yet",
  },
} as const satisfies Fields;
export type ProcessRow = RowOf<typeof PROCESS_FIELDS>;
