/**
 * What was opened and must be closed, whatever happens in between: also when the one who opens it
 * throws half-way.
 *
 * @module
 */

export class Resources {
  private readonly closers: (() => void)[] = [];

  /** Remembers how to close what was just opened. */
  add(close: () => void): void {
    this.closers.push(close);
  }

  /**
   * Closes all that was opened since the last time, the newest first. What fails does not keep the
   * others open.
   *
   * @param onError Told of each that could not be closed.
   */
  close(onError: (error: unknown) => void = () => {}): void {
    for (let close = this.closers.pop(); close !== undefined; close = this.closers.pop()) {
      try {
        close();
      } catch (error) {
        onError(error);
      }
    }
  }
}
