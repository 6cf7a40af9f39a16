/**
 * What a screen with a list of users remembers between two drawings, and what keys change of it.
 *
 * @module
 */
import { type Action, actionOf, codesOf, type Key, KEYS } from "./keys.ts";

export const REFRESH_MS = [250, 500, 1000, 2000, 5000, 10_000] as const;
const PAGE_LINES = 10;
const TYPED_MAX = 40;

/** A line of the list. */
export interface Listed {
  readonly uid: number;
  /** Name; null: none is known. */
  readonly user: string | null;
}

/** @template Sort A column that can be sorted by. */
export abstract class ListState<Row extends Listed, Sort extends string> {
  /** Why nothing is told; one line. */
  problem: string | undefined;
  sort: Sort;
  private readonly sorts: readonly Sort[];
  /** Which keys there are. */
  readonly keys: readonly Key[] = KEYS;
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

  /** Keys so far whose effect is wanted now, not at the next look. */
  wishes = 0;

  /** Whether what is shown is to be asked for anew. */
  get isStale(): boolean {
    return !this.isPaused;
  }

  get refreshMs(): number {
    return REFRESH_MS[this.refreshAt]!;
  }

  /** @param sorts Columns that can be sorted by, in their order; by the first at the beginning. */
  protected constructor(sorts: readonly Sort[]) {
    this.sorts = sorts;
    this.sort = sorts[0]!;
  }

  /** All rows, in any order. */
  protected abstract rows(): readonly Row[];

  /** The first comes first: largest numbers, names by their letters. */
  protected abstract compare(sort: Sort, a: Row, b: Row): number;

  /** Users as they are shown. */
  get users(): readonly Row[] {
    const { filter, isInverted } = this;
    const users = this.rows().filter((user) => matches(user, filter));
    const order = isInverted ? -1 : 1;
    return users.sort((a, b) => order * this.compare(this.sort, a, b) || a.uid - b.uid);
  }

  /** The cursor is on a user, as long as there is one. To be called when others are told of. */
  keepCursor(): void {
    if (!this.users.some(({ uid }) => uid === this.cursorUid)) this.cursorUid = this.users[0]?.uid;
  }

  /** Takes what was typed, which may be many keys. */
  input(text: string): void {
    for (const code of codesOf(text)) {
      const action = actionOf(code, this.keys);
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

  protected act(action: Action): void {
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
    const { sorts } = this;
    const at = sorts.indexOf(this.sort) + step;
    this.sort = sorts[(at + sorts.length) % sorts.length]!;
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

function matches({ user, uid }: Listed, text: string): boolean {
  const wanted = text.toLowerCase();
  return String(uid).includes(wanted) || (user ?? "").toLowerCase().includes(wanted);
}
