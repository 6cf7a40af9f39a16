/**
 * Whom uids count for, as the daemon keeps it: follows the file of subordinate uids, publishes what
 * it says to the workers, and tells of limits that hold for nobody because of it.
 *
 * @module
 */
import type { LimitRule } from "../../pipeline/limits/limits.ts";
import type { Memory } from "../../pipeline/memory/memory.ts";
import { OwnersPublisher, OwnerTable } from "../../pipeline/limits/owners.ts";
import { FormatError } from "../../pipeline/limits/units.ts";
import { findUid, passwdText } from "../../kernel/users/passwd.ts";
import { Subuids } from "./subuids.ts";

export interface OwnersOptions {
  /** The file, e.g. /etc/subuid; undefined: every uid counts for itself. */
  readonly path: string | undefined;
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
  private checkedMs = -Infinity;

  constructor(options: OwnersOptions) {
    this.options = options;
    this.publisher = new OwnersPublisher(options.memory.owners);
    const { path, tell } = options;
    this.subuids = path === undefined ? undefined : new Subuids({
      path,
      passwd: passwdText,
      findUid,
      onChange: (table) => this.changed(table),
      onProblem: tell,
    });
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
    const problem = subordinateMessage(rule, this.table);
    if (problem !== undefined) throw new FormatError(`expected another user: ${problem}`);
  }

  close(): void {
    this.subuids?.close();
  }

  private get table(): OwnerTable {
    return this.subuids?.table ?? OwnerTable.none;
  }

  private changed(table: OwnerTable): void {
    const { rules, tell, onChange } = this.options;
    this.publisher.publish(table);
    tell(`${table.ranges.length} ranges of subordinate uids count for their owners`);
    for (const rule of rules()) {
      const problem = subordinateMessage(rule, table);
      if (problem !== undefined) tell(`a limit holds for nobody: ${problem}`);
    }
    onChange();
  }
}

/** Why a limit would hold for nobody: its uids count for somebody else. */
function subordinateMessage(rule: LimitRule, table: OwnerTable): string | undefined {
  const range = table.covering(rule);
  if (range === undefined) return undefined;
  const { uidFirst, uidLast } = rule;
  const which = uidFirst === uidLast ? `uid ${uidFirst} is` : `uids ${uidFirst}-${uidLast} are`;
  return `${which} subordinate to uid ${range.ownerUid}, and counted for it`;
}
