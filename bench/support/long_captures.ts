/**
 * The captures one after the other, again and again, as one long trace: the times are shifted, so
 * that nothing is old news.
 *
 * @module
 */
import { CAPTURE_CPUS, PAGE_BYTES, readCapture } from "../../tests/_support/captures.ts";
import { READ_BYTES } from "./load.ts";

/** Without mixed_events, mostly stack traces, and without the one that lost events. */
const NAMES = Object.keys(CAPTURE_CPUS).filter((name) =>
  name !== "mixed_events" && name !== "lost_small_buffer"
);
/** One capture begins so much later than the one before. */
const SPAN_SECONDS = 60;
const START_SECONDS = 1000;

/** Pages of each CPU, in order. */
export function longRawCapture(repeats: number): Uint8Array[][] {
  const pages: Uint8Array[][] = [];
  let startNs = BigInt(START_SECONDS) * 1_000_000_000n;
  for (let i = 0; i < repeats; i++) {
    for (const name of NAMES) {
      const files = CAPTURE_CPUS[name]!.map((cpu) => {
        const bytes = readCapture(`${name}.cpu${cpu}.raw`);
        return { cpu, bytes, view: new DataView(bytes.buffer) };
      });
      const firstNs = files.map(({ view }) => view.getBigUint64(0, true)).reduce((a, b) =>
        a < b ? a : b
      );
      for (const { cpu, bytes, view } of files) {
        for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
          view.setBigUint64(at, view.getBigUint64(at, true) - firstNs + startNs, true);
          (pages[cpu] ??= []).push(bytes.slice(at, at + PAGE_BYTES));
        }
      }
      startNs += BigInt(SPAN_SECONDS) * 1_000_000_000n;
    }
  }
  return pages;
}

const TIME = / (\d+)\.(?=\d{6}: (?:rss_stat|task_newtask|sched_process_\w+): )/g;

/** What each read(2) of trace_pipe gave; cut where the read ended. */
export function longTextCapture(repeats: number): Uint8Array[] {
  const reads: Uint8Array[] = [];
  let startSeconds = START_SECONDS;
  for (let i = 0; i < repeats; i++) {
    for (const name of NAMES) {
      const text = asString(readCapture(`${name}.pipe.txt`));
      let firstSeconds = -1;
      const shifted = text.replace(TIME, (_, seconds: string) => {
        if (firstSeconds < 0) firstSeconds = Number(seconds);
        return ` ${Number(seconds) - firstSeconds + startSeconds}.`;
      });
      const bytes = Uint8Array.from(shifted, (char) => char.charCodeAt(0));
      for (let at = 0; at < bytes.length; at += READ_BYTES) {
        reads.push(bytes.slice(at, at + READ_BYTES));
      }
      startSeconds += SPAN_SECONDS;
    }
  }
  return reads;
}

/** A code point a byte, also for 0x80 to 0x9f, which TextDecoder takes for windows-1252. */
function asString(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return text;
}
