/**
 * What the kernel says about its binary records, made ready for decoding: offsets become word
 * indexes, and what toom cannot decode is refused here, once, with the reason.
 *
 * @module
 */

import type { EventFormat, FormatField, PageHeader } from "./formats.ts";

/** What the parsers of trace data count; each only ever grows. Shared by text and raw. */
export interface ParserCounters {
  /** rss records written. */
  events: number;
  /** newTask, exec, exit, free and oomVictim records written. */
  lifecycle: number;
  /** Events that the kernel overwrote; a loss of unknown size counts as 1. */
  lost: number;
  /** Losses: lost records written. */
  lossRecords: number;
  /** Input that follows no form known here, or is cut or broken. */
  malformed: number;
  /** Whole events, lines or records, that are none of toom's business; unknown members too. */
  foreign: number;
}

/** All counters at 0. */
export function makeCounters(): ParserCounters {
  return { events: 0, lifecycle: 0, lost: 0, lossRecords: 0, malformed: 0, foreign: 0 };
}

/** kmem:rss_stat; every `...Word` counts 32-bit words from the start of the payload. */
export interface RssLayout {
  readonly id: number;
  /** Payload words that a record must have at least. */
  readonly words: number;
  readonly pidWord: number;
  readonly mmIdWord: number;
  readonly currWord: number;
  readonly memberWord: number;
  readonly sizeWord: number;
  /** Whether `long size` has 8 bytes. */
  readonly sizeIsWide: boolean;
}

/** A life-cycle event; -1 for a word or byte that it does not have. */
export interface LifecycleLayout {
  /** -1 where the event is not traced: matches no record. */
  readonly id: number;
  readonly words: number;
  readonly pidWord: number;
  readonly subjectWord: number;
  /** clone_flags of task_newtask, old_pid of sched_process_exec. */
  readonly extraWord: number;
  /** Byte of sched_process_exit's group_dead. */
  readonly extraByte: number;
}

/** From {@link makeRawFormats}. */
export interface RawFormats {
  readonly timestampWord: number;
  readonly commitWord: number;
  readonly commitBytes: number;
  readonly dataWord: number;
  /** log2 of the page size in bytes. */
  readonly pageShift: number;
  readonly rssStat: RssLayout;
  readonly newTask: LifecycleLayout;
  readonly exec: LifecycleLayout;
  readonly exit: LifecycleLayout;
  readonly free: LifecycleLayout;
  readonly oomVictim: LifecycleLayout;
}

/** What {@link makeRawFormats} takes: parsed format files, and only those of traced events. */
export interface RawFormatSources {
  /** Of events/header_page; follows the instance's sub-buffer size. */
  readonly headerPage: PageHeader;
  /** kmem:rss_stat. */
  readonly rssStat: EventFormat;
  /** task:task_newtask. */
  readonly newTask?: EventFormat | undefined;
  /** sched:sched_process_exec. */
  readonly exec?: EventFormat | undefined;
  /** sched:sched_process_exit. */
  readonly exit?: EventFormat | undefined;
  /** sched:sched_process_free. */
  readonly free?: EventFormat | undefined;
  /** oom:mark_victim. */
  readonly oomVictim?: EventFormat | undefined;
  /** Page size in bytes, a power of two. */
  readonly pageBytes: number;
}

/** Low byte of a two-byte 1: the records are native-endian, their bit fields too. */
const PLATFORM_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const EVENT_ID_MAX = 0xffff;
const NO_EVENT: LifecycleLayout = {
  id: -1,
  words: 0,
  pidWord: -1,
  subjectWord: -1,
  extraWord: -1,
  extraByte: -1,
};

/**
 * Turns the kernel's own description of its records into what the decoder uses.
 *
 * @throws {RangeError} When a field is missing, or has a size or an alignment that the decoder
 *   does not read; the message names event and field.
 * @throws {Error} On a big-endian machine, whose event headers have their bits the other way round.
 * Source: kernel/trace/ring_buffer.c, include/linux/ring_buffer.h (struct ring_buffer_event).
 */
export function makeRawFormats(sources: RawFormatSources): RawFormats {
  if (!PLATFORM_IS_LITTLE_ENDIAN) {
    throw new Error("Cannot decode raw trace pages on a big-endian machine: use the text source");
  }
  const { headerPage, pageBytes } = sources;
  const { commitBytes } = headerPage;
  if (commitBytes !== 4 && commitBytes !== 8) {
    throw new RangeError(
      `Cannot use header_page: commit must have 4 or 8 bytes, not ${commitBytes}`,
    );
  }
  return {
    timestampWord: headerWord("timestamp", headerPage.timestampOffset),
    commitWord: headerWord("commit", headerPage.commitOffset),
    commitBytes,
    dataWord: headerWord("data", headerPage.dataOffset),
    pageShift: pageShiftOf(pageBytes),
    rssStat: rssLayout(sources.rssStat),
    newTask: lifecycleLayout(sources.newTask, "pid", "clone_flags"),
    exec: lifecycleLayout(sources.exec, "pid", "old_pid"),
    exit: lifecycleLayout(sources.exit, "pid", ""),
    free: lifecycleLayout(sources.free, "pid", ""),
    oomVictim: lifecycleLayout(sources.oomVictim, "pid", ""),
  };
}

/**
 * log2 of the page size.
 * @throws {RangeError} When it is not a power of two from 4 KiB to 1 MiB.
 */
export function pageShiftOf(pageBytes: number): number {
  const shift = 31 - Math.clz32(pageBytes);
  if (shift < 12 || shift > 20 || pageBytes !== 1 << shift) {
    throw new RangeError(
      `Cannot use page size: must be a power of two from 4096 to 1048576, not ${pageBytes}`,
    );
  }
  return shift;
}

function headerWord(what: string, offsetBytes: number): number {
  if (!(offsetBytes >= 0 && offsetBytes % 4 === 0)) {
    throw new RangeError(
      `Cannot use header_page: ${what} must lie at a multiple of 4 bytes, not at ${offsetBytes}`,
    );
  }
  return offsetBytes / 4;
}

function rssLayout(event: EventFormat): RssLayout {
  checkId(event);
  const sizeIsWide = fieldOf(event, "size").size === 8;
  const layout = {
    pidWord: wordOf(event, "common_pid", 4),
    mmIdWord: wordOf(event, "mm_id", 4),
    currWord: wordOf(event, "curr", 4),
    memberWord: wordOf(event, "member", 4),
    sizeWord: wordOf(event, "size", sizeIsWide ? 8 : 4),
  };
  const words = Math.max(...Object.values(layout), layout.sizeWord + (sizeIsWide ? 1 : 0)) + 1;
  return { id: event.id, words, sizeIsWide, ...layout };
}

function lifecycleLayout(
  event: EventFormat | undefined,
  subject: string,
  extra: string,
): LifecycleLayout {
  if (event === undefined) return NO_EVENT;
  checkId(event);
  const pidWord = wordOf(event, "common_pid", 4);
  const subjectWord = wordOf(event, subject, 4);
  // clone_flags is a u64 or a long: its low word comes first, and holds every flag toom reads.
  const extraWord = extra === "" ? -1 : wordOf(event, extra, fieldOf(event, extra).size);
  // Linux before 6.16 has no group_dead.
  const groupDead = event.fields.get("group_dead");
  const extraByte = groupDead === undefined ? -1 : groupDead.offset;
  const words = Math.max(pidWord, subjectWord, extraWord, extraByte >> 2) + 1;
  return { id: event.id, words, pidWord, subjectWord, extraWord, extraByte };
}

function checkId(event: EventFormat): void {
  const type = fieldOf(event, "common_type");
  if (type.offset !== 0 || type.size !== 2) {
    throw new RangeError(
      `Cannot decode ${event.name}: common_type must be the first 2 bytes, ` +
        `not ${type.size} at ${type.offset}`,
    );
  }
  if (!(Number.isInteger(event.id) && event.id >= 0 && event.id <= EVENT_ID_MAX)) {
    throw new RangeError(
      `Cannot decode ${event.name}: its ID must be 0 to ${EVENT_ID_MAX}, not ${event.id}`,
    );
  }
}

function fieldOf(event: EventFormat, name: string): FormatField {
  const field = event.fields.get(name);
  if (field === undefined) {
    throw new RangeError(`Cannot decode ${event.name}: its format has no field "${name}"`);
  }
  return field;
}

/** The field's first word; a C struct aligns every int and long so that there is one. */
function wordOf(event: EventFormat, name: string, bytes: number): number {
  const { offset, size } = fieldOf(event, name);
  if (size !== bytes || (bytes !== 4 && bytes !== 8) || offset < 0 || offset % 4 !== 0) {
    throw new RangeError(
      `Cannot decode ${event.name}: "${name}" must have ${bytes === 8 ? 8 : 4} bytes ` +
        `at a multiple of 4, not ${size} at ${offset}`,
    );
  }
  return offset / 4;
}
