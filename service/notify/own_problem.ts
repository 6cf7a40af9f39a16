import type { JournalEvent } from "../journal/events.ts";

/** A problem of those who are told what happens: if they were told of it, that would fail too. */
export function isOwnProblem(event: JournalEvent): boolean {
  return event.event === "error" && /^(hooks|notify)\./.test(event.where);
}
