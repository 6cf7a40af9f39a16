/**
 * Rules about who of a user's processes dies: what each matches, and what it says. Plain data, as it
 * is published to the sweeper.
 *
 * @module
 */

/** What a rule says of the processes that it matches. */
export const Effect = {
  /** Nothing: as if there was no rule. */
  none: 0,
  /** It goes before others, if its end suffices. */
  prefer: 1,
  /** It goes only when the others do not suffice. */
  avoid: 2,
  /** It never goes. */
  protect: 3,
} as const;
export type Effect = typeof Effect[keyof typeof Effect];

export const EFFECT_NAMES = ["none", "prefer", "avoid", "protect"] as const;
export type EffectName = typeof EFFECT_NAMES[number];

/** Of several preferred the heaviest goes first, of several avoided the lightest. */
export const WEIGHT_MAX = 100;
/** Most rules at one time, those that toom brings along included. */
export const VICTIM_RULES_MAX = 500;

/** A text is the same, or matches a pattern in the syntax of RE2 somewhere. */
export type TextMatch = { readonly equals: string } | { readonly pattern: string };

/** What a rule asks of a process; all that is there must hold. */
export interface RuleMatch {
  /** Name of the process, /proc/PID/comm: at most 15 bytes, which it can set itself. */
  readonly command?: TextMatch | undefined;
  /** Path of the program, /proc/PID/exe. */
  readonly executable?: TextMatch | undefined;
  /** The first {@link TEXT_BYTES_MAX} bytes of its arguments, with blanks between them. */
  readonly commandLine?: TextMatch | undefined;
  /** Path of its cgroup, /proc/PID/cgroup. */
  readonly cgroup?: TextMatch | undefined;
  /** Its working directory, /proc/PID/cwd. */
  readonly directory?: TextMatch | undefined;
  /** Ranges of uids, first and last, of the user that it counts for. */
  readonly uids?: readonly (readonly [number, number])[] | undefined;
  /** Least and most of its oom_score_adj. */
  readonly oomScoreAdj?: readonly [number, number] | undefined;
  /** It is the first process of its session, setsid(2): a login shell, a daemon. */
  readonly sessionLeader?: boolean | undefined;
}

/** Bytes of a text of a process that are looked at. */
export const TEXT_BYTES_MAX = 4096;

export interface VictimRule {
  readonly match: RuleMatch;
  readonly effect: EffectName;
  /** 1 to {@link WEIGHT_MAX}. */
  readonly weight: number;
  /** `/etc/toom/config.jsonc:12`, or `built in`. */
  readonly place: string;
  /** What it matches as it is written, on one line. */
  readonly text: string;
}

/**
 * Whom to avoid unless the configuration says otherwise: who is logged in through them loses more than
 * the one process. They come before all rules of a configuration, each of which wins over them.
 */
export const DEFAULT_RULES: readonly VictimRule[] = [
  avoid({ sessionLeader: true }, "sessionLeader: true"),
  ...["sshd", "sshd-session", "tmux: server", "screen"].map((command) =>
    avoid({ command: { equals: command } }, `command: "${command}"`)
  ),
  // Of a user it is systemd --user; pid 1 is nobody's victim anyway.
  avoid({ command: { equals: "systemd" } }, 'command: "systemd"'),
];

function avoid(match: RuleMatch, text: string): VictimRule {
  return { match, effect: "avoid", weight: 1, place: "built in", text };
}
