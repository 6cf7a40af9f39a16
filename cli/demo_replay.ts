/**
 * The demo where toom cannot trace: a capture, run through the same accounting and the same killer.
 *
 * @module
 */
import { TextParser } from "../kernel/trace/text_parser.ts";
import { limitRule, LimitRules, SOFT_PERCENT_DEFAULT } from "../pipeline/limits/limits.ts";
import { Member } from "../pipeline/memory/layout.ts";
import { DEFAULT_CAPACITY } from "../pipeline/memory/memory.ts";
import { Replay } from "../pipeline/replay/replay.ts";
import type { ReplayDecision } from "../pipeline/replay/replay_summary.ts";
import { formatBytes } from "../pipeline/limits/units.ts";
import { CAPTURE_NAMES, CAPTURE_PAGE_BYTES, CAPTURE_TEXT, CAPTURE_UID } from "./demo_capture.ts";
import { FailedError } from "./errors.ts";

/**
 * Shows what toom would have done with the bundled capture.
 *
 * @param hardBytes The limit.
 * @throws {FailedError} When it would not have been the right thing.
 */
export function replayDemo(hardBytes: number, out: (line: string) => void): void {
  const limits = new LimitRules();
  const uids = { uidFirst: CAPTURE_UID, uidLast: CAPTURE_UID };
  const soft = { kind: "percent", percent: SOFT_PERCENT_DEFAULT } as const;
  limits.set(limitRule(uids, hardBytes, soft, CAPTURE_PAGE_BYTES));
  const replay = new Replay({
    capacity: { ...DEFAULT_CAPACITY, pageBytes: CAPTURE_PAGE_BYTES },
    countMask: 1 << Member.anon | 1 << Member.swap | 1 << Member.shmem,
    policy: "largest",
    limits,
    assumeUid: CAPTURE_UID,
  });
  const parser = new TextParser(replay.writer, { pageBytes: CAPTURE_PAGE_BYTES });
  const bytes = new TextEncoder().encode(CAPTURE_TEXT);
  parser.push(bytes, bytes.length);
  parser.end();
  replay.drain();
  const { events, decisions } = replay.summary(parser.counters);

  out(
    `  recorded without toom: uid ${CAPTURE_UID} runs a neighbour, then a hog that touches 96 MiB; ` +
      `${events} events`,
  );
  for (const decision of decisions) out(`  ${describe(decision)}`);
  const killed = decisions.filter(({ event }) => event === "kill").map(({ pid }) => nameOf(pid));
  if (killed.length !== 1 || killed[0] !== "hog") {
    throw new FailedError(
      `the replay should have killed the hog alone, not ${killed.join(", ") || "nobody"}`,
    );
  }
  out(`so with a limit of ${formatBytes(hardBytes)} the hog dies, and nothing else does`);
}

function describe({ ts, event, pid, usagePages, hardPages }: ReplayDecision): string {
  const usage = formatBytes(usagePages * CAPTURE_PAGE_BYTES);
  const hard = formatBytes(hardPages * CAPTURE_PAGE_BYTES);
  const at = `${(ts / 1e9).toFixed(6)} s  uid ${CAPTURE_UID} uses ${usage} of ${hard}`;
  return event === "soft"
    ? `${at}: over the soft limit, toom has its victim ready`
    : `${at}: over the hard limit, toom kills pid ${pid}, the ${nameOf(pid)}`;
}

function nameOf(pid: number | null): string {
  return CAPTURE_NAMES[pid ?? 0] ?? "a stranger";
}
