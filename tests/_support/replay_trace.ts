/**
 * Captures made line by line for `toom replay`, and its decisions on them.
 *
 * @module
 */
import type { ReplayDecision } from "../../pipeline/replay/replay_summary.ts";
import { latin1 } from "./captures.ts";
import { replayAll } from "./replay_run.ts";

export const PAGES_OF_MIB = 256;

/** A standard input that gives its bytes in pieces. */
export function pieces(
  bytes: Uint8Array,
  pieceBytes: number,
): { readSync(to: Uint8Array): number | null } {
  let at = 0;
  return {
    readSync(to): number | null {
      const piece = bytes.subarray(at, at + Math.min(pieceBytes, to.length));
      to.set(piece);
      at += piece.length;
      return piece.length === 0 ? null : piece.length;
    },
  };
}

/** Lines of trace_pipe, one a microsecond. */
export class Trace {
  private text = "";
  private us = 1_000_000;

  /** Sets the anonymous pages of a process that has one thread and one mm. */
  anon(pid: number, pages: number, curr = 1): this {
    return this.line(
      pid,
      `rss_stat: mm_id=${pid * 10} curr=${curr} type=MM_ANONPAGES size=${pages * 4096}B`,
    );
  }

  exit(pid: number): this {
    return this.line(pid, `sched_process_exit: comm=p pid=${pid} prio=120 group_dead=true`)
      .anon(pid, 0, 0);
  }

  line(pid: number, event: string): this {
    const seconds = (this.us++ / 1e6).toFixed(6);
    this.text += `               p-${pid}    [000] .....  ${seconds}: ${event}\n`;
    return this;
  }

  get stdin(): { readSync(to: Uint8Array): number | null } {
    return pieces(latin1(this.text), Infinity);
  }
}

export async function decide(trace: Trace, ...args: string[]): Promise<ReplayDecision[]> {
  const { summary } = await replayAll(["-", "--assume-uid", "7", ...args], { stdin: trace.stdin });
  return summary.decisions;
}

export function kills(decisions: readonly ReplayDecision[]): (number | null)[] {
  return decisions.filter(({ event }) => event === "kill").map(({ pid }) => pid);
}
