/**
 * toom: a low-overhead, low-latency, fault-tolerant out-of-memory killer that works per user.
 *
 * As a program: `deno run -A mod.ts --help`. As a library: the client of tmalloc, by which a program
 * asks before it uses memory, and the parts that work without a daemon: sizes and limits, the record
 * format, and the replay of captures.
 *
 * @module
 */
import { main } from "./cli/main.ts";

export { VERSION } from "./version.ts";
export { formatBytes, parseSizeBytes } from "./pipeline/limits/units.ts";
export { type LimitRule, LimitRules, type UidRange } from "./pipeline/limits/limits.ts";
export { Member, RecordKind } from "./pipeline/memory/layout.ts";
export { DEFAULT_CAPACITY } from "./pipeline/memory/memory.ts";
export { Replay, type ReplayOptions } from "./pipeline/replay/replay.ts";
export {
  type ReplayDecision,
  type ReplayMm,
  type ReplaySummary,
} from "./pipeline/replay/replay_summary.ts";
export { TextParser } from "./kernel/trace/text_parser.ts";
export {
  Lease,
  type Size,
  tmalloc,
  TmallocClient,
  type TmallocInfo,
  TmallocRefusedError,
  TmallocUnavailableError,
} from "./tmalloc/client.ts";
export type {
  LimitReport,
  StatusReport,
  UserReport,
  WorkerReport,
} from "./service/control/control_api.ts";

if (import.meta.main) {
  const encoder = new TextEncoder();
  const writer = (target: { writeSync(bytes: Uint8Array): number }) => (line: string): void => {
    let bytes = encoder.encode(`${line}\n`);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(target.writeSync(bytes));
    } catch (error) {
      // Whoever read our lines has seen enough, as `head` does.
      if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
      throw error;
    }
  };
  Deno.exit(await main(Deno.args, { out: writer(Deno.stdout), err: writer(Deno.stderr) }));
}
