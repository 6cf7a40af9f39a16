/**
 * Completions of the command line for bash, zsh and fish, made from the command table. `deno task docs`
 * writes them; tests/docs_commands_test.ts compares, and asks bash.
 *
 * @module
 */
import type { CommandSpec, OptionSpec } from "../cli/args.ts";
import { COMMAND_LIST, shownOptions, wordsOf } from "./command_list.ts";

/** Each file by its path from the root of the checkout. */
export function completionFiles(): Readonly<Record<string, string>> {
  return {
    "deploy/completions/toom.bash": bash(),
    "deploy/completions/_toom": zsh(),
    "deploy/completions/toom.fish": fish(),
  };
}

/** First words, and behind those that have any, the second ones. */
function wordTree(): ReadonlyMap<string, readonly string[]> {
  const tree = new Map<string, string[]>();
  for (const command of COMMAND_LIST) {
    const [first, second] = wordsOf(command);
    const seconds = tree.get(first!) ?? [];
    if (second !== undefined) seconds.push(second);
    tree.set(first!, seconds);
  }
  return tree;
}

/** Words that an option's value may be: `off|growers|all`; none when it is free. */
function choicesOf({ value = "" }: OptionSpec): readonly string[] {
  return /^[a-z-]+(\|[a-z-]+)+$/.test(value) ? value.split("|") : [];
}

function takesFile({ value = "" }: OptionSpec): boolean {
  return /\b(PATH|FILE)\b/.test(value);
}

/** Whether the first positional is a user. */
function takesUser({ positionals = [] }: CommandSpec): boolean {
  return positionals[0]?.name === "USER";
}

function longOptions(command: CommandSpec): readonly string[] {
  return shownOptions(command).map(({ name }) => `--${name}`);
}

// ------------------------------------------------------------------------------------------- bash

function bash(): string {
  const tree = wordTree();
  const lines = [
    "# Completion of toom(8) for bash; made by deno task docs.",
    "_toom() {",
    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
    "  local command=${COMP_WORDS[1]} words=",
    "  COMPREPLY=()",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${[...tree.keys()].join(" ")} --help --version" -- "$word"))`,
    "    return",
    "  fi",
    "  case $command in",
    ...[...tree].filter(([, seconds]) => seconds.length > 0).flatMap(([first, seconds]) => [
      `  ${first})`,
      '    if [ "$COMP_CWORD" -eq 2 ]; then',
      `      COMPREPLY=($(compgen -W "${seconds.join(" ")} --help" -- "$word"))`,
      "      return",
      "    fi",
      '    command="$command ${COMP_WORDS[2]}" ;;',
    ]),
    "  esac",
    '  case "$command $before" in',
    ...COMMAND_LIST.flatMap(bashValues),
    "  esac",
    "  case $command in",
    ...COMMAND_LIST.flatMap((command) => {
      const name = wordsOf(command).join(" ");
      return [`  ${quoted(name)}) words="${longOptions(command).join(" ")}" ;;`];
    }),
    "  esac",
    "  case $word in",
    '  -*) COMPREPLY=($(compgen -W "$words" -- "$word")); return ;;',
    "  esac",
    "  case $command in",
    `  ${COMMAND_LIST.filter(takesUser).map((one) => quoted(wordsOf(one).join(" "))).join("|")})`,
    '    COMPREPLY=($(compgen -u -- "$word")) ;;',
    '  exec) COMPREPLY=($(compgen -c -- "$word")) ;;',
    '  *) COMPREPLY=($(compgen -f -- "$word")) ;;',
    "  esac",
    "}",
    "complete -F _toom toom",
  ];
  return `${lines.join("\n")}\n`;
}

function bashValues(command: CommandSpec): readonly string[] {
  const name = wordsOf(command).join(" ");
  return command.options.flatMap((option) => {
    const choices = choicesOf(option);
    const reply = choices.length > 0 ? `-W "${choices.join(" ")}"` : takesFile(option) ? "-f" : "";
    if (reply === "") return [];
    const pattern = quoted(`${name} --${option.name}`);
    return [`  ${pattern}) COMPREPLY=($(compgen ${reply} -- "$word")); return ;;`];
  });
}

function quoted(words: string): string {
  return words.includes(" ") ? `"${words}"` : words;
}

// -------------------------------------------------------------------------------------------- zsh

function zsh(): string {
  const tree = wordTree();
  const lines = [
    "#compdef toom",
    "# Completion of toom(8) for zsh; made by deno task docs.",
    "_toom() {",
    "  local -a commands=(",
    ...[...tree.keys()].map((word) => `    ${single(`${word}:${summaryOf(word)}`)}`),
    "  )",
    "  if (( CURRENT == 2 )); then",
    "    _describe command commands",
    "    return",
    "  fi",
    "  local command=$words[2]",
    ...[...tree].filter(([, seconds]) => seconds.length > 0).flatMap(([first, seconds]) => [
      `  if [[ $command == ${first} ]]; then`,
      `    if (( CURRENT == 3 )); then compadd ${seconds.join(" ")}; return; fi`,
      '    command="$command $words[3]"',
      "  fi",
    ]),
    "  case $command in",
    ...COMMAND_LIST.flatMap((command) => [
      `  (${quoted(wordsOf(command).join(" "))})`,
      "    _arguments \\",
      ...shownOptions(command).map((option) => `      ${zshOption(option)} \\`),
      `      '*:${takesUser(command) ? "user:_users" : "file:_files"}' ;;`,
    ]),
    "  esac",
    "}",
    '_toom "$@"',
  ];
  return `${lines.join("\n")}\n`;
}

function zshOption(option: OptionSpec): string {
  const { name, kind, help } = option;
  const text = help.replaceAll(/[[\]:]/g, " ");
  const choices = choicesOf(option);
  const action = choices.length > 0 ? `(${choices.join(" ")})` : takesFile(option) ? "_files" : "";
  const value = kind === "boolean"
    ? ""
    : `:${(option.value ?? "value").replaceAll(":", " ")}:${action}`;
  return single(`${kind === "collect" ? "*" : ""}--${name}[${text}]${value}`);
}

function single(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function summaryOf(first: string): string {
  const command = COMMAND_LIST.find((one) => wordsOf(one)[0] === first)!;
  return wordsOf(command).length > 1 ? `${first} commands` : command.summary.replaceAll(":", "");
}

// ------------------------------------------------------------------------------------------- fish

function fish(): string {
  const tree = wordTree();
  const lines = [
    "# Completion of toom(8) for fish; made by deno task docs.",
    "complete -c toom -f",
    ...[...tree.keys()].map((word) =>
      `complete -c toom -n __fish_use_subcommand -a ${word} -d ${single(summaryOf(word))}`
    ),
    ...[...tree].filter(([, seconds]) => seconds.length > 0).map(([first, seconds]) => {
      const isNew = `__fish_seen_subcommand_from ${first}; and not ` +
        `__fish_seen_subcommand_from ${seconds.join(" ")}`;
      return `complete -c toom -n ${single(isNew)} -a ${single(seconds.join(" "))}`;
    }),
    ...COMMAND_LIST.flatMap(fishOptions),
  ];
  return `${lines.join("\n")}\n`;
}

function fishOptions(command: CommandSpec): readonly string[] {
  const words = wordsOf(command);
  const condition = words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
  const users = takesUser(command)
    ? [`complete -c toom -n ${single(condition)} -a '(__fish_complete_users)'`]
    : [];
  return [
    ...users,
    ...shownOptions(command).map((option) => {
      const choices = choicesOf(option);
      const value = option.kind === "boolean"
        ? ""
        : choices.length > 0
        ? ` -x -a ${single(choices.join(" "))}`
        : takesFile(option)
        ? " -r -F"
        : " -x";
      return `complete -c toom -n ${single(condition)} -l ${option.name}${value} -d ${
        single(option.help)
      }`;
    }),
  ];
}
