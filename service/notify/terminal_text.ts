/**
 * What a user is told on its terminals: what happened, why, and what to do next.
 *
 * @module
 */
import { gidOfAccount } from "../../pipeline/limits/shared_groups.ts";
import { formatBytes, quote } from "../../pipeline/limits/units.ts";
import type { JournalEvent, KillEvent, RefusedEvent, SoftEvent } from "../journal/events.ts";

/** Events that a user hears of. */
export type NoticedEvent = KillEvent | SoftEvent | RefusedEvent;

/** Whether it is one; of a dry run nobody is told. */
export function isNoticed(event: JournalEvent): event is NoticedEvent {
  if (event.event === "kill") return !event.dryRun;
  return event.event === "soft" || event.event === "refused";
}

/**
 * @param heldBack Other kills of which the user was not told, because they came too quickly.
 * @returns Lines without control characters, whatever the process is called.
 */
export function noticeLines(
  event: NoticedEvent,
  pageBytes: number,
  heldBack: number,
): readonly string[] {
  const size = (pages: number): string => formatBytes(pages * pageBytes);
  const isGroup = gidOfAccount(event.uid) !== undefined;
  const whose = isGroup ? "your group's" : "your";
  const memory = `${size(event.usagePages)} of ${isGroup ? "its" : "your"} ` +
    `${size(event.hardPages)} of memory`;
  const used = `${isGroup ? "your group uses" : "you use"} ${memory}`;
  switch (event.event) {
    case "kill":
      return [
        `toom has ${didText(event, whose, size(event.victimPages))}, because ` +
        `${isGroup ? "the group" : "you"} used ${memory}.` +
        (event.graceMs === null ? "" : ` It is killed in ${event.graceMs / 1000} s.`) +
        (heldBack === 0 ? "" : ` So were ${heldBack} others just before.`),
        'See "toom me" for what you use and what was ended; with "toom exec PROGRAM" malloc returns ' +
        "NULL instead.",
      ];
    case "soft":
      return [
        `toom: ${used}. Above that, a process of ${
          isGroup ? "the group" : "yours"
        } is ended. See "toom me".`,
      ];
    case "refused":
      return [
        `toom: ${whose} process ${nameOf(event)} gets no more than another ${
          size(event.leftPages)
        }, ` +
        `because ${used}.`,
      ];
  }
}

function didText(event: KillEvent, whose: string, size: string): string {
  const { signal, graceMs, unit, unitProcesses } = event;
  const what = `${whose} process ${nameOf(event)} with ${size}` +
    (unitProcesses === 0
      ? ""
      : ` and ${unitProcesses} more of its ${unit === "scope" ? "cgroup" : unit}`);
  return graceMs === null ? `ended ${what}` : `asked ${what} to end (${signal})`;
}

function nameOf({ pid, comm }: { readonly pid: number; readonly comm: string }): string {
  return comm === "" ? String(pid) : `${pid} (${quote(comm)})`;
}

/** As a terminal shows them, on lines of their own whatever stood there. */
export function terminalBytes(lines: readonly string[]): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`\r\n${lines.map((line) => `${line}\r\n`).join("")}`);
}
