/**
 * Tells users on their terminals what happened to them: kills, soft limits, refusals. A subscriber of the
 * journal, which takes some 50 microseconds for each terminal and never waits for one.
 *
 * @module
 */
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import type { TerminalMode } from "../config/terminal_mode.ts";
import { isNoticed, type NoticedEvent, noticeLines, terminalBytes } from "./terminal_text.ts";

/** Where terminals are. */
export interface Terminals {
  /** Of a user who lets others write to them. */
  of(uid: number): readonly string[];
  /** Never waits. @returns Whether the terminal took it. */
  write(path: string, uid: number, bytes: Uint8Array<ArrayBuffer>): boolean;
}

export interface TerminalNoticesContext {
  readonly terminals: Terminals;
  readonly pageBytes: number;
  readonly mode: () => TerminalMode;
}

/** A user is told of at most so many kills: who is killed again and again knows by then. */
const KILL_EVERY_NS = 1e9;
/** And of its soft limit, or of refusals, at most so often. */
const SOFT_EVERY_NS = 600e9;
/** Users of whom it is remembered when they were told; then those who were told first are forgotten. */
const USERS_MAX = 4096;

interface Told {
  killNs: number;
  softNs: number;
  /** Kills since of which the user was not told. */
  heldBack: number;
}

export class TerminalNotices implements Subscriber {
  readonly name = "terminals";
  private readonly context: TerminalNoticesContext;
  private readonly told = new Map<number, Told>();

  constructor(context: TerminalNoticesContext) {
    this.context = context;
  }

  take({ event, monotonicNs }: JournalEntry): void {
    const mode = this.context.mode();
    if (mode === "off" || !isNoticed(event)) return;
    if (event.event !== "kill" && mode === "kills") return;
    const told = this.toldOf(event.uid);
    if (event.event !== "kill") {
      if (monotonicNs - told.softNs < SOFT_EVERY_NS) return;
      told.softNs = monotonicNs;
      this.write(event, 0);
      return;
    }
    if (event.storm || monotonicNs - told.killNs < KILL_EVERY_NS) {
      told.heldBack++;
      return;
    }
    told.killNs = monotonicNs;
    this.write(event, told.heldBack);
    told.heldBack = 0;
  }

  private write(event: NoticedEvent, heldBack: number): void {
    const { terminals, pageBytes } = this.context;
    const { uid } = event;
    const paths = terminals.of(uid);
    if (paths.length === 0) return;
    const bytes = terminalBytes(noticeLines(event, pageBytes, heldBack));
    for (const path of paths) terminals.write(path, uid, bytes);
  }

  private toldOf(uid: number): Told {
    let told = this.told.get(uid);
    if (told === undefined) {
      told = { killNs: -Infinity, softNs: -Infinity, heldBack: 0 };
      for (const first of this.told.keys()) {
        if (this.told.size < USERS_MAX) break;
        this.told.delete(first);
      }
      this.told.set(uid, told);
    }
    return told;
  }
}
