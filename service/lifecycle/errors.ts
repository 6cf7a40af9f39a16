/** toom cannot run here; the message says why, `mend` what would help. */
export class StartError extends Error {
  override readonly name = "StartError";
  readonly mend: string;

  constructor(problem: string, mend: string, options?: ErrorOptions) {
    super(problem, options);
    this.mend = mend;
  }
}
