/**
 * Whom uids count for, as the daemon keeps it: follows the file of subordinate uids, publishes what
 * it says to the workers, and tells of limits that hold for nobody because of it.
 *
 * @module
 */
import type { LimitRule, UidRange } from "../../pipeline/limits/limits.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { OwnersPublisher, OwnerTable } from "../../pipeline/limits/owners.ts";
import { gidOfAccount, type SharedGroup } from "../../pipeline/limits/shared_groups.ts";
import { FormatError } from "../../pipeline/limits/units.ts";
import { findUid, passwdText } from "../../kernel/users/passwd.ts";
import { Subuids } from "./subuids.ts";

/** The groups with a shared limit among configured limits. */
export function sharedGroups(
  limits: readonly (UidRange & { readonly memberUids?: readonly number[] })[],
): readonly SharedGroup[] {
  return limits.flatMap(({ uidFirst, memberUids }) =>
    memberUids === undefined ? [] : [{ accountUid: uidFirst, memberUids }]
  );
}

export interface OwnersOptions {
  /** The file, e.g. /etc/subuid; undefined: every uid counts for itself. */
  readonly path: string | undefined;
  /** Whose members count for their account. */
  readonly groups: readonly SharedGroup[];
  readonly memory: Memory;
  /** The limits in force. */
  readonly rules: () => readonly LimitRule[];
  /** One line for the log. */
  readonly tell: (message: string) => void;
  /** Whose processes are must be found out anew. */
  readonly onChange: () => void;
}

/** How often the file is looked at. */
const CHECK_EVERY_MS = 2000;

export class Owners {
  private readonly options: OwnersOptions;
  private readonly publisher: OwnersPublisher;
  private readonly subuids: Subuids | undefined;
  private groups: readonly SharedGroup[];
  /** As published. */
  private table = OwnerTable.none;
  private subordinateTold = OwnerTable.none;
  private groupsTold: readonly SharedGroup[] = [];
  private checkedMs = -Infinity;

  constructor(options: OwnersOptions) {
    this.options = options;
    this.publisher = new OwnersPublisher(options.memory.owners);
    const { path, tell } = options;
    this.groups = options.groups;
    this.subuids = path === undefined ? undefined : new Subuids({
      path,
      passwd: passwdText,
      findUid,
      onChange: () => this.changed(),
      onProblem: tell,
    });
  }

  /** Before any worker, so that everybody counts for whom it should from the first look on. */
  begin(nowMs: number): void {
    this.tick(nowMs);
    this.changed();
  }

  /** Other groups have a shared limit, or other members. To be called before their limits hold. */
  setGroups(groups: readonly SharedGroup[]): void {
    this.groups = groups;
    this.changed();
  }

  /** Looks whether the file has changed, if it is time. To be called now and then. */
  tick(nowMs: number): void {
    if (nowMs - this.checkedMs < CHECK_EVERY_MS) return;
    this.checkedMs = nowMs;
    this.subuids?.check();
  }

  /** Whom a uid counts for. */
  ownerOf(uid: number): number {
    return this.table.ownerOf(uid);
  }

  /**
   * Lets a new limit through, or not: one that would hold for nobody.
   *
   * @throws {FormatError} When all of its uids count for somebody else.
   */
  admit(rule: LimitRule): void {
    this.subuids?.check();
    const problem = this.nobodyMessage(rule);
    if (problem !== undefined) throw new FormatError(`expected another user: ${problem}`);
  }

  close(): void {
    this.subuids?.close();
  }

  private nobodyMessage(rule: LimitRule): string | undefined {
    const { uidFirst, uidLast } = rule;
    const isAccount = uidFirst === uidLast && gidOfAccount(uidFirst) !== undefined;
    if (isAccount && !this.groups.some(({ accountUid }) => accountUid === uidFirst)) {
      return `no group with a shared limit has the account ${uidFirst}`;
    }
    return subordinateMessage(rule, this.table);
  }

  private changed(): void {
    const { rules, tell, onChange } = this.options;
    const subordinate = this.subuids?.table ?? OwnerTable.none;
    const { table, problems } = subordinate.withGroups(this.groups);
    if (table.equals(this.table)) return;
    this.table = table;
    this.publisher.publish(table);
    for (const problem of problems) tell(problem);
    if (subordinate !== this.subordinateTold) {
      this.subordinateTold = subordinate;
      tell(`${subordinate.ranges.length} ranges of subordinate uids count for their owners`);
    }
    if (this.groups !== this.groupsTold) {
      this.groupsTold = this.groups;
      const members = this.groups.reduce((sum, { memberUids }) => sum + memberUids.length, 0);
      tell(`${members} members of ${this.groups.length} groups share limits`);
    }
    for (const rule of rules()) {
      const problem = subordinateMessage(rule, table);
      if (problem !== undefined) tell(`a limit holds for nobody: ${problem}`);
    }
    onChange();
  }
}

/**
 * Tells why a limit would hold for nobody, by the file of subordinate uids as it is now and the names
 * of /etc/passwd.
 */
export function nobodyReasonBy(path: string): (uids: UidRange) => string | undefined {
  const subuids = new Subuids({
    path,
    passwd: passwdText,
    // Nothing is waited for: owners that only a directory knows are no reason to refuse a limit.
    findUid: () => Promise.resolve(undefined),
    onChange: () => {},
    onProblem: () => {},
  });
  subuids.check();
  return (uids) => subordinateMessage(uids, subuids.table);
}

/** Why a limit would hold for nobody: its uids count for somebody else. */
function subordinateMessage(rule: UidRange, table: OwnerTable): string | undefined {
  const range = table.covering(rule);
  if (range === undefined) return undefined;
  const { uidFirst, uidLast } = rule;
  const which = uidFirst === uidLast ? `uid ${uidFirst} is` : `uids ${uidFirst}-${uidLast} are`;
  const gid = gidOfAccount(range.ownerUid);
  if (gid !== undefined) return `${which} counted for group ${gid}, which shares a limit`;
  return `${which} subordinate to uid ${range.ownerUid}, and counted for it`;
}
