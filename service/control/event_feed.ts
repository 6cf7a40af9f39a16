/**
 * What happened, for any number of clients that follow it: the last entries of the journal, and for each
 * client how far it has read. No client has a queue of its own, so one that reads slowly costs nothing
 * and misses, counted, what is not remembered any more; one that does not read at all is dropped.
 *
 * @module
 */
import { escapeJsonLine } from "../../pipeline/limits/units.ts";
import type { JournalEntry, Subscriber } from "../journal/journal.ts";
import type { EventsQuery } from "./control_requests.ts";

/** Entries that are remembered. */
export const FEED_ENTRIES_MAX = 2048;
/** Clients at one time. */
export const FEED_READERS_MAX = 64;
/** One that has not taken what waits for it for so long, and is behind what is remembered, is dropped. */
export const STUCK_MS = 10_000;
/** Bytes that a client gets at once, about. */
const CHUNK_BYTES = 16_384;
/** A line when nothing happens, so that both ends see whether the other is there. */
export const QUIET_MS = 15_000;

export interface EventFeedOptions {
  /** Names this run of toom: numbers begin anew with another. */
  readonly instance: string;
  /** Number of the last entry before this feed was there. */
  readonly last: number;
  /** Milliseconds of any clock that only goes on. */
  readonly nowMs: () => number;
  readonly entriesMax?: number;
}

/** For `toom status`. */
export interface FeedReport {
  readonly clients: number;
  readonly total: number;
  readonly missed: number;
  readonly dropped: number;
  readonly refused: number;
}

interface Remembered {
  readonly entry: JournalEntry;
  /** Made when the first client wants it. */
  bytes?: Uint8Array<ArrayBuffer>;
}

export class EventFeed implements Subscriber {
  readonly name = "events";
  readonly options: EventFeedOptions;
  private readonly entriesMax: number;
  /** By number modulo their count. */
  private readonly kept: (Remembered | undefined)[] = [];
  private readonly readers = new Set<FeedReader>();
  private lastNumber: number;
  /** Number of the oldest that is remembered; one more than the last: none is. */
  private oldestNumber: number;
  private total = 0;
  private missed = 0;
  private dropped = 0;
  private refused = 0;

  constructor(options: EventFeedOptions) {
    this.options = options;
    this.entriesMax = options.entriesMax ?? FEED_ENTRIES_MAX;
    this.lastNumber = options.last;
    this.oldestNumber = options.last + 1;
  }

  take(entry: JournalEntry): void {
    this.kept[entry.number % this.entriesMax] = { entry };
    this.lastNumber = entry.number;
    this.oldestNumber = Math.max(this.oldestNumber, entry.number - this.entriesMax + 1);
    for (const reader of this.readers) reader.wake();
  }

  /** @returns undefined: there are too many already. */
  open(query: EventsQuery): FeedReader | undefined {
    if (this.readers.size >= FEED_READERS_MAX) {
      this.refused++;
      return undefined;
    }
    this.total++;
    const reader = new FeedReader(this, query);
    this.readers.add(reader);
    return reader;
  }

  /** Number of the last entry. */
  get last(): number {
    return this.lastNumber;
  }

  get oldest(): number {
    return this.oldestNumber;
  }

  entryAt(number: number): JournalEntry | undefined {
    const entry = this.kept[number % this.entriesMax]?.entry;
    return entry?.number === number ? entry : undefined;
  }

  /** As it goes over the wire. */
  bytesAt(number: number): Uint8Array<ArrayBuffer> {
    const remembered = this.kept[number % this.entriesMax]!;
    remembered.bytes ??= encoder.encode(entryText(remembered.entry, this.options.instance));
    return remembered.bytes;
  }

  noteMissed(count: number): void {
    this.missed += count;
  }

  forget(reader: FeedReader, isDropped: boolean): void {
    if (this.readers.delete(reader) && isDropped) this.dropped++;
  }

  report(): FeedReport {
    const { total, missed, dropped, refused } = this;
    return { clients: this.readers.size, total, missed, dropped, refused };
  }

  /** Ends all streams. */
  close(): void {
    for (const reader of this.readers) reader.close();
  }
}

/** One client, and how far it has read. */
export class FeedReader {
  private readonly feed: EventFeed;
  private readonly query: EventsQuery;
  private cursor: number;
  private greeting: string;
  /** Since when it has not asked for more although it could; Infinity: it waits for something to happen. */
  private awaySinceMs: number;
  private isClosed = false;
  private onWake: (() => void) | undefined;

  constructor(feed: EventFeed, query: EventsQuery) {
    this.feed = feed;
    this.query = query;
    this.awaySinceMs = feed.options.nowMs();
    const { cursor, missed } = this.begin();
    this.cursor = cursor;
    this.greeting = helloText(feed) + (missed === 0 ? "" : gapText(missed));
  }

  /** Where it begins, and how many it has missed by then; null: of an earlier run, nobody knows. */
  private begin(): { cursor: number; missed: number | null } {
    const { oldest, last, options: { instance } } = this.feed;
    const { after } = this.query;
    if (after === undefined) return { cursor: last + 1, missed: 0 };
    const isOther = after.instance !== undefined && after.instance !== instance;
    if (isOther || after.number > last) return { cursor: oldest, missed: null };
    // 0 asks for all that is remembered.
    const missed = after.number === 0 ? 0 : Math.max(0, oldest - after.number - 1);
    if (missed > 0) this.feed.noteMissed(missed);
    return { cursor: Math.max(oldest, after.number + 1), missed };
  }

  /** Something has happened. */
  wake(): void {
    if (this.onWake !== undefined) this.onWake();
    else if (this.cursor < this.feed.oldest) this.dropIfStuck();
  }

  private dropIfStuck(): void {
    if (this.feed.options.nowMs() - this.awaySinceMs < STUCK_MS) return;
    this.end(true);
  }

  /** What is there for it now. @returns Nothing when there is nothing. */
  read(): Uint8Array<ArrayBuffer> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    const put = (part: Uint8Array<ArrayBuffer>): void => {
      parts.push(part);
      bytes += part.length;
    };
    if (this.greeting !== "") put(encoder.encode(this.greeting));
    this.greeting = "";
    const { oldest, last } = this.feed;
    if (this.cursor < oldest) {
      const missed = oldest - this.cursor;
      this.feed.noteMissed(missed);
      put(encoder.encode(gapText(missed)));
      this.cursor = oldest;
    }
    for (; this.cursor <= last && bytes < CHUNK_BYTES; this.cursor++) {
      const entry = this.feed.entryAt(this.cursor);
      if (entry !== undefined && this.wants(entry)) put(this.feed.bytesAt(this.cursor));
    }
    this.awaySinceMs = this.feed.options.nowMs();
    return joined(parts, bytes);
  }

  /**
   * Waits until there is something for it, or {@link QUIET_MS} are over. One at a time.
   *
   * @returns undefined: the stream is over.
   */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    let isQuiet = false;
    while (!this.isClosed) {
      const bytes = this.read();
      if (bytes.length > 0) return bytes;
      if (isQuiet) return encoder.encode(": nothing happened\n\n");
      isQuiet = await this.pause();
    }
    return undefined;
  }

  /** @returns Whether nothing happened. */
  private async pause(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(true), QUIET_MS);
    this.onWake = () => resolve(false);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.onWake = undefined;
      this.awaySinceMs = this.feed.options.nowMs();
    }
  }

  private wants({ event }: JournalEntry): boolean {
    const { kinds, uid } = this.query;
    if (kinds !== undefined && !kinds.includes(event.event)) return false;
    return uid === undefined || ("uid" in event && event.uid === uid);
  }

  close(): void {
    this.end(false);
  }

  get isOver(): boolean {
    return this.isClosed;
  }

  private end(isDropped: boolean): void {
    this.isClosed = true;
    this.feed.forget(this, isDropped);
    this.onWake?.();
  }
}

/** A body of HTTP that gets what happens; read no faster than the client takes it. */
export function eventStream(reader: FeedReader): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller): Promise<void> {
      const bytes = await reader.next();
      if (bytes === undefined) controller.close();
      else controller.enqueue(bytes);
    },
    cancel(): void {
      reader.close();
    },
  }, { highWaterMark: 0 });
}

const encoder = new TextEncoder();

/** An entry on one line: `number`, `ts`, `event`, then the fields of the event. */
export function entryJson({ number, event, at }: JournalEntry): string {
  return escapeJsonLine(JSON.stringify({ number, ts: at.toISOString(), ...event }));
}

function entryText(entry: JournalEntry, instance: string): string {
  return `id: ${entry.number}@${instance}\ndata: ${entryJson(entry)}\n\n`;
}

/** The first thing that a client hears. */
function helloText({ options: { instance }, oldest, last }: EventFeed): string {
  return `retry: 1000\nevent: hello\ndata: ${JSON.stringify({ instance, oldest, last })}\n\n`;
}

/** @param missed null: nobody knows how many. */
function gapText(missed: number | null): string {
  return `event: gap\ndata: ${JSON.stringify({ missed })}\n\n`;
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
