/**
 * What the doctor finds, and how one try becomes a finding.
 *
 * @module
 */

/** What one try gave. */
export interface Finding {
  readonly name: string;
  /** `optional`: it is not there, and toom goes without. */
  readonly status: "ok" | "missing" | "optional";
  /** What was found. */
  readonly detail: string;
  /** What to do about it; undefined when all is well. */
  readonly mend: string | undefined;
}

/** What the whole examination gave. */
export interface Examination {
  readonly findings: readonly Finding[];
  /** Things worth knowing that are neither good nor bad. */
  readonly notes: readonly string[];
}

/** Thrown inside of a try: what is wrong, and the mend where it is not the check's own. */
export class Lacking extends Error {
  readonly mend: string | undefined;

  constructor(problem: string, mend?: string) {
    super(problem);
    this.mend = mend;
  }
}

export interface Check {
  readonly name: string;
  readonly optional?: boolean;
  /** When nothing better is known. */
  readonly mend: string;
  /** Checks that must have gone well. */
  readonly after?: readonly string[];
  /** @returns The detail. */
  readonly run: () => string | Promise<string>;
}

export const ROOT_MEND = "run as root: sudo toom doctor";
export const NEW_KERNEL_MEND = "use a newer kernel";

/** Runs checks one by one, none of which can end the examination. */
export class Examiner {
  readonly findings: Finding[] = [];
  private readonly well = new Set<string>();

  async check({ name, optional, mend, after, run }: Check): Promise<void> {
    const lacking = after?.find((other) => !this.well.has(other));
    let problem: unknown;
    if (lacking !== undefined) {
      problem = new Lacking(`not checked: needs ${lacking}`, `see ${lacking}`);
    } else {
      try {
        const detail = await run();
        this.well.add(name);
        this.findings.push({ name, status: "ok", detail, mend: undefined });
        return;
      } catch (error) {
        problem = error;
      }
    }
    this.findings.push({
      name,
      status: optional === true ? "optional" : "missing",
      detail: problem instanceof Error ? problem.message : String(problem),
      mend: mendOf(problem) ?? mend,
    });
  }
}

function mendOf(problem: unknown): string | undefined {
  if (problem instanceof Lacking) return problem.mend;
  if (problem instanceof Deno.errors.NotCapable) return "give Deno its permissions: deno run -A";
  return undefined;
}
