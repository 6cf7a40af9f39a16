/**
 * What `toom top` remembers between two screens, and what keys change of it.
 *
 * @module
 */
import type { Explanation, StatusReport, UserReport } from "../../service/control/control_api.ts";
import type { KillRecord } from "../../service/history/record.ts";
import { type Action, actionOf, codesOf } from "./keys.ts";

/** Columns that can be sorted by, in their order. */
export const SORTS = ["used", "usage", "growth", "user", "uid", "processes", "kills"] as const;
export type Sort = typeof SORTS[number];
export const REFRESH_MS = [250, 500, 1000, 2000, 5000, 10_000] as const;
const PAGE_LINES = 10;
const TYPED_MAX = 40;

/** What the daemon has told last. */
export interface Told {
  readonly status: StatusReport;
  readonly kills: readonly KillRecord[];
  /** Of the user whose processes are shown. */
  readonly explanation: Explanation | undefined;
  /** toom's CPU since the look before, in parts of one; undefined: there was none. */
  readonly cpuShare: number | undefined;
}

export class TopState {
  told: Told | undefined;
  /** Why nothing is told; one line. */
  problem: string | undefined;
  sort: Sort = "used";
  isInverted = false;
  isPaused = false;
  isHelp = false;
  isOver = false;
  filter = "";
  /** A text that is being typed, and what for. */
  prompt: { readonly action: "search" | "filter"; text: string } | undefined;
  /** Of the user under the cursor. */
  cursorUid: number | undefined;
  /** Whose processes are shown; undefined: nobody's. */
  userUid: number | undefined;
  refreshAt = 2;

  get refreshMs(): number {
    return REFRESH_MS[this.refreshAt]!;
  }

  /** Users as they are shown. */
  get users(): readonly UserReport[] {
    const { filter, isInverted } = this;
    const users = (this.told?.status.users ?? []).filter((user) => matches(user, filter));
    const order = isInverted ? -1 : 1;
    return users.sort((a, b) => order * compare(this.sort, a, b) || a.uid - b.uid);
  }

  /** Takes what was typed, which may be many keys. */
  input(text: string): void {
    for (const code of codesOf(text)) {
      const action = actionOf(code);
      if (this.prompt !== undefined) this.type(code);
      else if (action !== undefined) this.act(action);
    }
  }

  /** A key while a text is typed: letters are letters then. */
  private type(code: string): void {
    const prompt = this.prompt!;
    if (code === "\r" || code === "\n") {
      if (prompt.action === "search") this.search(prompt.text);
      this.prompt = undefined;
      return;
    }
    if (code === "\u001b" || code === "\u0003") {
      if (prompt.action === "filter") this.filter = "";
      this.prompt = undefined;
      return;
    }
    if (code === "\u007f" || code === "\b") prompt.text = prompt.text.slice(0, -1);
    else if (code.length <= 2 && code >= " " && prompt.text.length < TYPED_MAX) prompt.text += code;
    if (prompt.action === "filter") this.filter = prompt.text;
  }

  private search(text: string): void {
    const { users } = this;
    const from = users.findIndex(({ uid }) => uid === this.cursorUid);
    const rest = [...users.slice(from + 1), ...users.slice(0, from + 1)];
    const found = text === "" ? undefined : rest.find((user) => matches(user, text));
    if (found !== undefined) this.cursorUid = found.uid;
  }

  private act(action: Action): void {
    if (this.isHelp && action !== "quit") {
      this.isHelp = false;
      return;
    }
    switch (action) {
      case "quit":
        if (this.isHelp) this.isHelp = false;
        else this.isOver = true;
        break;
      case "help":
        this.isHelp = true;
        break;
      case "search":
      case "filter":
        this.prompt = { action, text: action === "filter" ? this.filter : "" };
        break;
      case "user":
        this.userUid = this.userUid === undefined ? this.cursorUid : undefined;
        break;
      case "sortNext":
        this.sortBy(1);
        break;
      case "sortPrevious":
        this.sortBy(-1);
        break;
      case "invert":
        this.isInverted = !this.isInverted;
        break;
      case "pause":
        this.isPaused = !this.isPaused;
        break;
      case "faster":
        this.refreshAt = Math.max(0, this.refreshAt - 1);
        break;
      case "slower":
        this.refreshAt = Math.min(REFRESH_MS.length - 1, this.refreshAt + 1);
        break;
      default:
        this.move(action);
    }
  }

  private sortBy(step: number): void {
    const at = SORTS.indexOf(this.sort) + step;
    this.sort = SORTS[(at + SORTS.length) % SORTS.length]!;
  }

  private move(action: Action): void {
    const { users } = this;
    if (users.length === 0) return;
    const at = Math.max(0, users.findIndex(({ uid }) => uid === this.cursorUid));
    const steps: Partial<Record<Action, number>> = {
      up: -1,
      down: 1,
      pageUp: -PAGE_LINES,
      pageDown: PAGE_LINES,
      first: -Infinity,
      last: Infinity,
    };
    const to = Math.min(users.length - 1, Math.max(0, at + (steps[action] ?? 0)));
    this.cursorUid = users[to]!.uid;
    if (this.userUid !== undefined) this.userUid = this.cursorUid;
  }
}

function matches({ user, uid }: UserReport, text: string): boolean {
  const wanted = text.toLowerCase();
  return String(uid).includes(wanted) || (user ?? "").toLowerCase().includes(wanted);
}

/** What a user is charged, as a part of its limit; 1 and more is over. */
export function usedPart({ usagePages, hardPages }: UserReport): number {
  return hardPages === 0 ? 1 : usagePages / hardPages;
}

/** The first comes first: largest numbers, names by their letters. */
function compare(sort: Sort, a: UserReport, b: UserReport): number {
  switch (sort) {
    case "used":
      return usedPart(b) - usedPart(a);
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
