/**
 * The coordinator's listening sockets: heard, and not heard for a while when there is nothing left to
 * let anybody in with, because they would stay ready and the worker would spin.
 *
 * @module
 */
import type { Listener, ReadySet } from "../ports.ts";
import { KEY_LISTENER } from "./ready_key.ts";

/** Without descriptors to give, nobody is let in for so long. */
export const ACCEPT_PAUSE_NS = 100e6;

export class Listening {
  private readonly listeners: readonly Listener[];
  private readonly top: ReadySet;
  private readonly isHeard: boolean[];
  private fromNs = 0;

  constructor(listeners: readonly Listener[], top: ReadySet) {
    this.listeners = listeners;
    this.top = top;
    this.isHeard = listeners.map(() => false);
  }

  /** When {@link resume} has something to do; Infinity: all are heard. */
  get pausedUntilNs(): number {
    return this.fromNs;
  }

  /** @param number Of a key of the first set. */
  listener(number: number): Listener {
    return this.listeners[number - KEY_LISTENER]!;
  }

  pause(nowNs: number): void {
    this.listeners.forEach(({ handle }, index) => {
      if (this.isHeard[index]) this.top.remove(handle);
      this.isHeard[index] = false;
    });
    this.fromNs = nowNs + ACCEPT_PAUSE_NS;
  }

  /** Hears all of them, if it is time. One that cannot be is tried again after a pause. */
  resume(nowNs: number): void {
    if (nowNs < this.fromNs) return;
    this.fromNs = Infinity;
    this.listeners.forEach(({ handle }, index) => {
      this.isHeard[index] ||= this.top.add(handle, KEY_LISTENER + index) >= 0;
      if (!this.isHeard[index]) this.fromNs = nowNs + ACCEPT_PAUSE_NS;
    });
  }
}
