/**
 * The manual pages of the commands: toom(8), and of those that ordinary users call toom-top(1) and
 * toom-exec(1), too. `deno task docs` writes them; tests/docs_commands_test.ts compares.
 *
 * @module
 */
import { type CommandSpec, optionHead, type OptionSpec, usageText } from "../cli/args.ts";
import { EXEC_COMMAND } from "../cli/exec.ts";
import { TOP_COMMAND } from "../cli/top.ts";
import { COMMAND_LIST, shownOptions } from "./command_list.ts";
import { item, pageHead, roff, verbatim } from "./roff.ts";

const EXIT_CODES = [
  ["0", "It was done."],
  ["1", "It failed; one line on standard error says why."],
  ["2", "It was called wrongly, or a configuration has errors: nothing was changed."],
  [
    "3",
    "It is not possible here: another toom runs, or something is missing; `toom doctor` tells.",
  ],
] as const;
const FILES = [
  [
    "/etc/toom/config.jsonc",
    "The configuration, with drop-ins in `/etc/toom/config.d`; see toom.conf(5).",
  ],
  ["/run/toom/control.sock", "Where root asks the toom that runs: HTTP over a Unix socket."],
  [
    "/run/toom/read.sock",
    "Where members of the group of `control.readGroup` read the same, and change nothing.",
  ],
  [
    "/run/toom/tmalloc.sock",
    "Where programs ask for memory before they use it; open to everybody.",
  ],
  ["/run/toom/me.sock", "Where users ask about themselves; open to everybody."],
  ["/var/lib/toom", "Limits that were set while running, and the history of kills."],
] as const;
const SEE_ALSO = [
  ["toom", 8],
  ["toom.conf", 5],
  ["toom-top", 1],
  ["toom-exec", 1],
  ["tmalloc", 3],
  ["systemctl", 1],
  ["proc", 5],
] as const;

/** Each page by its path from the root of the checkout. */
export function manualPages(): Readonly<Record<string, string>> {
  return {
    "deploy/man/toom.8": mainPage(),
    "deploy/man/toom-top.1": commandPage(TOP_COMMAND),
    "deploy/man/toom-exec.1": commandPage(EXEC_COMMAND),
  };
}

function mainPage(): string {
  return text([
    ...pageHead("toom", 8, "out-of-memory killer that works per user"),
    ".SH SYNOPSIS",
    ".B toom",
    ".I COMMAND",
    "[OPTION]...",
    ".SH DESCRIPTION",
    roff(
      "`toom run` watches what each limited user's processes use, page by page, and ends one of them " +
        "in the moment in which the user goes over its limit. Nobody else's is touched, and the user's " +
        "session lives on. What is counted is what ending a process gives back: anonymous, shared and " +
        "swapped memory, each page once, and no page cache.",
    ),
    ".SH COMMANDS",
    ...COMMAND_LIST.flatMap((command) => [
      ".SS",
      roff(usageText(command)),
      roff(command.summary),
      ...optionItems(command),
      ...noteLines(command),
    ]),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, meaning]) => item(code, meaning)),
    ".SH FILES",
    ...FILES.flatMap(([path, meaning]) => item(path, meaning)),
    ".SH EXAMPLES",
    roff("Limit each ordinary user to a quarter of the memory, and see who uses what:"),
    ...verbatim(["toom run --limit 1000-59999=25%", "toom top"]),
    ...seeAlso("toom"),
  ]);
}

function commandPage(command: CommandSpec): string {
  const name = command.name.replaceAll(" ", "-");
  return text([
    ...pageHead(name, 1, lowered(command.summary)),
    ".SH SYNOPSIS",
    roff(usageText(command)),
    ".SH DESCRIPTION",
    roff(command.summary),
    ...noteLines(command),
    ".SH OPTIONS",
    ...optionItems(command),
    ...seeAlso(name),
  ]);
}

/** As the line of a name has it: without a full stop, in lower case. */
function lowered(summary: string): string {
  return `${summary[0]!.toLowerCase()}${summary.slice(1).replace(/\.$/, "")}`;
}

function optionItems(command: CommandSpec): readonly string[] {
  const described = command.rest === undefined ? command.positionals ?? [] : [command.rest];
  return [
    ...described.flatMap(({ name, help }) => item(name, `${help}.`)),
    ...shownOptions(command).flatMap((option) => item(optionHead(option), bodyOf(option))),
  ];
}

function bodyOf({ kind, help, default: fallback }: OptionSpec): string {
  return `${help}.${kind === "collect" ? " May be given again and again." : ""}` +
    (fallback === undefined ? "" : ` Default: ${fallback}.`);
}

function noteLines({ notes = [] }: CommandSpec): readonly string[] {
  return notes.length === 0 ? [] : [".PP", ...notes.filter((line) => line !== "").map(roff)];
}

function seeAlso(self: string): readonly string[] {
  const others = SEE_ALSO.filter(([name]) => name !== self);
  return [
    ".SH SEE ALSO",
    ...others.map(([name, section], index) =>
      `.BR ${name.replaceAll("-", "\\-")} (${section})${index < others.length - 1 ? "," : ""}`
    ),
  ];
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
