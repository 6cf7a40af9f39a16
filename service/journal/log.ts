/**
 * The log: one line an entry of the journal. Writing it never throws and never grows: floods are cut
 * for each kind of event and what was shed is counted (docs/INVARIANTS.md, I6 and I7).
 *
 * @module
 */
import type { JournalEvent } from "./events.ts";
import { formatJson, formatText, type LogFormat } from "./format.ts";
import type { JournalEntry, Subscriber } from "./journal.ts";

/** Most lines of one kind within {@link WINDOW_MS}; beyond that they are counted instead. */
export const LINES_PER_WINDOW_MAX = 200;
const WINDOW_MS = 1000;
/** Bounded by the kernel's speed of dying, and the one thing that everybody must be able to read. */
const UNLIMITED: ReadonlySet<JournalEvent["event"]> = new Set(["kill", "killed", "shed"]);

interface Window {
  startMs: number;
  lines: number;
  shed: number;
}

/** The journal's first subscriber. */
export class Log implements Subscriber {
  readonly name = "log";
  /** Lines left out since the start. */
  shedTotal = 0;
  /** Lines that could not be written since the start. */
  failedTotal = 0;
  private readonly format: LogFormat;
  private readonly write: (line: string, event: JournalEvent) => void;
  private readonly now: () => Date;
  /** One for each kind that was seen, so bounded by the number of kinds. */
  private readonly windows = new Map<JournalEvent["event"], Window>();

  /**
   * @param write Takes a line without its end, and what it tells of. May throw: the line is counted as
   *   failed.
   * @param now Wall-clock time.
   */
  constructor(
    format: LogFormat,
    write: (line: string, event: JournalEvent) => void,
    now: () => Date,
  ) {
    this.format = format;
    this.write = write;
    this.now = now;
  }

  /** Writes an entry, unless there were too many of its kind within the second. Never throws. */
  take({ event, at }: JournalEntry): void {
    // Kills of a storm are summed up by the line that tells of its end.
    if ((event.event === "kill" || event.event === "killed") && event.storm) return;
    if (!UNLIMITED.has(event.event) && !this.admit(event.event, this.now())) return;
    this.put(event, at);
  }

  /**
   * Reports what was shed in seconds that are over; call it now and then, else the report waits
   * for the next event of that kind.
   *
   * @param all Also of the current second: at the end.
   */
  flush(all = false): void {
    const at = this.now();
    for (const [kind, window] of this.windows) {
      if (all || isOver(window, at)) this.report(kind, window, at);
    }
  }

  private admit(kind: JournalEvent["event"], at: Date): boolean {
    let window = this.windows.get(kind);
    if (window === undefined) {
      window = { startMs: at.getTime(), lines: 0, shed: 0 };
      this.windows.set(kind, window);
    } else if (isOver(window, at)) {
      this.report(kind, window, at);
      window.startMs = at.getTime();
      window.lines = 0;
    }
    if (window.lines < LINES_PER_WINDOW_MAX) {
      window.lines++;
      return true;
    }
    window.shed++;
    this.shedTotal++;
    return false;
  }

  private report(kind: JournalEvent["event"], window: Window, at: Date): void {
    if (window.shed === 0) return;
    const lines = window.shed;
    window.shed = 0;
    this.put({ event: "shed", kind, lines }, at);
  }

  private put(event: JournalEvent, at: Date): void {
    try {
      this.write(this.format === "json" ? formatJson(event, at) : formatText(event), event);
    } catch {
      // A closed pipe or a full disk must not reach who reports a kill (I6).
      this.failedTotal++;
    }
  }
}

/** Also when the clock was set back, or the kind would be silent until it has caught up. */
function isOver(window: Window, at: Date): boolean {
  const ageMs = at.getTime() - window.startMs;
  return ageMs >= WINDOW_MS || ageMs < 0;
}
