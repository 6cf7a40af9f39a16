/**
 * What `toom top --prometheus` has been told of all machines: users by their uids, each with what it
 * uses on each machine.
 *
 * @module
 */
import { ListState } from "./list_state.ts";
import { type Bar, partOf } from "./table.ts";

/** What a user uses of one machine. */
export interface MachineShare {
  /** Its `instance` label. */
  readonly machine: string;
  usageBytes: number;
  /** 0: none. */
  softBytes: number;
  /** 0: none. */
  hardBytes: number;
  growthBytesPerSecond: number;
  processes: number;
  kills: number;
  inDoubt: boolean;
}

/** A user of the fleet. */
export interface FleetUser {
  readonly uid: number;
  /** The name that a machine has for it; null: none has. */
  readonly user: string | null;
  /** At least one. */
  readonly machines: readonly MachineShare[];
}

/** Columns that can be sorted by, in their order. */
export const FLEET_SORTS = [
  "used",
  "usage",
  "growth",
  "machines",
  "user",
  "uid",
  "processes",
  "kills",
] as const;
export type FleetSort = typeof FLEET_SORTS[number];

/** Usage and limits on a machine, bytes. */
export function barOfShare({ usageBytes, softBytes, hardBytes }: MachineShare): Bar {
  return { usage: usageBytes, soft: softBytes, hard: hardBytes };
}

/** Where the user is nearest to its limit. */
export function fullest({ machines }: FleetUser): MachineShare {
  return machines.reduce((a, b) => partOf(barOfShare(b)) > partOf(barOfShare(a)) ? b : a);
}

/** Over all machines. */
export function sumOf(
  { machines }: FleetUser,
  key: "usageBytes" | "growthBytesPerSecond" | "processes" | "kills",
): number {
  return machines.reduce((sum, share) => sum + share[key], 0);
}

export class FleetState extends ListState<FleetUser, FleetSort> {
  /** undefined: not told yet. */
  told: readonly FleetUser[] | undefined;

  constructor() {
    super(FLEET_SORTS);
  }

  protected rows(): readonly FleetUser[] {
    return this.told ?? [];
  }

  protected compare(sort: FleetSort, a: FleetUser, b: FleetUser): number {
    switch (sort) {
      case "used":
        return partOf(barOfShare(fullest(b))) - partOf(barOfShare(fullest(a)));
      case "usage":
        return sumOf(b, "usageBytes") - sumOf(a, "usageBytes");
      case "growth":
        return sumOf(b, "growthBytesPerSecond") - sumOf(a, "growthBytesPerSecond");
      case "machines":
        return b.machines.length - a.machines.length;
      case "user":
        return (a.user ?? "").localeCompare(b.user ?? "");
      case "uid":
        return a.uid - b.uid;
      case "processes":
        return sumOf(b, "processes") - sumOf(a, "processes");
      case "kills":
        return sumOf(b, "kills") - sumOf(a, "kills");
    }
  }
}
