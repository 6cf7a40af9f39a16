/**
 * Limits that were set while running, kept across restarts.
 *
 * The limits of files and of the command line are the base; what `toom limit` asked for lies above it, as an
 * override for exactly one uid or range:
 *
 *  - set: replaces the base's rule of the same range, or adds one. It stays until it is set anew
 *    or cleared, whatever later files and command lines say; {@link LimitState.shadowed} names the base's
 *    rules that are hidden by it, for the log.
 *    It may say that there is no limit, for somebody inside of a range.
 *  - clear: of a rule that the base has leaves a tombstone, so that the next start with the same
 *    base does not bring it back. Of a rule that it has not, nothing stays. A tombstone
 *    whose rule is no longer in the base has done its work and is dropped.
 *
 * The file is written whole to a neighbour, synced, and renamed over the old one, so it is always
 * one state or the other. A file that cannot be understood is put aside, never overwritten.
 *
 * @module
 */
import { messageOf } from "../../kernel/ffi/thrown.ts";
import {
  formatUidRange,
  HARD_PAGES_MAX,
  isNoLimit,
  type LimitRule,
  LimitRules,
  RULES_MAX,
  sameUids,
} from "../../pipeline/limits/limits.ts";
import { NO_LIMIT_PAGES } from "../../pipeline/books/books.ts";
import { invariant } from "../../pipeline/memory/invariant.ts";
import { memberNames, parseMembers } from "../../pipeline/limits/members.ts";
import { bytesToPages } from "../../pipeline/limits/units.ts";
import type { OriginRule, OverriddenRule } from "./origin_rule.ts";
import { type LimitOverride, OVERRIDES_MAX, STATE_VERSION, StateFile } from "./state_schema.ts";

export type { LimitOverride } from "./state_schema.ts";

export const STATE_FILE_NAME = "limits.json";
/** A file that is being written; with the writer's pid behind it. */
const UNFINISHED = `${STATE_FILE_NAME}.new-`;
/** Most bytes of a state file that is read: more than the largest that can be written. */
const STATE_BYTES_MAX = 1024 * 1024;

/** A rule of the base; without an origin it is the command line's. */
export type BaseRule =
  & LimitRule
  & Partial<Pick<OriginRule, "origin" | "subject" | "place" | "memberUids">>;

/** What {@link LimitState.open} depends on. */
export interface LimitStateOptions {
  /** Made when it is missing, for root only. */
  readonly dirPath: string;
  /** The limits of the configuration and of the command line. */
  readonly base: readonly BaseRule[];
  readonly pageBytes: number;
  /** Wall-clock time, for the names of files that are put aside. */
  readonly now: () => Date;
  /** What was set while running, where it is known without the file: it may not have been written. */
  readonly overrides?: readonly LimitOverride[];
}

/** Whether a change will survive a restart. It is in force either way. */
export interface Kept {
  readonly persisted: boolean;
  /** Why not: one line for the log. */
  readonly problem?: string;
}

/** The limits in force, and the file that remembers them. One owner. */
export class LimitState {
  /** What was wrong with the file, if anything: one line for the log. */
  readonly problem: string | undefined;
  private readonly options: LimitStateOptions;
  private readonly overrides: Map<string, LimitOverride>;
  private base: readonly BaseRule[];
  private effective = new LimitRules();
  /** The last write that was asked for; the next one waits for it. */
  private writing: Promise<Kept> = Promise.resolve({ persisted: true });

  private constructor(
    options: LimitStateOptions,
    overrides: Map<string, LimitOverride>,
    problem: string | undefined,
  ) {
    this.options = options;
    this.base = options.base;
    this.overrides = overrides;
    const rules = this.rulesAbove(options.base);
    // A start with fewer limits than asked for beats no start at all.
    for (const rule of rules.slice(0, RULES_MAX)) this.effective.set(rule);
    const left = rules.length - this.effective.count;
    this.problem = left > 0
      ? `${left} limits set while running are not in force: there is room for ${RULES_MAX}`
      : problem;
  }

  /**
   * Reads the state, or starts a new one. A file that cannot be understood is renamed to
   * `limits.json.corrupt-<ISO time>` and reported by {@link problem}.
   *
   * @throws {Error} When the folder cannot be made or the file cannot be read or put aside.
   */
  static async open(options: LimitStateOptions): Promise<LimitState> {
    if (options.overrides !== undefined) {
      const known = options.overrides.map((one) => [formatUidRange(one), one] as const);
      return new LimitState(options, new Map(known), undefined);
    }
    const path = statePath(options.dirPath);
    await Deno.mkdir(options.dirPath, { recursive: true, mode: 0o700 });
    await removeUnfinished(options.dirPath);
    let problem: string | undefined;
    let list: readonly LimitOverride[] = [];
    try {
      list = await readState(path);
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      const aside = `${path}.corrupt-${options.now().toISOString()}`;
      await Deno.rename(path, aside);
      problem = `Cannot understand ${path}: ${error.message}; kept as ${aside}, ` +
        "limits set while running are forgotten";
    }
    const overrides = new Map<string, LimitOverride>();
    for (const override of list) {
      const inBase = options.base.some((rule) => sameUids(rule, override));
      if (!("cleared" in override) || inBase) overrides.set(formatUidRange(override), override);
    }
    return new LimitState(options, overrides, problem);
  }

  /** The rules in force. Only {@link set} and {@link clear} change them. */
  get rules(): LimitRules {
    return this.effective;
  }

  /** What was set and cleared while running. */
  listOverrides(): readonly LimitOverride[] {
    return [...this.overrides.values()];
  }

  /** Whether {@link set} would work. @throws {RulesFullError} When there is no room. */
  checkRoom(rule: LimitRule): void {
    this.effective.checkRoom(rule);
  }

  /** Writes down what there is. @returns Whether that worked. */
  async keep(): Promise<Kept> {
    return await this.save();
  }

  /** The rules in force, each with who asked for it. */
  list(): readonly OriginRule[] {
    const base = new Map(this.base.map((rule) => [formatUidRange(rule), rule]));
    return this.effective.list().map((rule): OriginRule => {
      const uids = formatUidRange(rule);
      if (this.overrides.has(uids)) return { ...rule, origin: "control" };
      return originOf(base.get(uids)!);
    });
  }

  /** Rules of the base that are replaced or cleared by what was set while running. */
  shadowed(): readonly BaseRule[] {
    return this.base.filter((rule) => this.overrides.has(formatUidRange(rule)));
  }

  /** What was changed while running, beside what the base says of the same uids. */
  overridden(): readonly OverriddenRule[] {
    return [...this.overrides.values()].map((override) => {
      const configured = this.base.find((rule) => sameUids(rule, override));
      const running = this.effective.list().find((rule) => sameUids(rule, override));
      return {
        uidFirst: override.uidFirst,
        uidLast: override.uidLast,
        running: running && { ...running, origin: "control" },
        configured: configured && originOf(configured),
      };
    });
  }

  /**
   * Puts other rules below what was set while running, at once: all of them or none.
   *
   * @returns Whether what was set while running is another thing now, and should be kept: see
   *   {@link keep}.
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   */
  rebase(base: readonly BaseRule[]): boolean {
    const next = new LimitRules();
    for (const rule of this.rulesAbove(base)) next.set(rule);
    this.base = base;
    this.effective = next;
    let isOther = false;
    for (const [uids, override] of this.overrides) {
      if (!("cleared" in override) || base.some((rule) => sameUids(rule, override))) continue;
      this.overrides.delete(uids);
      isOther = true;
    }
    return isOther;
  }

  /** The rules of a base, with what was set and cleared while running. */
  private rulesAbove(base: readonly BaseRule[]): readonly LimitRule[] {
    const { overrides } = this;
    return [
      ...base.filter((rule) => !overrides.has(formatUidRange(rule))),
      ...[...overrides.values()].flatMap((override) =>
        "cleared" in override ? [] : [withCeiling(this.ruleOf(override), base)]
      ),
    ];
  }

  /**
   * Puts a rule in force at once, then writes it down.
   *
   * @throws {RulesFullError} When there is no room; nothing has changed then.
   */
  async set(rule: LimitRule): Promise<Kept> {
    this.effective.set(withCeiling(rule, this.base));
    const { uidFirst, uidLast, hardPages, softPages } = rule;
    const { pageBytes } = this.options;
    const size = isNoLimit(rule) ? { unlimited: true as const } : {
      hardBytes: hardPages * pageBytes,
      softBytes: softPages * pageBytes,
      ...(rule.brake === undefined ? {} : { brake: rule.brake }),
      ...(rule.victim === undefined ? {} : { victim: rule.victim }),
      ...(rule.countMask === undefined ? {} : { count: memberNames(rule.countMask) }),
      ...(rule.processesMax === undefined ? {} : { maxProcesses: rule.processesMax }),
      ...(rule.plan === undefined ? {} : { plan: rule.plan }),
      ...(rule.storm === undefined ? {} : { storm: rule.storm }),
    };
    this.overrides.set(formatUidRange(rule), { uidFirst, uidLast, ...size });
    return await this.save();
  }

  /**
   * Ends the rule of exactly this range at once, then writes that down.
   *
   * @returns `cleared` is false when there was none; nothing has changed then.
   */
  async clear(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    if (!this.effective.clear(uidFirst, uidLast)) return { cleared: false, persisted: true };
    const uids = { uidFirst, uidLast };
    if (this.base.some((rule) => sameUids(rule, uids))) {
      this.overrides.set(formatUidRange(uids), { ...uids, cleared: true });
    } else {
      this.overrides.delete(formatUidRange(uids));
    }
    return { cleared: true, ...await this.save() };
  }

  /**
   * Forgets at once what was set or cleared while running for exactly this range, then writes that
   * down: what the base says of it holds again.
   *
   * @returns `cleared` is false when there was nothing; nothing has changed then.
   */
  async reset(uidFirst: number, uidLast: number): Promise<Kept & { readonly cleared: boolean }> {
    const uids = { uidFirst, uidLast };
    if (!this.overrides.delete(formatUidRange(uids))) return { cleared: false, persisted: true };
    const configured = this.base.find((rule) => sameUids(rule, uids));
    if (configured === undefined) this.effective.clear(uidFirst, uidLast);
    else this.effective.set(configured);
    return { cleared: true, ...await this.save() };
  }

  private ruleOf(override: Exclude<LimitOverride, { cleared: true }>): LimitRule {
    const pages = (amount: number): number =>
      Math.min(HARD_PAGES_MAX, Math.max(1, bytesToPages(amount, this.options.pageBytes)));
    const { uidFirst, uidLast } = override;
    if ("unlimited" in override) {
      return { uidFirst, uidLast, hardPages: NO_LIMIT_PAGES, softPages: NO_LIMIT_PAGES };
    }
    const { hardBytes, softBytes, brake, victim, count, maxProcesses, plan, storm } = override;
    return {
      uidFirst,
      uidLast,
      hardPages: pages(hardBytes),
      softPages: pages(softBytes),
      ...(brake === undefined ? {} : { brake }),
      ...(victim === undefined ? {} : { victim }),
      ...(count === undefined ? {} : { countMask: parseMembers(count) }),
      ...(maxProcesses === undefined ? {} : { processesMax: maxProcesses }),
      ...(plan === undefined ? {} : { plan }),
      ...(storm === undefined ? {} : { storm }),
    };
  }

  /** One write after the other, each of the state as it is when its turn comes. */
  private save(): Promise<Kept> {
    const turn = this.writing.then(() => this.saveNow());
    this.writing = turn;
    return turn;
  }

  private async saveNow(): Promise<Kept> {
    const overrides = [...this.overrides.values()];
    invariant(overrides.length <= OVERRIDES_MAX, `state: ${overrides.length} overrides`);
    const text = JSON.stringify({ version: STATE_VERSION, overrides }, null, 2);
    try {
      await writeAtomically(this.options.dirPath, `${text}\n`);
      return { persisted: true };
    } catch (error) {
      const reason = messageOf(error);
      const problem = `Cannot write ${statePath(this.options.dirPath)}: ${reason}`;
      return { persisted: false, problem };
    }
  }
}

function originOf(rule: BaseRule): OriginRule {
  return { ...rule, origin: rule.origin ?? "command-line" };
}

/**
 * What is set while running is about how much memory: what counts of it, who is refused some, how many
 * processes there may be, which of them is killed, and how, stays as the base says where it is not said anew.
 */
function withCeiling(rule: LimitRule, base: readonly BaseRule[]): LimitRule {
  const configured = isNoLimit(rule) ? undefined : base.find((one) => sameUids(one, rule));
  if (configured === undefined) return rule;
  const { processesMax, plan, storm, victim, countMask, brake } = configured;
  return {
    ...(processesMax === undefined ? {} : { processesMax }),
    ...(plan === undefined ? {} : { plan }),
    ...(storm === undefined ? {} : { storm }),
    ...(victim === undefined ? {} : { victim }),
    ...(countMask === undefined ? {} : { countMask }),
    ...(brake === undefined ? {} : { brake }),
    ...rule,
  };
}

function statePath(dirPath: string): string {
  return `${dirPath}/${STATE_FILE_NAME}`;
}

/** The file is there and readable, but it is no state. */
class StateError extends Error {
  override readonly name = "StateError";
}

/** What a writer has left that was killed: nobody else writes here, as there is one toom. */
async function removeUnfinished(dirPath: string): Promise<void> {
  for await (const { name } of Deno.readDir(dirPath)) {
    if (!name.startsWith(UNFINISHED)) continue;
    await Deno.remove(`${dirPath}/${name}`).catch(() => {});
  }
}

async function readState(path: string): Promise<readonly LimitOverride[]> {
  let text: string;
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new StateError("it is no file");
    if (size > STATE_BYTES_MAX) throw new StateError(`it has ${size} bytes`);
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new StateError(text === "" ? "it is empty" : "it is no JSON");
  }
  const result = StateFile.safeParse(content);
  if (result.success) return result.data.overrides;
  const issue = result.error.issues[0]!;
  throw new StateError(`${issue.path.join(".") || "content"}: ${issue.message}`);
}

async function writeAtomically(dirPath: string, text: string): Promise<void> {
  const path = statePath(dirPath);
  const temporary = `${dirPath}/${UNFINISHED}${Deno.pid}`;
  try {
    const file = await Deno.open(temporary, {
      write: true,
      create: true,
      truncate: true,
      mode: 0o600,
    });
    try {
      const content = new TextEncoder().encode(text);
      for (let done = 0; done < content.length;) {
        done += await file.write(content.subarray(done));
      }
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  // The rename itself is in the folder.
  const dir = await Deno.open(dirPath);
  try {
    await dir.sync();
  } finally {
    dir.close();
  }
}
