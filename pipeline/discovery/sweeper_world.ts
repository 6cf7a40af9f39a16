/**
 * What the sweeper needs of the world.
 *
 * @module
 */
import type { OwnersView } from "../limits/owners.ts";
import type { RulesView } from "../limits/published_rules.ts";
import type {
  Clock,
  GuardedInstance,
  Proc,
  RecordedUsers,
  TraceCounts,
  TraceList,
} from "../ports.ts";
import type { BrakeWorld } from "../brake/brake_kernel.ts";
import type { Patterns, ProcessFacts } from "../rules/matcher.ts";
import type { OpenExecs } from "./exec_stream.ts";
import type { ShareFacts } from "./share_measure.ts";
import type { MachineMemory } from "./shortage.ts";
import type { GuardedList } from "./trace_watch.ts";

/** What came of {@link UserChanges.read}. */
export const ChangesRead = {
  /** There is nothing more. */
  all: 0,
  /** There is more. */
  more: 1,
  /** Some were lost, for want of room; there may be more. */
  lost: 2,
  /** They cannot be read. */
  failed: 3,
} as const;
export type ChangesRead = typeof ChangesRead[keyof typeof ChangesRead];

/** The kernel's word of each change of user on the machine. */
export interface UserChanges {
  /** Takes some, without waiting. @param onChange Told of the process. */
  read(onChange: (tgid: number) => void): ChangesRead;
}

/** Why {@link SweeperWorld.wait} ended; bits. */
export const Woken = { none: 0, byWork: 1, byPressure: 2 } as const;

export interface SweeperWorld {
  readonly clock: Clock;
  readonly proc: Proc;
  readonly list: TraceList & GuardedList;
  /** Undefined where tasks are recorded, not users. */
  readonly recordedUsers?: (rules: RulesView, owners: OwnersView) => RecordedUsers;
  readonly shares: ShareFacts;
  readonly instance: GuardedInstance;
  /** Undefined where toom reads text. */
  readonly traceCounts: TraceCounts | undefined;
  /** Undefined where the kernel does not tell. */
  readonly userChanges: UserChanges | undefined;
  readonly openExecs: OpenExecs;
  /** What rules about who dies ask of processes. */
  readonly facts: ProcessFacts;
  /** Makes tests of patterns, for rules that have one. */
  readonly loadPatterns: () => Promise<Patterns>;
  /** Undefined where no process can be braked, and nothing was left lowered. */
  readonly brake?: BrakeWorld | undefined;
  readMemory(): MachineMemory;
  /** Has {@link wait} end for the kernel's pressure stall information, where there is any. */
  listenToPressure(): void;
  /** Waits until there is something to do. @returns {@link Woken}. */
  wait(timeoutMs: number): number;
  /** Gives the CPU to others, for long work, or takes it before them. */
  setUrgent(isUrgent: boolean): void;
  /** Closes what no successor takes over. */
  close(): void;
}
