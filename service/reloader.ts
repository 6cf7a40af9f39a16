/**
 * Reloads: what the configuration says now is put in force, all of it or nothing, one after the other.
 *
 * @module
 */
import { messageOf } from "../kernel/ffi/thrown.ts";
import type { ReloadAnswer } from "./control/control_api.ts";
import type { Journal } from "./journal/journal.ts";
import type { SupervisorOptions } from "./lifecycle/options.ts";
import { NOTHING_CHANGED, reloadedMessage, reloadOptions } from "./lifecycle/reload.ts";
import { settingsOf } from "./lifecycle/settings.ts";
import type { LoadedOptions } from "./lifecycle/start_over.ts";
import type { RulesInForce } from "./rules/rules_in_force.ts";
import type { LimitControl } from "./limits/limit_control.ts";

export interface ReloaderContext {
  readonly limits: Pick<LimitControl, "reload">;
  readonly victimRules: Pick<RulesInForce, "put">;
  readonly journal: Journal;
  readonly loadOptions: () => Promise<LoadedOptions>;
  /** What is in force. */
  readonly running: () => SupervisorOptions;
  /** Told of what is in force from now on. */
  readonly put: (options: SupervisorOptions) => void;
  readonly isClosed: () => boolean;
}

/** Problems that the journal tells one by one; the answer has all. */
const PROBLEMS_TOLD = 20;

export class Reloader {
  private readonly context: ReloaderContext;
  /** The last reload that was asked for; the next one waits for it. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(context: ReloaderContext) {
    this.context = context;
  }

  /**
   * Never throws: what is wrong is in the answer, and in the journal.
   *
   * @param isAtOnce Users who have more than lowered limits lose processes without a grace.
   */
  reload(isAtOnce: boolean): Promise<ReloadAnswer> {
    const turn = this.last.then(() => this.reloadNow(isAtOnce));
    this.last = turn;
    return turn;
  }

  private async reloadNow(isAtOnce: boolean): Promise<ReloadAnswer> {
    const { loadOptions, isClosed } = this.context;
    try {
      const { options, problems } = await loadOptions();
      if (problems !== undefined) return this.refuse(problems);
      if (isClosed()) return this.refuse(["toom is being stopped"]);
      return this.put(options, isAtOnce);
    } catch (error) {
      return this.refuse([messageOf(error)]);
    }
  }

  private put(wanted: SupervisorOptions, isAtOnce: boolean): ReloadAnswer {
    const { limits, victimRules, journal, running, put } = this.context;
    const { options, changed, restart } = reloadOptions(running(), wanted);
    const rules = isAtOnce
      ? options.limits.map((rule) => ({ ...rule, isAtOnce: true as const }))
      : options.limits;
    // Workers are woken by what follows.
    victimRules.put(options);
    const { set, cleared } = limits.reload(rules, settingsOf(options, journal));
    put(options);
    const answer: ReloadAnswer = {
      ...NOTHING_CHANGED,
      reloaded: true,
      files: [...options.config.files],
      changed: [...changed],
      restart: [...restart],
      limitsSet: set,
      limitsCleared: cleared,
    };
    journal.publish({ event: "config", message: reloadedMessage(answer) });
    return answer;
  }

  private refuse(problems: readonly string[]): ReloadAnswer {
    const { journal } = this.context;
    for (const problem of problems.slice(0, PROBLEMS_TOLD)) {
      journal.publish({ event: "config", message: `not reloaded: ${problem}` });
    }
    const left = problems.length - PROBLEMS_TOLD;
    if (left > 0) {
      journal.publish({ event: "config", message: `not reloaded: ${left} more problems` });
    }
    return { ...NOTHING_CHANGED, problems: [...problems] };
  }
}
