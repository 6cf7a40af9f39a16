/**
 * What `toom top` has been told of this machine.
 *
 * @module
 */
import type { Explanation, StatusReport, UserReport } from "../../service/control/control_api.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { ListState } from "./list_state.ts";
import { type Bar, partOf } from "./table.ts";

/** Columns that can be sorted by, in their order. */
export const SORTS = ["used", "usage", "growth", "user", "uid", "processes", "kills"] as const;
export type Sort = typeof SORTS[number];

/** What the daemon has told last. */
export interface Told {
  readonly status: StatusReport;
  readonly kills: readonly KillRecord[];
  /** Of the user whose processes are shown. */
  readonly explanation: Explanation | undefined;
  /** toom's CPU since the look before, in parts of one; undefined: there was none. */
  readonly cpuShare: number | undefined;
}

export class TopState extends ListState<UserReport, Sort> {
  told: Told | undefined;

  constructor() {
    super(SORTS);
  }

  protected rows(): readonly UserReport[] {
    return this.told?.status.users ?? [];
  }

  protected compare(sort: Sort, a: UserReport, b: UserReport): number {
    return compareUsers(sort, a, b);
  }
}

/** The first comes first: largest numbers, names by their letters. */
export function compareUsers(sort: Sort, a: UserReport, b: UserReport): number {
  switch (sort) {
    case "used":
      return partOf(barOf(b)) - partOf(barOf(a));
    case "usage":
      return b.usagePages - a.usagePages;
    case "growth":
      return b.growthPagesPerSecond - a.growthPagesPerSecond;
    case "user":
      return (a.user ?? "").localeCompare(b.user ?? "");
    case "uid":
      return a.uid - b.uid;
    case "processes":
      return b.processes - a.processes;
    case "kills":
      return b.kills - a.kills;
  }
}

/** Usage and limits of a user, pages. */
export function barOf({ usagePages, softPages, hardPages }: UserReport): Bar {
  return { usage: usagePages, soft: softPages, hard: hardPages };
}
