/**
 * Browsers that listen. Each has one message in flight and no queue: one that reads slowly misses
 * changes and is sent all that there is when it has read again; one that does not read for long is let go.
 * So a browser that stops reading costs one message and a connection, and nothing grows.
 *
 * @module
 */
import { type Message, message } from "./feed.ts";

/** At a time; who comes when there are so many is turned away. */
export const LISTENERS_MAX = 32;
/** A browser that has read nothing for so long is let go; it comes again when it lives. */
const UNREAD_MS_MAX = 30_000;
/** So that both ends notice when the other has gone. */
const PING_MS = 15_000;

interface Listener {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  /** It has not taken the last message yet, and has missed others since. */
  hasMissed: boolean;
  takenAtMs: number;
  toldAtMs: number;
}

export class Listeners {
  private readonly snapshot: () => Message;
  private readonly nowMs: () => number;
  private readonly all = new Set<Listener>();
  /** Let go because they did not read. */
  dropped = 0;

  /**
   * @param snapshot All that there is to be told.
   * @param nowMs A clock that never goes back.
   */
  constructor(snapshot: () => Message, nowMs: () => number) {
    this.snapshot = snapshot;
    this.nowMs = nowMs;
  }

  get size(): number {
    return this.all.size;
  }

  /** A stream for one more; undefined: there are too many. */
  add(): ReadableStream<Uint8Array> | undefined {
    if (this.all.size >= LISTENERS_MAX) return undefined;
    let listener: Listener;
    return new ReadableStream<Uint8Array>({
      start: (controller): void => {
        const nowMs = this.nowMs();
        listener = { controller, hasMissed: false, takenAtMs: nowMs, toldAtMs: nowMs };
        this.all.add(listener);
        controller.enqueue(this.snapshot());
      },
      // It has room again: the last message was taken.
      pull: (): void => {
        listener.takenAtMs = this.nowMs();
        if (!listener.hasMissed) return;
        listener.hasMissed = false;
        listener.toldAtMs = listener.takenAtMs;
        listener.controller.enqueue(this.snapshot());
      },
      cancel: (): void => void this.all.delete(listener),
    }, { highWaterMark: 1 });
  }

  /** Tells all who have taken what they were told before. */
  tell(told: Message): void {
    const nowMs = this.nowMs();
    for (const listener of this.all) {
      if ((listener.controller.desiredSize ?? 0) > 0) {
        listener.toldAtMs = nowMs;
        listener.controller.enqueue(told);
      } else if (nowMs - listener.takenAtMs > UNREAD_MS_MAX) {
        this.dropped++;
        this.end(listener);
      } else listener.hasMissed = true;
    }
  }

  /** Shows those life who were told nothing for long. */
  ping(): void {
    const nowMs = this.nowMs();
    const ping = message("ping", "{}");
    for (const listener of this.all) {
      if (nowMs - listener.toldAtMs < PING_MS) continue;
      if ((listener.controller.desiredSize ?? 0) <= 0) continue;
      listener.toldAtMs = nowMs;
      listener.controller.enqueue(ping);
    }
  }

  private end(listener: Listener): void {
    this.all.delete(listener);
    try {
      // What waits is thrown away.
      listener.controller.error(new Error("read nothing for too long"));
    } catch {
      // It has ended itself.
    }
  }

  close(): void {
    for (const { controller } of this.all) {
      try {
        controller.close();
      } catch {
        // It has ended itself.
      }
    }
    this.all.clear();
  }
}
