/**
 * Calls that other threads make, and whose end the event loop brings. What they return is no real
 * promise, as nothing may happen between two steps of the simulator.
 *
 * @module
 */

interface Call {
  readonly doneNs: number;
  readonly end: () => void;
}

export class Later {
  private readonly calls: Call[] = [];

  /** @param resolve What comes of it, found out at its end; undefined: it fails. */
  call<T>(doneNs: number, resolve: (() => T) | undefined): Promise<T> {
    const then = (onDone: (value: T) => void, onFailed: (reason: unknown) => void): void => {
      const end = resolve === undefined
        ? () => onFailed(new Error("it fails"))
        : () => onDone(resolve());
      this.calls.push({ doneNs, end });
    };
    return { then } as unknown as Promise<T>;
  }

  /** The event loop turns: what has ended until now is told. */
  turn(nowNs: number): void {
    const ended = this.calls.filter(({ doneNs }) => doneNs <= nowNs);
    for (const call of ended) {
      this.calls.splice(this.calls.indexOf(call), 1);
      call.end();
    }
  }
}
