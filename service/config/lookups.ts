/**
 * Looks up all users and groups that a configuration names, before it is read: a directory may take
 * its time, and nothing of the daemon waits for it meanwhile.
 *
 * @module
 */
import type { Account } from "../../kernel/users/account.ts";
import type { UidRange } from "../../pipeline/limits/limits.ts";
import type { SizeHost } from "./schema.ts";
import type { SubjectHost } from "./limits_section.ts";
import { PassingError } from "./passing_error.ts";

/** A group of users. */
export interface Group {
  readonly gid: number;
  /** Uids of its members, be it their primary group or not. */
  readonly memberUids: readonly number[];
}

/** The machine that a configuration is for. */
export interface ConfigHost extends SizeHost {
  /** The uid of a name; undefined: nobody has it. May ask a directory. */
  findUid(name: string): Promise<number | undefined>;
  /** @returns undefined: there is no such group. */
  findGroup(group: string): Promise<Group | undefined>;
  /** A user to run as; undefined: nobody has the name. May ask a directory. */
  findAccount(name: string): Promise<Account | undefined>;
  /** The number of a group; undefined: there is none. May ask a directory. */
  findGroupId(name: string): Promise<number | undefined>;
  /** Names to guess from what was meant: those that are known without a directory. */
  userNames(): readonly string[];
  groupNames(): readonly string[];
  /** Why a limit for these uids would hold for nobody; undefined: it would. */
  nobodyReason?(uids: UidRange): string | undefined;
}

/** Lookups at one time. */
const AT_ONCE = 4;

/** Answers for these subjects without asking anybody any more. */
export async function lookUpSubjects(
  subjects: readonly string[],
  host: ConfigHost,
): Promise<SubjectHost> {
  const users = new Map<string, Answer<number>>();
  const groups = new Map<string, Answer<Group>>();
  const jobs: (() => Promise<void>)[] = [];
  for (const subject of subjects) {
    const word = subject.trim();
    if (word === "*" || word.startsWith("uid:")) continue;
    if (word.startsWith("@")) {
      const name = word.slice(1);
      jobs.push(() => keep(groups, name, () => host.findGroup(name)));
    } else {
      for (const name of namesIn(subject)) {
        jobs.push(() => keep(users, name, () => host.findUid(name)));
      }
    }
  }
  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return {
    totalMemoryBytes: host.totalMemoryBytes,
    pageBytes: host.pageBytes,
    uidOf: (name) => taken(users, name),
    names: () => host.userNames(),
    groupOf: (group) => taken(groups, group),
    groupNames: () => host.groupNames(),
    ...(host.nobodyReason === undefined
      ? {}
      : { nobodyReason: (uids) => host.nobodyReason!(uids) }),
  };
}

/** What parseUser() may ask for. */
function namesIn(subject: string): readonly string[] {
  const word = subject.trim();
  if (!word.startsWith("user:")) return [...new Set([subject, word])];
  const rest = subject.trimStart().slice("user:".length);
  return [...new Set([rest, rest.trim()])];
}

type Answer<Value> = { readonly value: Value | undefined } | { readonly error: PassingError };

async function keep<Value>(
  answers: Map<string, Answer<Value>>,
  name: string,
  find: () => Promise<Value | undefined>,
): Promise<void> {
  if (answers.has(name)) return;
  try {
    answers.set(name, { value: await find() });
  } catch (error) {
    const reason = `expected to find out who that is: ${(error as Error).message}`;
    answers.set(name, { error: new PassingError(reason) });
  }
}

function taken<Value>(
  answers: ReadonlyMap<string, Answer<Value>>,
  name: string,
): Value | undefined {
  const answer = answers.get(name);
  if (answer === undefined) return undefined;
  if ("error" in answer) throw answer.error;
  return answer.value;
}
