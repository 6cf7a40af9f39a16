/**
 * A rehearsal of reading: pages and lines of the kernel's that nobody wrote, with everything that
 * there is in them, so that the first user's events find compiled code, and nothing that comes later
 * is news to it.
 *
 * @module
 */
import { Nowhere } from "./nowhere.ts";
import type { LifecycleLayout, RawFormats } from "./page_format.ts";
import { RawMerger } from "./raw_merger.ts";
import { RawPageCursor } from "./raw_parser.ts";
import { TextParser } from "./text_parser.ts";

/** At a worker's start: V8 compiles what was called some thousand times. Takes some 50 ms. */
export const WARM_UP_READS = 3000;
/** Later, to have code and data at hand again. */
export const REFRESH_READS = 100;

const PAGE_WORDS = 1024;
const EVENTS_A_PAGE = 48;

/** Writes events into a page, see raw_parser.ts. */
class PageWriter {
  readonly bytes = new Uint8Array(new ArrayBuffer(PAGE_WORDS * 4));
  private readonly words = new Int32Array(this.bytes.buffer);
  private readonly formats: RawFormats;
  private at = 0;

  constructor(formats: RawFormats) {
    this.formats = formats;
  }

  /** @param high The upper half of the page's time: units of some 4 seconds. */
  begin(high: number, low: number): void {
    const { timestampWord, dataWord } = this.formats;
    this.words.fill(0);
    this.words[timestampWord] = low;
    this.words[timestampWord + 1] = high;
    this.at = dataWord;
  }

  rss(delta: number, mmId: number, pages: number, member: number): void {
    const { rssStat, pageShift } = this.formats;
    const payload = this.event(delta, rssStat.id, rssStat.words);
    this.words[payload + rssStat.pidWord] = mmId;
    this.words[payload + rssStat.mmIdWord] = mmId;
    this.words[payload + rssStat.currWord] = 1;
    this.words[payload + rssStat.memberWord] = member;
    this.words[payload + rssStat.sizeWord] = pages << pageShift;
  }

  /** Nothing for an event that is not traced. */
  lifecycle(delta: number, layout: LifecycleLayout): void {
    if (layout.id >= 0) this.event(delta, layout.id, layout.words);
  }

  /** Type 29 padding, 30 an extension of time, 31 an absolute time; their second word. */
  special(type: number, delta: number, second: number): void {
    this.words[this.at++] = type | delta << 5;
    this.words[this.at++] = second;
    if (type === 29) this.at += (second >>> 2) - 1;
  }

  event(delta: number, id: number, words: number): number {
    this.words[this.at++] = words | delta << 5;
    const payload = this.at;
    this.words[payload] = id;
    this.at += words;
    return payload;
  }

  /** @param loss Flags, and the number of lost events behind the data where one of them says so. */
  end(loss: number, count: number): Uint8Array {
    const { commitWord, dataWord } = this.formats;
    this.words[commitWord] = (this.at - dataWord) * 4 | loss;
    this.words[this.at] = count;
    return this.bytes;
  }
}

const LOST = 1 << 31;
const LOST_COUNTED = LOST | 1 << 30;

/** One page with everything; the more usual, the more often. */
function writePage(page: PageWriter, formats: RawFormats, round: number): Uint8Array {
  // Both halves of what the lower word of a time can be: from 2^31 on it is no small integer.
  page.begin(1 + round, round % 2 === 0 ? round : -round);
  for (let i = 0; i < EVENTS_A_PAGE; i++) page.rss(700, 1 + (i & 1), i, i & 3);
  if (round % 8 === 0) {
    page.lifecycle(1, formats.newTask);
    page.lifecycle(1, formats.exec);
    page.lifecycle(1, formats.exit);
    page.lifecycle(1, formats.free);
    page.lifecycle(1, formats.oomVictim);
    page.event(1, 0xfffe, 2);
    page.rss(1, 3, 1, 7);
  }
  if (round % 8 === 1) {
    page.special(30, 5, round % 16 === 1 ? 3 : -1);
    page.rss(1, 4, 1, 1);
    page.special(29, 1, 12);
    page.rss(1, 4, 2, 1);
    page.special(31, 5, round * 32);
    page.rss(1, 4, 3, 1);
  }
  if (round % 32 === 2) return page.end(LOST, 0);
  return round % 32 === 3 ? page.end(LOST_COUNTED, round) : page.end(0, 0);
}

/**
 * Decodes and merges so many pages of so many CPUs.
 * @returns Records made, so that nobody can leave the work out.
 */
export function rehearsePages(formats: RawFormats, cpus: number, reads: number): number {
  const nowhere = new Nowhere();
  const cursors = Array.from({ length: cpus }, (_, cpu) => new RawPageCursor(formats, cpu));
  const pages = cursors.map(() => new PageWriter(formats));
  let round = 0;
  let isTurnOver = false;
  const merger = new RawMerger(cursors, (index) => {
    nowhere.empty();
    // Some turns find nothing, most one page, as in life.
    if (isTurnOver || round === reads) return false;
    if (round % 4 === 3) isTurnOver = true;
    cursors[index]!.load(writePage(pages[index]!, formats, round++), PAGE_WORDS * 4);
    return true;
  });
  while (round < reads) {
    isTurnOver = false;
    merger.drain(nowhere.writer);
  }
  nowhere.empty();
  return nowhere.records;
}

const LINES = [
  "           <...>-1234    [001] ...1.  2424.936892: rss_stat: mm_id=4052829852 curr=0 type=MM_ANONPAGES size=4096B",
  "             a-b-1234    [000] d..2.  2424.936893: rss_stat: mm_id=17 curr=1 type=MM_FILEPAGES size=1048576B",
  "           <...>-1234    [001] .....  2424.936894: rss_stat: mm_id=17 curr=1 type=MM_SHMEMPAGES size=8192B",
  "           <...>-1234    [001] .....  2424.936895: rss_stat: mm_id=17 curr=1 type=MM_SWAPENTS size=0B",
  "         python3-1234    [001] .....  2424.936896: task_newtask: pid=1235 comm=python3 clone_flags=4100 oom_score_adj=0",
  "         python3-1235    [001] .....  2424.936897: sched_process_exec: filename=/bin/true pid=1235 old_pid=1235",
  "            true-1235    [001] .....  2424.936898: sched_process_exit: comm=true pid=1235 prio=120 group_dead=true",
  "          <idle>-0       [001] ..s1.  2424.936899: sched_process_free: comm=true pid=1235 prio=120",
  "CPU:0 [LOST 9 EVENTS]",
] as const;
const LINES_A_PUSH = 64;
/** Of a push, so many lines tell of something else than memory. */
const OTHERS_A_PUSH = 5;

/**
 * Parses the lines of so many reads, cut anywhere as pipes cut them.
 * @returns Records made, so that nobody can leave the work out.
 */
export function rehearseLines(pageBytes: number, reads: number): number {
  const nowhere = new Nowhere();
  const parser = new TextParser(nowhere.writer, { pageBytes });
  const lines: string[] = [];
  for (let i = 0; i < LINES_A_PUSH - OTHERS_A_PUSH; i++) lines.push(LINES[i & 3]!);
  const text = new TextEncoder().encode(`${[...lines, ...LINES.slice(4)].join("\n")}\n`);
  const chunk = new Uint8Array(new ArrayBuffer(text.length));
  chunk.set(text);
  for (let read = 0; read < reads; read++) {
    const cut = read % 3 === 0 ? read % text.length : text.length;
    chunk.set(text.subarray(0, cut));
    parser.push(chunk, cut);
    if (cut < text.length) {
      chunk.set(text.subarray(cut));
      parser.push(chunk, text.length - cut);
    }
    nowhere.empty();
  }
  return nowhere.records;
}
