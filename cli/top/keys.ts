/**
 * The keys of `toom top`, those of htop: what each does, and how a terminal sends it. The help is made
 * from this table.
 *
 * @module
 */

export type Action =
  | "quit"
  | "help"
  | "search"
  | "filter"
  | "user"
  | "sortNext"
  | "sortPrevious"
  | "invert"
  | "pause"
  | "up"
  | "down"
  | "pageUp"
  | "pageDown"
  | "first"
  | "last"
  | "faster"
  | "slower"
  | "back"
  | "ahead"
  | "farBack"
  | "farAhead";

export interface Key {
  readonly action: Action;
  /** As the help has it; empty: the line before says it too. */
  readonly shown: string;
  readonly help: string;
  /** What the terminal sends; one of these. */
  readonly codes: readonly string[];
  /** In the line at the bottom of the screen. */
  readonly hint?: string;
}

const ESC = "\u001b";

export const KEYS: readonly Key[] = [
  {
    action: "help",
    shown: "F1 h ?",
    help: "Show this help",
    hint: "F1Help",
    codes: [`${ESC}OP`, `${ESC}[11~`, `${ESC}[[A`, "h", "?"],
  },
  {
    action: "search",
    shown: "F3 /",
    help: "Go to the next user whose name or uid has this text",
    hint: "F3Search",
    codes: [`${ESC}OR`, `${ESC}[13~`, `${ESC}[[C`, "/"],
  },
  {
    action: "filter",
    shown: "F4 \\",
    help: "Show only users whose name or uid has this text",
    hint: "F4Filter",
    codes: [`${ESC}OS`, `${ESC}[14~`, `${ESC}[[D`, "\\"],
  },
  {
    action: "user",
    shown: "u Enter",
    help: "Show the processes of the user under the cursor, or all users again",
    hint: "uUser",
    codes: ["u", "\r", "\n"],
  },
  {
    action: "sortNext",
    shown: "F6 >",
    help: "Sort by the next column",
    hint: "F6Sort",
    codes: [`${ESC}[17~`, ">", "."],
  },
  { action: "sortPrevious", shown: "<", help: "Sort by the column before", codes: ["<", ","] },
  { action: "invert", shown: "I", help: "Sort the other way round", hint: "IInvert", codes: ["I"] },
  { action: "pause", shown: "Z", help: "Stand still, or go on", hint: "ZPause", codes: ["Z", "z"] },
  { action: "up", shown: "Up k", help: "One line up", codes: [`${ESC}[A`, `${ESC}OA`, "k"] },
  { action: "down", shown: "Down j", help: "One line down", codes: [`${ESC}[B`, `${ESC}OB`, "j"] },
  { action: "pageUp", shown: "PgUp", help: "Ten lines up", codes: [`${ESC}[5~`] },
  { action: "pageDown", shown: "PgDn", help: "Ten lines down", codes: [`${ESC}[6~`] },
  {
    action: "first",
    shown: "Home",
    help: "To the first line",
    codes: [`${ESC}[H`, `${ESC}OH`, `${ESC}[1~`],
  },
  {
    action: "last",
    shown: "End",
    help: "To the last line",
    codes: [`${ESC}[F`, `${ESC}OF`, `${ESC}[4~`],
  },
  { action: "faster", shown: "+", help: "Look more often", codes: ["+", "="] },
  { action: "slower", shown: "-", help: "Look less often", codes: ["-"] },
  {
    action: "quit",
    shown: "F10 q",
    help: "End",
    hint: "F10Quit",
    codes: [`${ESC}[21~`, "q", "\u0003"],
  },
];

/** Those of a recording: of all keys, but `Z` plays and stops, and there are some to go through time. */
export const RECORDING_KEYS: readonly Key[] = [
  {
    action: "back",
    shown: "Left",
    help: "One second back",
    hint: "→Seek",
    codes: [`${ESC}[D`, `${ESC}OD`],
  },
  { action: "ahead", shown: "Right", help: "One second ahead", codes: [`${ESC}[C`, `${ESC}OC`] },
  { action: "farBack", shown: "[ ]", help: "Ten seconds back, or ahead", codes: ["["] },
  { action: "farAhead", shown: "", help: "", codes: ["]"] },
  ...KEYS.map((key) =>
    key.action !== "pause" ? key : {
      ...key,
      shown: "Space Z",
      help: "Play, or stop",
      hint: "ZPlay",
      codes: [" ", ...key.codes],
    }
  ),
];

/** The sequences of one key that begin with an escape: CSI and SS3, and those of Linux' console. */
// deno-lint-ignore no-control-regex
const SEQUENCE = /\u001b(?:\[\[[A-E]|\[[\d;]*[A-Za-z~]|O[A-Za-z])|\u001b|[^\u001b]/gu;

/** What a terminal has sent, key by key. */
export function codesOf(input: string): string[] {
  return [...input.matchAll(SEQUENCE)].map(([code]) => code);
}

/** What a key does; undefined: nothing. */
export function actionOf(code: string, keys = KEYS): Action | undefined {
  return keys.find(({ codes }) => codes.includes(code))?.action;
}

/** Lines of the help. @param inside What a user has, and is shown below the list. */
export function keyHelp(
  inside: "processes" | "machines" = "processes",
  keys = KEYS,
): string[] {
  const told = keys.filter(({ shown }) => shown !== "");
  const width = Math.max(...told.map(({ shown }) => shown.length));
  return told.map(({ shown, help }) =>
    `${shown.padEnd(width)}  ${help.replace("the processes", `the ${inside}`)}`
  );
}

/** Lines of the help about the keys that only a recording has. */
export function recordingKeyHelp(): string[] {
  return keyHelp("processes", RECORDING_KEYS.filter((key) => !KEYS.includes(key)));
}
